"""The detector: an object that watches. It loads from one folder, a bundle, and knows no run."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..scores.calibration import Scale
from ..scores.causal import causal_frames
from ..scores.stream import ScoreLog, Stream
from .bundle import Bundle
from .feed import Feed, Image
from .watcher import Watcher

if TYPE_CHECKING:
    from ..retrieval.exemplars import Exemplars
    from ..video.source import FrameSource
    from .engines.engine import Engine
    from .explain import Explanation

Floats = NDArray[np.float64]
Frames = Iterable[Image]

KEEP_SECONDS = 60.0  # from one keeping of a long video's scores to the next
JOIN_SECONDS = 2.0  # alarms less far apart are one, as when alarms are judged against events


def untold(frames: int) -> None:
    """Tells nobody how many frames have been scored."""


@dataclass(frozen=True)
class RawScores:
    """Scores of one video as the streams give them.

    ``times`` are seconds of each frame, (frames,); ``ticks`` the last tick before or at each frame, (frames,), the
    frames' own numbers where nothing was resampled; ``streams`` have a score a snippet of ticks, (snippets,);
    NaN where a frame in its span is lost, as ``lost``, (frames,), says; ``corrected`` time stamps were put right.
    """

    times: Floats
    ticks: NDArray[np.int64]
    streams: Mapping[str, Floats]
    lost: NDArray[np.bool_]
    corrected: int = 0

    @property
    def count(self) -> int:
        """Ticks of the video."""
        return int(self.ticks[-1]) + 1 if len(self.ticks) else 0

    @property
    def resampled(self) -> bool:
        """Whether the video's frames are not the ticks."""
        return not np.array_equal(self.ticks, np.arange(len(self.ticks)))


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
    ``bundle`` nothing is explained by pictures, without scales of ``heat`` there is none.
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
    ) -> None:
        self.streams, self.rate, self.scales, self.heat = dict(streams), rate, dict(scales), dict(heat or {})
        self.weights, self.threshold, self.bundle = dict(weights), threshold, bundle

    @classmethod
    def load(cls, path: Path | str | Bundle, engine: "Engine | None" = None) -> "Detector":
        """The detector in a bundle, or in a run folder that holds one. Changes nothing in the process.

        ``engine`` computes the nets; None: CUDA or OpenVINO where there is one, else torch. Raises BundleError where
        there is no bundle, or one that is altered, not whole, or of a newer version.
        """
        from .loading import load_streams

        bundle = path if isinstance(path, Bundle) else Bundle(Path(path))
        told, streams = bundle.description, load_streams(bundle, engine)
        normal = told.calibration
        return cls(streams, told.pictures.rate, normal.scales, told.weights, normal.threshold, bundle, normal.heat)

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
        raw = raw_scores(self.streams, self.rate, self.source(source), progress, keep)
        snippets = {name: stream.snippet for name, stream in self.streams.items()}
        streams, fused = causal_frames(raw.streams, snippets, self.scales, self.weights, raw.ticks)
        return VideoScores(raw, streams, fused, self.threshold)

    def explain(self, source: "Path | str | FrameSource | Frames", frames: Iterable[int]) -> "Iterator[Explanation]":
        """Picture, heat and nearest normal event of these frames, by time; the source is read anew, once."""
        from .explain import explain

        read = self.source(source)
        return explain(self, _frames(read), getattr(read, "rate", None), frames)

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


def raw_scores(
    streams: Mapping[str, Stream],
    rate: float,
    source: "FrameSource | Frames",
    progress: Callable[[int], None] = untold,
    keep: Path | None = None,
) -> RawScores:
    """All streams' scores of a video; memory holds the frames of a snippet and a few numbers a frame.

    The streams have learned ``rate`` ticks a second; ``progress`` is told the number of frames read. ``keep``, a file
    of this video and these streams, gets the scores so far every minute; where it is there, only what it lacks is
    scored, to the same scores. Raises VideoError, which names the frame, where the video breaks.
    """
    from ..scores.files import write_scores

    logs, before, at = {name: ScoreLog() for name in streams}, _kept(keep, streams), time.monotonic()
    for name, scores in before.items():
        logs[name].add(scores)
    counts = {name: len(scores) for name, scores in before.items()}
    feed = Feed(streams, rate, getattr(source, "rate", None), counts)
    frames = ScoreLog()  # time, tick and whether it is lost, of each
    for index, (image, stamp, lost) in enumerate(_frames(source)):
        for told in feed.push(image, stamp, lost=lost):
            for name, score in told.items():
                logs[name].add(np.array([score]))
        frames.add(np.array([(feed.time, feed.resampler.ticks - 1, lost)]))
        if keep is not None and time.monotonic() - at > KEEP_SECONDS:
            write_scores(keep, {name: log.array() for name, log in logs.items()}, gaps=True)
            at = time.monotonic()
        progress(index + 1)
    corrected = feed.clock.corrected + getattr(source, "corrected", 0)
    found = {name: log.array() for name, log in logs.items()}
    times, ticks, gone = frames.array().reshape(-1, 3).T
    return RawScores(times, ticks.astype(np.int64), found, gone.astype(bool), corrected)


def _frames(source: "FrameSource | Frames") -> Iterator[tuple[Image, float | None, bool]]:
    """Images, their time stamps and whether they are lost, of sources and of plain images."""
    for frame in source:
        yield (frame, None, False) if isinstance(frame, np.ndarray) else (frame.image, frame.time, frame.lost)


def _kept(keep: Path | None, streams: Mapping[str, Stream]) -> dict[str, Floats]:
    """Scores that a killed scoring has left; none where the file is broken."""
    from ..scores.files import ScoreFileError, read_scores

    if keep is None or not keep.exists():
        return {}
    try:
        found = read_scores(keep, gaps=True)
    except ScoreFileError:
        return {}
    return found if found.keys() == streams.keys() else {}
