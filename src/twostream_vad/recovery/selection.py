"""Chooses the error window, and what else of the score is open, by pseudo-anomalies; reads no test label."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from ..errors import TsvadError
from ..evaluation.auc import micro_auc
from ..progress import Progress, silent
from ..scores.files import kept
from ..scores.stream import ScoreLog, clip_batches
from ..scores.timeline import paper_timeline
from ..settings import PseudoSettings, RecoverySettings, Resolved
from ..storage import write_text
from ..video.frames import ImageFolder
from .error import over_crops
from .pseudo import PseudoVideo, pseudo_videos
from .stream import predict
from .windows import AllWindows, maximum_errors

Curves = Mapping[str, NDArray[np.float64]]
CANDIDATES = TypeAdapter(tuple[Resolved, ...])


def save_selection(path: Path, candidates: Sequence[Resolved]) -> None:
    """Every candidate, the best first, as JSON."""
    write_text(path, CANDIDATES.dump_json(tuple(candidates), indent=1).decode() + "\n")


def load_selection(path: Path) -> tuple[Resolved, ...]:
    """What `save_selection` wrote; the first is the chosen one. TsvadError for no such file, or a broken one."""
    try:
        candidates = CANDIDATES.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise TsvadError(f"{path}: no window is chosen yet; run `tsvad recovery select-window` first") from None
    except ValidationError as error:
        raise TsvadError(f"{path}: not a selection ({error.errors()[0]['msg']}); delete it and select again") from None
    if not candidates:
        raise TsvadError(f"{path}: not a selection (it is empty); delete it and select again")
    return candidates


def only_candidate(settings: RecoverySettings) -> Resolved | None:
    """How to score, where nothing is left to be selected."""
    options = _options(settings)
    return options[0] if len(options) == 1 else None


def best_by_window(candidates: Sequence[Resolved]) -> list[Resolved]:
    """Each window's best candidate, the best window first, of candidates that are sorted so."""
    best: dict[int, Resolved] = {}
    for candidate in candidates:
        best.setdefault(candidate.window, candidate)
    return list(best.values())


def select_score(
    videos: Mapping[str, ImageFolder],
    windows: AllWindows,
    pseudo: PseudoSettings,
    folder: Path,
    seed: int,
    progress: Progress = silent,
    beside: Sequence[Curves] = ({},),
) -> tuple[tuple[Resolved, ...], dict[str, NDArray[np.float64]]]:
    """Scores pseudo-anomalies of normal videos and ranks every window (and open setting) by micro-AUC.

    ``folder`` keeps each pseudo-anomalous video's errors, so that a killed choice goes on behind the last of them.
    ``beside`` is what a candidate's frame scores are added to, video → (frames,): retrieval's at every weight that may
    be chosen later. A candidate is worth what it reaches with the best of them.

    Returns:
        All candidates, the best first, of equal ones the larger window; and the best one's scores of every
        pseudo-anomalous video, (snippets,).

    Raises:
        TsvadError: no training video is long enough to be scored.
    """
    jobs = pseudo_videos(videos, pseudo, windows.snippet, seed=seed)
    maxima: dict[str, Tensor] = {}
    for done, video in enumerate(jobs):
        progress(done, len(jobs), video.name)
        maxima[video.name] = torch.from_numpy(kept(folder / f"{video.name}.npy", partial(_maxima, windows, video)))
    progress(len(jobs), len(jobs))
    candidates = [_rate(windows, jobs, pseudo.kinds, maxima, how, beside) for how in _options(windows.settings)]
    best = max(candidate.mean for candidate in candidates)
    # Those within a tie of the best first, the largest window before all others.
    ranked = tuple(
        sorted(
            candidates, key=lambda c: (-c.window, -c.mean) if best - c.mean <= pseudo.tie else (0, -c.mean, -c.window)
        )
    )
    return ranked, {name: _scores(windows, rows, ranked[0]) for name, rows in maxima.items()}


def _maxima(windows: AllWindows, video: PseudoVideo) -> NDArray[np.float32]:
    crops, log = (windows.views.scored(frame.image) for frame in video), ScoreLog()
    for clips in clip_batches(crops, windows.snippet, windows.settings.score_batch):
        log.add(windows.maxima(*predict(windows.predictor, clips), clips.shape[:2]).numpy())
    return log.array().astype(np.float32)  # as they were: float64 holds them exactly


def _options(settings: RecoverySettings) -> list[Resolved]:
    together = settings.windows if settings.window == "all" else ()
    windows = [max(together)] if together else [w for w in settings.windows if settings.window in ("select", w)]
    l1s: Sequence[float] = (0.0, 1.0) if settings.score_l1 == "select" else (settings.score_l1,)
    l2s: Sequence[bool] = (False, True) if settings.channel_l2 == "select" else (settings.channel_l2,)
    crops: Sequence[Literal["max", "mean"]] = ("mean", "max") if settings.crops == "select" else (settings.crops,)
    places: Sequence[bool] = (False, True) if settings.per_place == "select" else (settings.per_place,)
    return [
        Resolved(window=window, together=together, score_l1=l1, channel_l2=l2, crops=how, per_place=by_place)
        for window, l1, l2, how, by_place in itertools.product(windows, l1s, l2s, crops, places)
    ]


def _rate(
    windows: AllWindows,
    videos: Sequence[PseudoVideo],
    kinds: Sequence[str],
    maxima: Mapping[str, Tensor],
    how: Resolved,
    beside: Sequence[Curves],
) -> Resolved:
    curves = {
        video.name: paper_timeline(_scores(windows, maxima[video.name], how), windows.snippet, len(video))
        for video in videos
    }
    reached = [how.model_copy(update={"aucs": rate(curves, videos, kinds, other)}) for other in beside]
    return max(reached, key=lambda candidate: candidate.mean)


def rate(
    curves: Curves, videos: Sequence[PseudoVideo], kinds: Sequence[str], beside: Curves | None = None
) -> dict[str, float]:
    """Kind of pseudo-anomaly → micro-AUC of frame scores (frames,) by video, what stands ``beside`` them added."""
    aucs = {}
    for kind in kinds:
        labels = {video.name: video.labels() for video in videos if video.kind == kind}
        aucs[kind] = micro_auc({name: curves[name] + (beside or {}).get(name, 0.0) for name in labels}, labels)
    return aucs


def _scores(windows: AllWindows, maxima: Tensor, how: Resolved) -> NDArray[np.float64]:
    columns = [windows.settings.windows.index(side) for side in how.sides]
    scores: NDArray[np.float64] = (
        over_crops(maximum_errors(maxima, how), how.crops)[:, columns].double().mean(1).numpy()
    )
    return scores
