"""Frame-level metrics: micro-, macro-, Ano- and per-scene AUC, ROC and precision-recall curves, AP and EER."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

Floats = NDArray[np.float64]
ByVideo = Mapping[str, NDArray[Any]]


class EvaluationError(TsvadError):
    """Scores, labels or tracks that cannot be judged; the message says which, and what would do."""


class NoMetricError(EvaluationError):
    """A metric that does not exist on these frames or videos, such as an AUC where all of them are normal."""


class RocCurve(NamedTuple):
    """Rates when everything at a threshold or above is called anomalous, the highest threshold first."""

    false_positive_rate: Floats
    true_positive_rate: Floats


class PrecisionRecall(NamedTuple):
    """As thresholds fall from the highest score to the lowest; recall rises."""

    precision: Floats
    recall: Floats


def area(normal: NDArray[Any], anomalous: NDArray[Any]) -> float:
    """Area under the ROC of each kind's counts by distinct score, least first; NoMetricError for one kind only."""
    _need_both(normal, anomalous)
    normal = normal.astype(np.float64)  # products of a large dataset's counts of pixels do not fit 64 bits
    below = np.cumsum(normal) - normal
    wins = (anomalous * (below + normal / 2)).sum()  # Mann-Whitney U
    return float(wins / (float(anomalous.sum()) * normal.sum()))


def roc_auc(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Area under the ROC of scores (n,) against labels (n,) of 0/1; tied scores count half.

    NoMetricError for one class only; EvaluationError for NaN, infinity, other labels than 0/1, or differing lengths.
    """
    return area(*_counts(scores, labels))


def micro_auc(scores: ByVideo, labels: ByVideo) -> float:
    """One ROC over all frames of all videos (frames,); errors as ``roc_auc``, also where the videos of both differ."""
    return roc_auc(*pooled(scores, labels))


def macro_auc(scores: ByVideo, labels: ByVideo) -> float:
    """Mean of the videos' own AUCs. One of one class has its first label flipped, so that it exists (authors' rule).

    EvaluationError as ``micro_auc``; NoMetricError where such a video has one frame only.
    """
    areas = []
    for name in same_videos(scores, labels):
        values, positive = checked(scores[name], labels[name], f"video {name}: ")
        if positive.all() or not positive.any():
            if len(positive) < 2:
                raise NoMetricError(f"video {name} has {len(positive)} frames: its AUC does not exist, leave it out")
            positive = np.append(~positive[:1], positive[1:])
        areas.append(roc_auc(values, positive))
    return float(np.mean(areas))


def ano_auc(scores: ByVideo, labels: ByVideo) -> float:
    """``micro_auc`` of the videos that have an anomalous frame: normal videos, often easy, raise it for nothing.

    Errors as ``micro_auc``; NoMetricError too where no frame of these videos is normal, or no video has an anomaly.
    """
    names = [name for name in same_videos(scores, labels) if np.asarray(labels[name]).any()]
    if not names:
        raise NoMetricError(f"none of {len(labels)} videos has an anomalous frame: there is no AUC of anomalous videos")
    return roc_auc(*pooled(scores, labels, names))


def one_class(labels: ByVideo) -> int:
    """How many videos (frames,) have labels of one class only, and so no AUC of their own."""
    return sum(len(np.unique(marks)) < 2 for marks in labels.values())


def per_scene_auc(scores: ByVideo, labels: ByVideo) -> dict[str, float | None]:
    """Micro-AUC within each scene, the part of a video's name before ``_``; None where one class only."""
    names = same_videos(scores, labels)
    areas: dict[str, float | None] = dict.fromkeys(name.split("_")[0] for name in names)
    for scene in areas:
        with contextlib.suppress(NoMetricError):
            areas[scene] = roc_auc(*pooled(scores, labels, [name for name in names if name.split("_")[0] == scene]))
    return areas


def roc_curve(scores: NDArray[Any], labels: NDArray[Any]) -> RocCurve:
    """One point a distinct score, after (0, 0); errors as ``roc_auc``."""
    return RocCurve(*(np.append(0.0, np.cumsum(kind[::-1]) / kind.sum()) for kind in _counts(scores, labels)))


def precision_recall(scores: NDArray[Any], labels: NDArray[Any]) -> PrecisionRecall:
    """One point a distinct score; errors as ``roc_auc``."""
    false, true = (np.cumsum(kind[::-1]) for kind in _counts(scores, labels))
    return PrecisionRecall(true / (true + false), true / true[-1])


def average_precision(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Precision weighted by the gain in recall, with no interpolation; errors as ``roc_auc``."""
    curve = precision_recall(scores, labels)
    return float((curve.precision * np.diff(curve.recall, prepend=0.0)).sum())


def equal_error_rate(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share of normal frames called anomalous where that share of anomalous ones is missed; errors as ``roc_auc``."""
    curve = roc_curve(scores, labels)
    missed = 1 - curve.true_positive_rate
    # Linear between the ROC's points.
    return float(np.interp(0.0, curve.false_positive_rate - missed, curve.false_positive_rate))


def pooled(scores: ByVideo, labels: ByVideo, names: Sequence[str] | None = None) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores and anomaly marks (n,) of all frames, of the named videos or all; EvaluationError as ``micro_auc``."""
    chosen = same_videos(scores, labels) if names is None else names
    values, positive = zip(*(checked(scores[name], labels[name], f"video {name}: ") for name in chosen), strict=True)
    return np.concatenate(values), np.concatenate(positive)


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


def _need_both(normal: NDArray[Any], anomalous: NDArray[Any]) -> None:
    """Raises NoMetricError where counts of either kind are all 0."""
    if not normal.any() or not anomalous.any():
        kind, count = ("anomalous", anomalous.sum()) if anomalous.any() else ("normal", normal.sum())
        raise NoMetricError(
            f"all {count:.0f} labels are {kind}, where this metric does not exist: "
            "take frames of both kinds together, or macro-AUC, which has a rule for such videos"
        )


def _counts(scores: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """How many normal and how many anomalous frames have each distinct score, the least first."""
    values, positive = checked(scores, labels)
    level = np.unique(values, return_inverse=True)[1]
    counts = np.bincount(level, ~positive), np.bincount(level, positive)
    _need_both(*counts)
    return counts
