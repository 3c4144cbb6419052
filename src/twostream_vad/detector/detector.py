"""Both streams of a fitted run on a new video: decoded once, in bounded memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..recovery.stream import RecoveryStream
from ..retrieval.stream import RetrievalStream
from ..runs.fitted import (
    calibration,
    chosen_window,
    fusion_weights,
    recovery_settings,
    recovery_stream,
    retrieval_stream,
    views,
)
from ..runs.run import Run, RunError
from ..scores.calibration import Calibration, Scale
from ..scores.causal import causal_timeline, fuse_causal
from ..scores.files import ScoreFileError, read_scores, write_scores
from ..scores.fusion import fuse
from ..scores.stream import ClipBuffer, ScoreLog, Stream
from ..scores.timeline import paper_timeline
from ..video.frames import FrameSource
from ..video.views import Views

Floats = NDArray[np.float64]

KEEP_SECONDS = 60.0
"""Time from one keeping of a long video's scores to the next."""


@dataclass(frozen=True)
class RawScores:
    """Scores of one video as the streams give them.

    Attributes:
        times: seconds of each frame, (frames,).
        recovery: MLE of the chosen window, (snippets,).
        retrieval: distance to the nearest bucket, (snippets,).
    """

    times: Floats
    recovery: Floats
    retrieval: Floats


@dataclass(frozen=True)
class VideoScores:
    """Frame scores of one video, (frames,) each.

    Attributes:
        raw: the streams' own scores.
        recovery: paper's protocol: aligned, min-max over this video, smoothed.
        retrieval: likewise.
        fused: their weighted sum.
        causal: both streams fused on the scale of held-out normal video, from the past alone; NaN before the first.
        threshold: of ``causal``: alarm at and above it.
    """

    raw: RawScores
    recovery: Floats
    retrieval: Floats
    fused: Floats
    causal: Floats
    threshold: float


@dataclass(frozen=True)
class Detector:
    """Two streams, how a frame is looked at, and how their scores are fused and calibrated."""

    recovery: RecoveryStream
    retrieval: RetrievalStream
    views: Views
    window: int
    weights: tuple[float, float]
    batches: tuple[int, int]
    calibration: Calibration | None

    @classmethod
    def load(cls, run: Run, *, calibrated: bool = True) -> "Detector":
        """The detector of a fitted run; one that is not ``calibrated`` gives raw scores only.

        Raises:
            RunError: the run is not fitted to the end.
        """
        for name in ("select-window", "index", "select-weight", *(("calibrate",) if calibrated else ())):
            if not run.is_done(name):
                raise RunError(f"{run.folder} is not fitted to the end; {run.goes_on}")
        settings = recovery_settings(run)
        return cls(
            recovery_stream(run, settings),
            retrieval_stream(run),
            views(run),
            settings.windows.index(chosen_window(settings)),
            fusion_weights(run),
            (settings.score_batch, run.recipe.retrieval.score_batch),
            calibration(run) if calibrated else None,
        )

    def raw(
        self, source: FrameSource, progress: Callable[[int], None] = lambda _: None, keep: Path | None = None
    ) -> RawScores:
        """Both streams' scores; memory holds the frames of two snippets and a few numbers a frame.

        Args:
            source: the video.
            progress: told the number of frames read.
            keep: a file of this video and this run, which gets the scores so far every minute. Where it is there, only
                what it lacks is scored, to the same scores.

        Raises:
            VideoError: the video breaks; the message names the frame.
        """
        times: list[float] = []
        before, at = _kept(keep), time.monotonic()
        feeds = {
            "recovery": _Feed(self.recovery, self.batches[0], before.get("recovery")),
            "retrieval": _Feed(self.retrieval, self.batches[1], before.get("retrieval")),
        }
        for frame in source:
            times.append(frame.time)
            wanting = [feed for feed in feeds.values() if frame.index >= feed.first]
            if wanting:
                view = self.views.scored(frame.image)
                for feed in wanting:
                    feed.push(view)
            if keep is not None and time.monotonic() - at > KEEP_SECONDS:
                write_scores(keep, {name: feed.so_far() for name, feed in feeds.items()})
                at = time.monotonic()
            progress(len(times))
        local, distances = (feed.scores() for feed in feeds.values())
        return RawScores(np.array(times), local[:, self.window] if local.size else np.zeros(0), distances)

    def causal(self, raw: RawScores, recovery: Scale, retrieval: Scale) -> Floats:
        """Both streams' causal timelines on their scales, fused, (frames,); NaN where there is no score yet."""
        frames = len(raw.times)
        return fuse_causal(
            causal_timeline(raw.recovery, self.recovery.snippet, frames, recovery),
            causal_timeline(raw.retrieval, self.retrieval.snippet, frames, retrieval),
            self.weights,
        )

    def score(
        self, source: FrameSource, progress: Callable[[int], None] = lambda _: None, keep: Path | None = None
    ) -> VideoScores:
        """Scores every frame of a video, under both protocols; arguments and errors as `raw`."""
        assert self.calibration is not None, "loaded for raw scores only"
        raw = self.raw(source, progress, keep)
        frames, snippets = len(raw.times), (self.recovery.snippet, self.retrieval.snippet)
        recovery = paper_timeline(raw.recovery, snippets[0], frames)
        retrieval = paper_timeline(raw.retrieval, snippets[1], frames)
        causal = self.causal(raw, self.calibration.recovery, self.calibration.retrieval)
        fused = fuse(recovery, retrieval, self.weights)
        return VideoScores(raw, recovery, retrieval, fused, causal, self.calibration.threshold)


def _kept(keep: Path | None) -> dict[str, Floats]:
    """Scores that a killed scoring has left; none where the file is broken."""
    if keep is None or not keep.exists():
        return {}
    try:
        return read_scores(keep)
    except ScoreFileError:
        return {}


class _Feed:
    """A stream, its buffer and the scores so far.

    Attributes:
        first: the first frame that it takes, that of the first snippet without a score.
    """

    def __init__(self, stream: Stream, batch: int, before: Floats | None) -> None:
        self._stream, self._buffer = stream, ClipBuffer(stream.snippet, batch)
        self._scores, self.first = ScoreLog(), 0
        if before is not None and len(before):  # whole batches, so that the next one begins where it would have
            self._scores.add(before)
            self.first = len(before)

    def push(self, view: Tensor) -> None:
        clips = self._buffer.push(view)
        if clips is not None:
            self._scores.add(self._stream.score(clips))

    def so_far(self) -> Floats:
        """Scores of whole batches."""
        return self._scores.array()

    def scores(self) -> Floats:
        """All scores, when the video has ended."""
        clips = self._buffer.flush()
        if clips is not None:
            self._scores.add(self._stream.score(clips))
        return self._scores.array()
