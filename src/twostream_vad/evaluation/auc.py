"""Frame-level metrics: micro-, macro- and per-scene AUC, ROC and precision-recall curves, AP and EER."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..errors import TsvadError

Floats = NDArray[np.float64]
ByVideo = Mapping[str, NDArray[Any]]


class EvaluationError(TsvadError):
    """Scores, labels or tracks that cannot be judged; the message says which, and what would do."""


class NoMetricError(EvaluationError):
    """A metric that does not exist on these frames or videos, such as an AUC where all of them are normal."""


@dataclass(frozen=True, slots=True)
class RocCurve:
    """Rates when everything at a threshold or above is called anomalous, the highest threshold first."""

    false_positive_rate: Floats
    true_positive_rate: Floats


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """As thresholds fall from the highest score to the lowest; recall rises."""

    precision: Floats
    recall: Floats


def roc_auc(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Area under the ROC of scores (n,) against labels (n,) of 0/1; tied scores count half.

    NoMetricError where there is one class only; EvaluationError for NaN or infinite scores, other labels than
    0 and 1, or differing lengths.
    """
    values, positive = _both_classes(scores, labels)
    ranks = rankdata(values)  # ties share their mean rank, which makes them count half
    positives = int(positive.sum())
    wins = ranks[positive].sum() - positives * (positives + 1) / 2  # Mann-Whitney U
    return float(wins / (positives * (len(values) - positives)))


def micro_auc(scores: ByVideo, labels: ByVideo) -> float:
    """One ROC over all frames of all videos: video name -> (frames,).

    Errors as ``roc_auc``; EvaluationError where the videos of both differ.
    """
    return roc_auc(*pooled(scores, labels))


def macro_auc(scores: ByVideo, labels: ByVideo) -> float:
    """Mean of the videos' own AUCs.

    A video of one class has its first label flipped, so that an AUC exists (the authors' rule).
    EvaluationError as ``micro_auc``; NoMetricError where such a video has one frame only.
    """
    areas = []
    for name in same_videos(scores, labels):
        values, positive = checked(scores[name], labels[name], f"video {name}: ")
        if positive.all() or not positive.any():
            if len(positive) < 2:
                raise NoMetricError(f"video {name} has {len(positive)} frames: its AUC does not exist, leave it out")
            positive = positive.copy()
            positive[0] = not positive[0]
        areas.append(roc_auc(values, positive))
    return float(np.mean(areas))


def per_scene_auc(scores: ByVideo, labels: ByVideo) -> dict[str, float | None]:
    """Micro-AUC within each scene, the part of a video's name before ``_``; None where one class only."""
    scenes: dict[str, list[str]] = {}
    for name in same_videos(scores, labels):
        scenes.setdefault(name.split("_")[0], []).append(name)
    areas: dict[str, float | None] = {}
    for scene, names in scenes.items():
        values, positive = _joined(scores, labels, names)
        areas[scene] = roc_auc(values, positive) if 0 < positive.sum() < len(positive) else None
    return areas


def roc_curve(scores: NDArray[Any], labels: NDArray[Any]) -> RocCurve:
    """One point a distinct score, after (0, 0); errors as ``roc_auc``."""
    true, false = _falling(*_both_classes(scores, labels))
    return RocCurve(np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1]))


def precision_recall(scores: NDArray[Any], labels: NDArray[Any]) -> PrecisionRecall:
    """One point a distinct score; errors as ``roc_auc``."""
    true, false = _falling(*_both_classes(scores, labels))
    return PrecisionRecall(true / (true + false), true / true[-1])


def average_precision(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Precision weighted by the gain in recall, with no interpolation; errors as ``roc_auc``."""
    curve = precision_recall(scores, labels)
    return float((curve.precision * np.diff(curve.recall, prepend=0.0)).sum())


def equal_error_rate(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Where as large a share of normal frames is called anomalous as of anomalous ones is missed.

    Linear between the ROC's points; errors as ``roc_auc``.
    """
    curve = roc_curve(scores, labels)
    false, missed = curve.false_positive_rate, 1 - curve.true_positive_rate
    gap = false - missed  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(false[after - 1] + share * (false[after] - false[after - 1]))


def pooled(scores: ByVideo, labels: ByVideo) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and anomaly marks of all frames of all videos, (n,) each; EvaluationError as ``micro_auc``."""
    return _joined(scores, labels, same_videos(scores, labels))


def same_videos(scores: ByVideo, labels: ByVideo) -> list[str]:
    """Names in both; EvaluationError where one side lacks some."""
    if not scores and not labels:
        raise EvaluationError("no videos to evaluate: scores and labels are both empty")
    for lacking, having, what in ((scores, labels, "scores"), (labels, scores, "labels")):
        if absent := sorted(set(having) - set(lacking)):
            shown = ", ".join(absent[:5]) + (" …" if len(absent) > 5 else "")
            raise EvaluationError(f"no {what} for {len(absent)} videos ({shown}): both must name the same videos")
    return list(labels)


def checked(
    scores: NDArray[Any], labels: NDArray[Any], where: str = "", *, gaps: bool = False
) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores (frames,) and anomaly marks (frames,) that can be judged, else EvaluationError that begins ``where``.

    With ``gaps``, NaN is a frame that has no score.
    """
    values, marks = np.asarray(scores, np.float64), np.asarray(labels)
    if values.ndim != 1 or marks.ndim != 1:
        raise EvaluationError(f"{where}scores and labels must be (frames,), got {values.shape} and {marks.shape}")
    if len(values) != len(marks):
        raise EvaluationError(
            f"{where}{len(values)} scores but {len(marks)} labels: one belongs to another video or decoder"
        )
    for wrong, found, what, remedy in (
        (np.isinf(values) if gaps else ~np.isfinite(values), values, "score", "score the video again"),
        (~np.isin(marks, (0, 1)), marks, "label", "labels are 0 (normal) or 1 (anomalous)"),
    ):
        if wrong.any():
            frame = int(np.argmax(wrong))
            raise EvaluationError(f"{where}the {what} of frame {frame} is {found[frame]}: {remedy}")
    return values, marks.astype(np.bool_)


def _falling(values: Floats, positive: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """How many positives and negatives score as much as each distinct score or more, the highest first."""
    order = np.argsort(-values, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    true = np.cumsum(positive[order], dtype=np.float64)[last_of_tie]
    return true, last_of_tie + 1.0 - true


def _joined(scores: ByVideo, labels: ByVideo, names: Iterable[str]) -> tuple[Floats, NDArray[np.bool_]]:
    """All frames of the named videos, one after another."""
    pairs = [checked(scores[name], labels[name], f"video {name}: ") for name in names]
    return np.concatenate([values for values, _ in pairs]), np.concatenate([positive for _, positive in pairs])


def _both_classes(scores: NDArray[Any], labels: NDArray[Any]) -> tuple[Floats, NDArray[np.bool_]]:
    values, positive = checked(scores, labels)
    if not positive.any() or positive.all():
        kind = "anomalous" if positive.any() else "normal"
        raise NoMetricError(
            f"all {len(positive)} labels are {kind}, where this metric does not exist: "
            "take frames of both kinds together, or macro-AUC, which has a rule for such videos"
        )
    return values, positive
