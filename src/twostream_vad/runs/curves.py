"""Frame scores of a run's test videos under both protocols, from what its stages have left and its bundle."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset, Video
from ..datasets.manifest import Prepared
from ..detector.bundle import Bundle
from ..scores.causal import causal_frames
from ..scores.files import read_scores
from ..scores.timeline import paper_timeline, unscored
from ..video.frames import ChangedVideoError
from ..video.snippets import Snippet
from ..video.ticks import frames_of, ticks_of
from .run import Run
from .videos import image_folder

Scores = dict[str, NDArray[np.float64]]  # by video, one a frame, or, of what stages leave, one a snippet
Curves = dict[str, Scores]  # by row of a table


def ticks_by_video(run: Run, split: str, rate: float) -> dict[str, NDArray[np.int64]]:
    """Video → the last tick before or at each of its frames, at ``rate`` ticks a second.

    ChangedVideoError where a video has not the frames that were counted.
    """
    videos = run.dataset.training if split == "training" else run.dataset.testing
    folders = {video.name: image_folder(video) for video in videos}
    for name, folder in folders.items():
        if len(folder) != (counted := run.prepared[split][name].frames):
            raise ChangedVideoError(folder.path, f"no longer has {counted} frames")
    return {name: ticks_of(folder.times, folder.rate, rate) for name, folder in folders.items()}


def without_lost(videos: Iterable[Video], raw: Scores, snippet: Snippet, rate: float) -> Scores:
    """Scores a snippet with NaN where a frame in the snippet's span was missing or damaged."""
    scores = dict(raw)
    for video in videos:
        if video.lost:
            folder = image_folder(video)
            lost = folder.lost[frames_of(folder.times, folder.rate, rate)]
            scores[video.name] = raw[video.name].copy()
            scores[video.name][unscored(lost, snippet)] = np.nan
    return scores


@dataclass(frozen=True)
class TestScores:
    """The streams' raw scores of all test videos, and how they become frame scores."""

    __test__ = False  # no test class, whatever pytest thinks of its name

    folder: Path
    source: Dataset  # as it lies on the disk, with labels and masks
    videos: dict[str, Video]  # with their frames ready to be read
    known: dict[str, Prepared]
    bundle: Bundle
    windows: tuple[int, ...]  # columns of `local`
    ticks: dict[str, NDArray[np.int64]]  # the last tick before or at each frame
    local: Scores  # (snippets, windows)
    judged: Scores  # the chosen one, (snippets,)
    whole: Scores  # FLE, (snippets,)
    distances: Scores  # (snippets,)

    @classmethod
    def load(cls, run: Run, bundle: Bundle) -> "TestScores":
        """What the stages have left; ScoreFileError where test videos were not scored."""
        videos, rate = run.dataset.testing, bundle.description.pictures.rate

        def raw(stream: str, file: str) -> Scores:
            return without_lost(videos, read_scores(run.path(f"{stream}/{file}.npz")), bundle.snippets[stream], rate)

        return cls(
            run.folder,
            run.source(),
            {video.name: video for video in videos},
            run.prepared["testing"],
            bundle,
            run.recipe.recovery.windows,
            ticks_by_video(run, "testing", rate),
            local=raw("recovery", "scores"),
            judged=raw("recovery", "chosen"),
            whole=raw("recovery", "fle"),
            distances=raw("retrieval", "scores"),
        )

    @property
    def chosen(self) -> str:
        """The row of the chosen window."""
        return f"MLE {self.bundle.description.recovery.how.shown}"

    @cached_property
    def raw(self) -> dict[str, Scores]:
        """Stream → video → the scores that are fused, (snippets,)."""
        return {"recovery": self.judged, "retrieval": self.distances}

    def paper(self) -> Curves:
        """Under the paper's protocol: ``MLE <window>`` for each, ``FLE`` and ``retrieval``."""
        local = {f"MLE {window}": self._of(window) for window in self.windows} | {self.chosen: self.judged}
        local["FLE"] = self.whole
        curves = {row: self._placed(raw, "recovery") for row, raw in local.items()}
        return curves | {"retrieval": self._placed(self.distances, "retrieval")}

    def causal(self) -> Curves:
        """Under the causal protocol: chosen ``MLE <window>``, ``retrieval``, ``fused``; NaN before a first score."""
        described, rows = self.bundle.description, {"recovery": self.chosen, "retrieval": "retrieval"}
        curves: Curves = {row: {} for row in (*rows.values(), "fused")}
        for name, ticks in self.ticks.items():
            raw, scales = {stream: self.raw[stream][name] for stream in rows}, described.calibration.scales
            lines, curves["fused"][name] = causal_frames(raw, self.bundle.snippets, scales, described.weights, ticks)
            for stream, row in rows.items():
                curves[row][name] = lines[stream]
        return curves

    def _of(self, window: int) -> Scores:
        column = self.windows.index(window)
        return {name: scores[:, column] for name, scores in self.local.items()}

    def _placed(self, raw: Scores, stream: str) -> Scores:
        snippet, found = self.bundle.snippets[stream], {}
        for name, scores in raw.items():
            found[name] = paper_timeline(scores, snippet, self._count(name))[self.ticks[name]]
        return found

    def _count(self, name: str) -> int:
        return int(self.ticks[name][-1]) + 1
