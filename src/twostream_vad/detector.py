"""Both streams of a fitted run on a new video: decoded once, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .fitted import (
    calibration,
    chosen_window,
    fusion_weights,
    recovery_settings,
    recovery_stream,
    retrieval_stream,
    views,
)
from .recovery.stream import RecoveryStream
from .retrieval.stream import RetrievalStream
from .run import Run, RunError
from .scores.calibration import Calibration, Scale
from .scores.causal import causal_timeline, fuse_causal
from .scores.fusion import fuse
from .scores.stream import ClipBuffer, ScoreLog, Stream
from .scores.timeline import paper_timeline
from .training import set_up_process
from .video.frames import FrameSource
from .video.views import Views

Floats = NDArray[np.float64]


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
        set_up_process(run.recipe.threads)
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

    def raw(self, source: FrameSource, progress: Callable[[int], None] = lambda _: None) -> RawScores:
        """Both streams' scores; memory holds the frames of two snippets and a few numbers a frame.

        Args:
            source: the video.
            progress: told the number of frames read.

        Raises:
            VideoError: the video breaks; the message names the frame.
        """
        times: list[float] = []
        feeds = (_Feed(self.recovery, self.batches[0]), _Feed(self.retrieval, self.batches[1]))
        for frame in source:
            times.append(frame.time)
            view = self.views.scored(frame.image)
            for feed in feeds:
                feed.push(view)
            progress(len(times))
        local, distances = (feed.scores() for feed in feeds)
        return RawScores(np.array(times), local[:, self.window] if local.size else np.zeros(0), distances)

    def causal(self, raw: RawScores, recovery: Scale, retrieval: Scale) -> Floats:
        """Both streams' causal timelines on their scales, fused, (frames,); NaN where there is no score yet."""
        frames = len(raw.times)
        return fuse_causal(
            causal_timeline(raw.recovery, self.recovery.snippet, frames, recovery),
            causal_timeline(raw.retrieval, self.retrieval.snippet, frames, retrieval),
            self.weights,
        )

    def score(self, source: FrameSource, progress: Callable[[int], None] = lambda _: None) -> VideoScores:
        """Scores every frame of a video, under both protocols; arguments and errors as `raw`."""
        assert self.calibration is not None, "loaded for raw scores only"
        raw = self.raw(source, progress)
        frames, snippets = len(raw.times), (self.recovery.snippet, self.retrieval.snippet)
        recovery = paper_timeline(raw.recovery, snippets[0], frames)
        retrieval = paper_timeline(raw.retrieval, snippets[1], frames)
        causal = self.causal(raw, self.calibration.recovery, self.calibration.retrieval)
        fused = fuse(recovery, retrieval, self.weights)
        return VideoScores(raw, recovery, retrieval, fused, causal, self.calibration.threshold)


class _Feed:
    """A stream, its buffer and the scores so far."""

    def __init__(self, stream: Stream, batch: int) -> None:
        self._stream, self._buffer = stream, ClipBuffer(stream.snippet, batch)
        self._scores = ScoreLog()

    def push(self, view: Tensor) -> None:
        clips = self._buffer.push(view)
        if clips is not None:
            self._scores.add(self._stream.score(clips))

    def scores(self) -> Floats:
        clips = self._buffer.flush()
        if clips is not None:
            self._scores.add(self._stream.score(clips))
        return self._scores.array()
