"""The stages of a run, each done once and resumed when it was not, and all of them in order."""

from collections.abc import Callable

from ...datasets.prepare import prepare
from ...progress import Progress, silent
from ..run import Run
from .fusion import run_calibrate, run_fuse, run_select_weight
from .recovery import run_score_recovery, run_select_window, run_train_recovery
from .retrieval import run_features, run_index, run_score_retrieval, run_train_encoder, run_train_retrieval
from .stage import stage


def run_prepare(run: Run, *, redo: bool = False, workers: int | None = None, progress: Progress = silent) -> None:
    """Stage 1: frames out of videos, counted by decoding."""
    with stage(run, "prepare", redo) as wanted:
        if wanted:
            prepare(run.source(), run.path("frames"), workers=workers, progress=progress)


FITTING: dict[str, Callable[..., None]] = {
    "prepare": run_prepare,
    "train-recovery": run_train_recovery,
    "select-window": run_select_window,
    "train-encoder": run_train_encoder,
    "features": run_features,
    "train-retrieval": run_train_retrieval,
    "index": run_index,
    "select-weight": run_select_weight,
    "calibrate": run_calibrate,
    "score-recovery": run_score_recovery,
    "score-retrieval": run_score_retrieval,
    "fuse": run_fuse,
}
"""All stages in the order in which `fit` runs them."""


def wanted_stages(run: Run) -> list[str]:
    """The stages that `fit` runs: no scoring without test videos, no encoder where the recipe trains none."""
    left_out = set() if run.dataset.testing else {"score-recovery", "score-retrieval", "fuse"}
    if run.recipe.retrieval.encoder != "pace":
        left_out.add("train-encoder")
    return [name for name in FITTING if name not in left_out]
