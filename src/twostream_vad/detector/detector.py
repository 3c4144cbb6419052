"""The detector: an object that watches. It loads from one folder, a bundle, and knows no run."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..scores.calibration import Scale
from ..scores.causal import causal_frames
from ..scores.stream import Stream
from .bundle import Bundle
from .rawscores import Frames, RawScores, frames_of, raw_scores, untold
from .watcher import Watcher

if TYPE_CHECKING:
    from ..edge.flow import Flow
    from ..retrieval.exemplars import Exemplars
    from ..video.source import FrameSource
    from .engines.engine import Engine
    from .explain import Explanation
    from .zones import Zone

Floats = NDArray[np.float64]

JOIN_SECONDS = 2.0  # alarms less far apart are one, as when alarms are judged against events


@dataclass(frozen=True)
class Alarm:
    """Frames at or above the threshold, from the first to the last, less than two seconds apart.

    The highest ``score`` is at frame ``peak``, where ``stream`` has the highest score of its own.
    """

    first: int
    last: int
    peak: int
    score: float
    stream: str


@dataclass(frozen=True)
class VideoScores:
    """A whole video, scored causally: each stream and their fusion, a score a frame, (frames,), NaN where none can be:

    before the first snippet, where frames are lost, and until a snippet lies behind those.

    An alarm is at ``threshold`` and above it; ``raw`` has the streams' own scores, times and ticks.
    """

    raw: RawScores
    streams: Mapping[str, Floats]
    fused: Floats
    threshold: float

    @property
    def times(self) -> Floats:
        """Seconds of each frame."""
        return self.raw.times

    def alarms(self, join_seconds: float = JOIN_SECONDS) -> list[Alarm]:
        """Alarms in order of time."""
        loud = np.flatnonzero(self.fused >= self.threshold)  # NaN is not
        gaps = np.flatnonzero(np.diff(self.times[loud]) > join_seconds) + 1
        found = []
        for frames in np.split(loud, gaps) if len(loud) else ():
            first, last = int(frames[0]), int(frames[-1])
            peak = first + int(np.nanargmax(self.fused[first : last + 1]))
            own = {name: line[peak] for name, line in self.streams.items() if not math.isnan(line[peak])}
            found.append(Alarm(first, last, peak, float(self.fused[peak]), max(own, key=lambda name: own[name])))
        return found


class Detector:
    """Streams, their scales on normal video and their weights in the fusion, by name. See `load`.

    ``rate`` ticks a second is what the streams have learned, ``threshold`` that of the fused causal score; without a
    ``bundle`` nothing is explained by pictures, without scales of ``heat`` there is none; ``flow`` makes the streams'
    clips, where one net serves both.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        rate: float,
        scales: Mapping[str, Scale],
        weights: Mapping[str, float],
        threshold: float,
        bundle: Bundle | None = None,
        heat: Mapping[str, Scale] | None = None,
        flow: "Flow | None" = None,
    ) -> None:
        self.streams, self.rate, self.scales, self.heat = dict(streams), rate, dict(scales), dict(heat or {})
        self.weights, self.threshold, self.bundle, self.flow = dict(weights), threshold, bundle, flow

    @classmethod
    def load(cls, path: Path | str | Bundle, engine: "Engine | None" = None) -> "Detector":
        """The detector in a bundle, or in a run folder that holds one. Changes nothing in the process.

        ``engine`` computes the nets; None: CUDA or OpenVINO where there is one, else torch. Raises BundleError where
        there is no bundle, or one that is altered, not whole, or of a newer version.
        """
        from .loading import load_streams

        bundle = path if isinstance(path, Bundle) else Bundle(Path(path))
        told, (streams, flow) = bundle.description, load_streams(bundle, engine)
        rate, normal = told.pictures.rate, told.calibration
        return cls(streams, rate, normal.scales, told.weights, normal.threshold, bundle, normal.heat, flow)

    def within(self, zones: "Sequence[Zone]") -> "Detector":
        """The detector as it sees within zones; it shares the nets. Errors as `zones.watched` and `zones.within`."""
        from .zones import watched, within

        assert self.bundle is not None
        pictures = self.bundle.description.pictures
        found = copy.copy(self)
        found.streams = within(self.streams, watched(zones, pictures.height, pictures.width))
        return found

    def watch(self, rate: float | None = None) -> Watcher:
        """A watcher of one camera; ``rate``: its frames a second, where that is known."""
        return Watcher(self, rate)

    def score(
        self,
        source: "Path | str | FrameSource | Frames",
        progress: Callable[[int], None] = untold,
        keep: Path | None = None,
    ) -> VideoScores:
        """Scores every frame of a video, from the past alone: what `watch` would say, to the bit.

        ``source`` is a video file, a folder of images, a source of frames, or images (H, W, 3) at the detector's rate;
        the rest is as for `raw_scores`. Raises VideoError, which names the frame, where the video breaks.
        """
        raw = raw_scores(self.streams, self.rate, self.source(source), progress, keep, self.flow)
        snippets = {name: stream.snippet for name, stream in self.streams.items()}
        streams, fused = causal_frames(raw.streams, snippets, self.scales, self.weights, raw.ticks)
        return VideoScores(raw, streams, fused, self.threshold)

    def explain(self, source: "Path | str | FrameSource | Frames", frames: Iterable[int]) -> "Iterator[Explanation]":
        """Picture, heat and nearest normal event of these frames, by time; the source is read anew, once."""
        from .explain import explain

        read = self.source(source)
        return explain(self, frames_of(read), getattr(read, "rate", None), frames)

    @cached_property
    def exemplars(self) -> "Exemplars | None":
        """Normal events as pictures, read when first asked for."""
        from ..retrieval.exemplars import Exemplars
        from .bundle import EXEMPLARS

        return None if self.bundle is None else Exemplars.load(self.bundle.path(EXEMPLARS))

    def source(self, given: "Path | str | FrameSource | Frames") -> "FrameSource | Frames":
        """A path as a source of frames; a folder of images counts as being of the detector's rate."""
        if not isinstance(given, Path | str):
            return given
        from ..video.frames import open_source

        return open_source(Path(given), rate=self.rate if Path(given).is_dir() else None)
