"""Both streams of a fitted run on a new video: decoded once, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .recovery.stream import RecoveryStream
from .retrieval.stream import RetrievalStream
from .run import Run, RunError
from .scores.fusion import fuse
from .scores.stream import ClipBuffer, Stream
from .scores.timeline import paper_timeline
from .stages import fusion_weights, recovery_settings, recovery_stream, retrieval_stream, views
from .training import set_up_process
from .video.frames import FrameSource
from .video.views import Views

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VideoScores:
    """Scores of one video; raw ones a snippet, the others a frame, under the paper's protocol.

    Attributes:
        times: seconds of each frame, (frames,).
        recovery_raw: MLE of the chosen window, (snippets,).
        retrieval_raw: distance to the nearest bucket, (snippets,).
        recovery: aligned, min-max over this video, smoothed, (frames,).
        retrieval: likewise.
        fused: their weighted sum, (frames,).
    """

    times: Floats
    recovery_raw: Floats
    retrieval_raw: Floats
    recovery: Floats
    retrieval: Floats
    fused: Floats


@dataclass(frozen=True)
class Detector:
    """Two streams, how a frame is looked at, and how their scores are fused."""

    recovery: RecoveryStream
    retrieval: RetrievalStream
    views: Views
    window: int
    weights: tuple[float, float]
    batches: tuple[int, int]

    @classmethod
    def load(cls, run: Run) -> "Detector":
        """The detector of a fitted run.

        Raises:
            RunError: the run is not fitted to the end.
        """
        for name in ("select-window", "index", "select-weight"):
            if not run.is_done(name):
                raise RunError(
                    f"{run.folder} is not fitted to the end; `tsvad fit {run.data} --out {run.folder}` goes on"
                )
        set_up_process(run.recipe.threads)
        settings = recovery_settings(run)
        assert isinstance(settings.window, int)
        return cls(
            recovery_stream(run, settings),
            retrieval_stream(run),
            views(run),
            settings.windows.index(settings.window),
            fusion_weights(run),
            (settings.score_batch, run.recipe.retrieval.score_batch),
        )

    def score(self, source: FrameSource, progress: Callable[[int], None] = lambda _: None) -> VideoScores:
        """Scores every frame of a video; memory holds the frames of two snippets and a few numbers a frame.

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
        errors = local[:, self.window] if local.size else np.zeros(0)
        recovery = paper_timeline(errors, self.recovery.snippet, len(times))
        retrieval = paper_timeline(distances, self.retrieval.snippet, len(times))
        fused = fuse(recovery, retrieval, self.weights)
        return VideoScores(np.array(times), errors, distances, recovery, retrieval, fused)


class _Feed:
    """A stream, its buffer and the scores so far."""

    def __init__(self, stream: Stream, batch: int) -> None:
        self._stream, self._buffer = stream, ClipBuffer(stream.snippet, batch)
        self._scores: list[Floats] = []

    def push(self, view: Tensor) -> None:
        clips = self._buffer.push(view)
        if clips is not None:
            self._scores.append(self._stream.score(clips))

    def scores(self) -> Floats:
        clips = self._buffer.flush()
        if clips is not None:
            self._scores.append(self._stream.score(clips))
        return np.concatenate(self._scores) if self._scores else np.zeros(0)
