"""Chooses the error window, and what else of the score is open, by pseudo-anomalies; reads no test label."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..evaluation.auc import micro_auc
from ..progress import Progress, silent
from ..scores.files import kept
from ..scores.stream import ScoreLog, clip_batches
from ..scores.timeline import paper_timeline
from ..settings import PseudoSettings, RecoverySettings
from ..storage import write_text
from ..video.frames import ImageFolder
from ..video.views import Views
from .error import maximum_local_error, over_crops
from .pseudo import PseudoVideo, pseudo_videos
from .stream import Chosen, RecoveryStream


@dataclass(frozen=True)
class Candidate:
    """One way to score, and the micro-AUC that it reaches on pseudo-anomalies."""

    window: int
    score_l1: float
    channel_l2: bool
    crops: Literal["max", "mean"]
    per_place: bool
    aucs: Mapping[str, float]
    """Kind of pseudo-anomaly → micro-AUC."""

    @property
    def mean(self) -> float:
        """Mean of all kinds' micro-AUC: what is compared."""
        return sum(self.aucs.values()) / len(self.aucs)


@dataclass(frozen=True)
class Selection:
    """The chosen way to score, and every candidate, best first."""

    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The candidate with the best mean; the larger window where two are equal."""
        return self.candidates[0]

    def apply(self, settings: RecoverySettings) -> RecoverySettings:
        """Settings with the chosen values."""
        best = self.best
        chosen = {key: getattr(best, key) for key in ("window", "score_l1", "channel_l2", "crops", "per_place")}
        return settings.model_copy(update=chosen)

    def save(self, path: Path) -> None:
        """As JSON."""
        write_text(path, json.dumps([asdict(candidate) for candidate in self.candidates], indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Selection":
        """What `save` wrote.

        Raises:
            ValueError: no such file, or a broken one.
        """
        try:
            candidates = tuple(Candidate(**entry) for entry in json.loads(path.read_text("utf-8")))
            if not candidates:
                raise ValueError("it is empty")
            return cls(candidates)
        except FileNotFoundError:
            raise ValueError(f"{path}: no window is chosen yet; run `tsvad recovery select-window` first") from None
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not a selection ({error}); delete it and select again") from None


def select_window(
    videos: Mapping[str, ImageFolder],
    stream: RecoveryStream,
    pseudo: PseudoSettings,
    views: Views,
    folder: Path,
    seed: int,
    progress: Progress = silent,
) -> tuple[Selection, dict[str, NDArray[np.float64]]]:
    """Scores pseudo-anomalies of normal videos and ranks every window (and open setting) by micro-AUC.

    Args:
        videos: normal videos by name.
        stream: the trained stream.
        pseudo: how pseudo-anomalies are made, and of how many videos a scene.
        views: resize and crops.
        folder: keeps each pseudo-anomalous video's errors, so that a killed choice goes on behind the last of them.
        seed: of angles and jumps.
        progress: told after every video.

    Returns:
        All candidates, the best first; and the best one's scores of every pseudo-anomalous video, (snippets,).

    Raises:
        ValueError: no training video is long enough to be scored.
    """
    jobs = pseudo_videos(videos, pseudo, stream.snippet, seed=seed)
    maxima: dict[str, Tensor] = {}
    for done, video in enumerate(jobs):
        progress(done, len(jobs), video.name)
        maxima[video.name] = torch.from_numpy(
            kept(folder / f"{video.name}.npy", partial(_maxima, stream, video, views))
        )
    progress(len(jobs), len(jobs))
    candidates = [_rate(stream, jobs, pseudo.kinds, maxima, *options) for options in _options(stream.settings)]
    selection = Selection(tuple(sorted(candidates, key=lambda c: (-c.mean, -c.window))))
    best = selection.best
    column = stream.settings.windows.index(best.window)
    return selection, {
        name: _scores(rows, column, Chosen(best.score_l1, best.channel_l2, best.crops, best.per_place))
        for name, rows in maxima.items()
    }


def _maxima(stream: RecoveryStream, video: PseudoVideo, views: Views) -> NDArray[np.float32]:
    crops = (views.scored(frame.image) for frame in video)
    log = ScoreLog()
    for clips in clip_batches(crops, stream.snippet, stream.settings.score_batch):
        log.add(stream.maxima(clips)[0].numpy())
    return log.array().astype(np.float32)  # as they were: float64 holds them exactly


def _options(settings: RecoverySettings) -> list[tuple[int, Chosen]]:
    windows = [column for column, window in enumerate(settings.windows) if settings.window in ("select", window)]
    l1s: Sequence[float] = (0.0, 1.0) if settings.score_l1 == "select" else (settings.score_l1,)
    l2s: Sequence[bool] = (False, True) if settings.channel_l2 == "select" else (settings.channel_l2,)
    crops: Sequence[Literal["max", "mean"]] = ("mean", "max") if settings.crops == "select" else (settings.crops,)
    places: Sequence[bool] = (False, True) if settings.per_place == "select" else (settings.per_place,)
    ways = [Chosen(*options) for options in itertools.product(l1s, l2s, crops, places)]
    return list(itertools.product(windows, ways))


def _rate(
    stream: RecoveryStream,
    videos: Sequence[PseudoVideo],
    kinds: Sequence[str],
    maxima: Mapping[str, Tensor],
    column: int,
    how: Chosen,
) -> Candidate:
    aucs = {}
    for kind in kinds:
        curves: dict[str, NDArray[np.float64]] = {}
        labels: dict[str, NDArray[np.uint8]] = {}
        for video in (video for video in videos if video.kind == kind):
            curves[video.name] = paper_timeline(_scores(maxima[video.name], column, how), stream.snippet, len(video))
            labels[video.name] = video.labels()
        aucs[kind] = micro_auc(curves, labels)
    return Candidate(stream.settings.windows[column], how.l1, how.channel_l2, how.crops, how.per_place, aucs)


def _scores(maxima: Tensor, column: int, how: Chosen) -> NDArray[np.float64]:
    errors = maximum_local_error(maxima[..., int(how.per_place), :], l1=how.l1, channel_l2=how.channel_l2)
    scores: NDArray[np.float64] = over_crops(errors, how.crops)[:, column].double().numpy()
    return scores
