"""Frame scores of a run's test videos under both protocols, from what its stages have left and its bundle."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.layouts import Dataset, Video
from ..datasets.manifest import Prepared
from ..detector.bundle import Bundle
from ..scores.causal import causal_timeline, fuse_causal
from ..scores.files import read_scores
from ..scores.timeline import paper_timeline
from ..video.snippets import Snippet
from ..video.ticks import ticks_of
from .run import Run

Scores = dict[str, NDArray[np.float64]]
"""Video → scores, one a frame, or, of what stages leave, one a snippet."""
Curves = dict[str, Scores]
"""Row of a table → video → frame scores (frames,)."""


def ticks_by_video(run: Run, split: str, rate: float) -> dict[str, NDArray[np.int64]]:
    """Video → the last tick before or at each of its frames, at ``rate`` ticks a second."""
    videos = run.dataset.training if split == "training" else run.dataset.testing
    found = {}
    for video in videos:
        own = video.open().rate
        found[video.name] = ticks_of(np.arange(run.prepared[split][video.name].frames) / own, own, rate)
    return found


def test_ticks(run: Run, rate: float) -> dict[str, NDArray[np.int64]]:
    """The same of the test videos."""
    return ticks_by_video(run, "testing", rate)


@dataclass(frozen=True)
class TestScores:
    """The streams' raw scores of all test videos, and how they become frame scores.

    Attributes:
        folder: of the run.
        source: the dataset as it lies on the disk, with labels and masks.
        videos: the test videos, with their frames ready to be read.
        known: video → its frame count and size.
        bundle: the run's detector.
        windows: columns of ``local``.
        ticks: video → the last tick before or at each frame.
        local: video → (snippets, windows).
        whole: video → FLE, (snippets,).
        distances: video → (snippets,).
    """

    __test__ = False  # no test class, whatever pytest thinks of its name

    folder: Path
    source: Dataset
    videos: dict[str, Video]
    known: dict[str, Prepared]
    bundle: Bundle
    windows: tuple[int, ...]
    ticks: dict[str, NDArray[np.int64]]
    local: Scores
    whole: Scores
    distances: Scores

    @classmethod
    def load(cls, run: Run, bundle: Bundle) -> "TestScores":
        """What the stages have left.

        Raises:
            ScoreFileError: test videos were not scored.
        """
        return cls(
            run.folder,
            run.source(),
            {video.name: video for video in run.dataset.testing},
            run.prepared["testing"],
            bundle,
            run.recipe.recovery.windows,
            test_ticks(run, bundle.description.pictures.rate),
            read_scores(run.path("recovery/scores.npz")),
            read_scores(run.path("recovery/fle.npz")),
            read_scores(run.path("retrieval/scores.npz")),
        )

    @property
    def chosen(self) -> str:
        """The row of the chosen window."""
        return f"MLE {self.bundle.description.recovery.how.window}"

    @cached_property
    def raw(self) -> dict[str, Scores]:
        """Stream → video → the scores that are fused, (snippets,)."""
        column = self.windows.index(self.bundle.description.recovery.how.window)
        return {
            "recovery": {name: scores[:, column] for name, scores in self.local.items()},
            "retrieval": self.distances,
        }

    def paper(self) -> Curves:
        """Under the paper's protocol: ``MLE <window>`` for each, ``FLE`` and ``retrieval``."""
        snippets = self.bundle.snippets
        curves = {
            f"MLE {window}": self._placed(
                {name: scores[:, column] for name, scores in self.local.items()}, snippets["recovery"]
            )
            for column, window in enumerate(self.windows)
        }
        curves["FLE"] = self._placed(self.whole, snippets["recovery"])
        curves["retrieval"] = self._placed(self.distances, snippets["retrieval"])
        return curves

    def causal(self) -> Curves:
        """Under the causal protocol: the chosen ``MLE <window>``, ``retrieval`` and ``fused``.

        NaN at the first frames, for which there is no score yet.
        """
        described = self.bundle.description
        lines = {
            stream: {
                name: causal_timeline(
                    raw, self.bundle.snippets[stream], self._count(name), described.calibration.scales[stream]
                )
                for name, raw in scores.items()
            }
            for stream, scores in self.raw.items()
        }
        lines["fused"] = {
            name: fuse_causal({stream: lines[stream][name] for stream in self.raw}, described.weights)
            for name in self.distances
        }
        rows = {"recovery": self.chosen}
        return {
            rows.get(row, row): {name: line[self.ticks[name]] for name, line in of_videos.items()}
            for row, of_videos in lines.items()
        }

    def _placed(self, raw: Scores, snippet: Snippet) -> Scores:
        return {
            name: paper_timeline(scores, snippet, self._count(name))[self.ticks[name]] for name, scores in raw.items()
        }

    def _count(self, name: str) -> int:
        return int(self.ticks[name][-1]) + 1
