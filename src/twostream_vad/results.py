"""What a fitted run reaches on its test videos: AUC of every row under the paper's protocol."""

import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .datasets.labels import Labels, check_lengths, find_labels
from .evaluation.auc import macro_auc, micro_auc
from .run import Run, RunError
from .scores.files import read_scores
from .stages import paper_curves, recovery_settings
from .storage import write_text


@dataclass(frozen=True)
class Result:
    """AUC of every row, and which row's window was chosen."""

    rows: dict[str, tuple[float, float]]
    """Row → (micro-AUC, macro-AUC): ``MLE <window>`` each, ``FLE``, ``retrieval``, ``fused``."""
    chosen: str


def labels_of(run: Run, given: Path | None = None) -> Labels:
    """Labels of the run's test videos, one for each decoded frame; those in ``given`` before the run's own.

    Raises:
        DatasetError: their lengths differ from the videos'.
        RunError: there are none.
    """
    given = given or run.labels
    labels = find_labels(run.source(), given)
    if labels is None:
        raise RunError(f"{run.data} has no labels of its test videos; give them with --labels FILE")
    counts = {name: video.frames for name, video in run.prepared["testing"].items()}
    check_lengths(labels, counts, given or run.data)
    return labels


def evaluate(run: Run, labels: Path | None = None) -> Result:
    """Micro- and macro-AUC of each stream, each window and the fusion; also into ``results/evaluation.json``.

    Raises:
        RunError: the run has not scored its test videos yet, or has no labels.
        DatasetError: labels do not fit the test videos.
    """
    if run.is_done("prepare") and not run.dataset.testing:
        raise RunError(f"{run.data} has no test videos; score a video with `tsvad score {run.folder} VIDEO`")
    if not run.is_done("fuse"):
        raise RunError(
            f"{run.folder} has not scored its test videos; `tsvad fit {run.data} --out {run.folder}` goes on"
        )
    truth = labels_of(run, labels)
    curves: dict[str, dict[str, NDArray[np.float64]]] = {
        **paper_curves(run),
        "fused": read_scores(run.path("results/fused.npz")),
    }
    rows = {row: (micro_auc(scores, truth), macro_auc(scores, truth)) for row, scores in curves.items()}
    result = Result(rows, f"MLE {recovery_settings(run).window}")
    write_text(run.path("results/evaluation.json"), json.dumps(_facts(run, result), indent=1) + "\n")
    return result


def _facts(run: Run, result: Result) -> dict[str, object]:
    return {
        "protocol": "paper",
        "rows": {row: {"micro_auc": micro, "macro_auc": macro} for row, (micro, macro) in result.rows.items()},
        "chosen": result.chosen,
        "recipe": run.recipe.model_dump(mode="json"),
        "data": str(run.data),
        "seconds": {name: record.get("seconds") for name, record in run.records().items()},
        "versions": {
            name: version(name) for name in ("twostream-vad", "torch", "numpy", "opencv-python-headless", "av")
        },
        "machine": {
            "processor": platform.machine(),
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        },
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
