"""Frame-level metrics against scikit-learn, on random and on degenerate input."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from twostream_vad.evaluation.auc import (
    EvaluationError,
    NoMetricError,
    ano_auc,
    average_precision,
    equal_error_rate,
    macro_auc,
    micro_auc,
    one_class,
    per_scene_auc,
    precision_recall,
    roc_auc,
    roc_curve,
)

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
METRICS = [roc_auc, roc_curve, precision_recall, average_precision, equal_error_rate]


def draw(seed: int, frames: int = 200, levels: int = 0) -> tuple[Floats, Labels]:
    """Scores a little higher where anomalous; with ``levels`` they are rounded, so that many tie."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, frames)
    labels[:2] = 0, 1
    scores = rng.normal(size=frames) + 0.8 * labels
    return (np.round(scores * levels) if levels else scores), labels


CASES = [draw(seed, frames, levels) for seed, frames, levels in [(0, 200, 0), (1, 200, 2), (2, 2, 0), (3, 500, 1)]]
CASES += [(np.zeros(10), draw(4, 10)[1]), (-draw(5)[1].astype(float), draw(5)[1])]  # all tied; always wrong


@pytest.mark.parametrize(("scores", "labels"), CASES)
def test_auc_is_scikit_learns(scores: Floats, labels: Labels) -> None:
    assert roc_auc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize(("scores", "labels"), CASES)
def test_average_precision_is_scikit_learns(scores: Floats, labels: Labels) -> None:
    expected = metrics.average_precision_score(labels, scores)
    assert average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("scores", "labels"), CASES)
def test_roc_curve_is_scikit_learns(scores: Floats, labels: Labels) -> None:
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    curve = roc_curve(scores, labels)
    np.testing.assert_allclose(curve.false_positive_rate, false)
    np.testing.assert_allclose(curve.true_positive_rate, true)


@pytest.mark.parametrize(("scores", "labels"), CASES)
def test_precision_and_recall_are_scikit_learns(scores: Floats, labels: Labels) -> None:
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)
    curve = precision_recall(scores, labels)
    np.testing.assert_allclose(curve.precision, precision[-2::-1])
    np.testing.assert_allclose(curve.recall, recall[-2::-1])


@pytest.mark.parametrize(("scores", "labels"), CASES)
def test_equal_error_rate_lies_on_the_roc_where_both_errors_are_equal(scores: Floats, labels: Labels) -> None:
    false, true, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
    rate = equal_error_rate(scores, labels)
    # On a vertical piece of the ROC, missed shares from the least to the most meet one false-positive rate.
    below, above = np.interp(rate - 1e-9, false, true), np.interp(rate + 1e-9, false, true)
    assert below - 1e-6 <= 1 - rate <= above + 1e-6


def test_a_perfect_score_errs_nowhere() -> None:
    assert equal_error_rate(np.array([0.1, 0.2, 0.9]), np.array([0, 0, 1])) == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(metric: Callable[[Floats, Labels], object], label: int) -> None:
    for frames in (1, 5):
        with pytest.raises(NoMetricError, match=f"all {frames} labels are {'anomalous' if label else 'normal'}"):
            metric(np.arange(float(frames)), np.full(frames, label))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0, np.nan, 1], [0, 0, 1], "score of frame 1 is nan"),
        ([0, 1, np.inf], [0, 0, 1], "score of frame 2 is inf"),
        ([0, 1, 2], [0, 1], "3 scores but 2 labels"),
        ([0, 1, 2], [0, 1, 2], "label of frame 2 is 2"),
        ([[0, 1]], [[0, 1]], r"\(1, 2\)"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    metric: Callable[[object, object], object], scores: object, labels: object, message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        metric(np.array(scores), np.array(labels))


def videos() -> tuple[dict[str, Floats], dict[str, Labels]]:
    drawn = {f"0{seed % 2}_{seed}": draw(seed, 50 + seed, levels=3) for seed in range(6)}
    return {name: pair[0] for name, pair in drawn.items()}, {name: pair[1] for name, pair in drawn.items()}


def test_micro_auc_is_that_of_all_frames_together() -> None:
    scores, labels = videos()
    together = np.concatenate([labels[name] for name in scores]), np.concatenate(list(scores.values()))
    assert micro_auc(scores, labels) == pytest.approx(metrics.roc_auc_score(*together), abs=1e-12)


def test_macro_auc_is_the_mean_over_videos() -> None:
    scores, labels = videos()
    expected = np.mean([metrics.roc_auc_score(labels[name], scores[name]) for name in scores])
    assert macro_auc(scores, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("label", "expected"), [(0, 0.5), (1, 0.5)])
def test_macro_auc_flips_the_first_label_of_a_video_of_one_class(label: int, expected: float) -> None:
    labels = {"01": np.full(5, label)}
    assert macro_auc({"01": np.array([2.0, 1, 3, 0, 4])}, labels) == expected
    assert (labels["01"] == label).all()


def test_ano_auc_is_scikit_learns_on_videos_with_an_anomaly() -> None:
    scores, labels = videos()
    kept = list(labels)
    scores |= {"normal": np.arange(9.0), "anomalous": np.arange(7.0)}
    labels |= {"normal": np.zeros(9, np.int64), "anomalous": np.ones(7, np.int64)}
    kept.append("anomalous")
    together = np.concatenate([labels[n] for n in kept]), np.concatenate([scores[n] for n in kept])
    assert ano_auc(scores, labels) == pytest.approx(metrics.roc_auc_score(*together), abs=1e-12)


def test_ano_auc_is_micro_auc_where_every_video_has_an_anomaly() -> None:
    scores, labels = videos()
    assert ano_auc(scores, labels) == micro_auc(scores, labels)


@pytest.mark.parametrize(("label", "what"), [(0, "none of 1 videos has an anomalous frame"), (1, "all 3 labels are")])
def test_ano_auc_needs_an_anomalous_video_with_normal_frames(label: int, what: str) -> None:
    with pytest.raises(NoMetricError, match=what):
        ano_auc({"01": np.arange(3.0)}, {"01": np.full(3, label)})


def test_videos_of_one_class_are_counted() -> None:
    assert one_class({"a": np.array([0, 1]), "b": np.zeros(3), "c": np.ones(1), "d": np.array([1, 1, 0])}) == 2


def test_micro_auc_flips_nothing() -> None:
    scores, labels = videos()
    both = micro_auc(scores | {"normal": np.ones(9)}, labels | {"normal": np.zeros(9, np.int64)})
    frames = [np.concatenate([*side.values(), end]) for side, end in ((labels, np.zeros(9)), (scores, np.ones(9)))]
    assert both == pytest.approx(metrics.roc_auc_score(*frames), abs=1e-12)


def test_a_scene_is_the_name_before_the_underscore() -> None:
    scores, labels = videos()
    scores |= {"02_1": np.arange(3.0)}
    labels |= {"02_1": np.zeros(3, np.int64)}
    own = [name for name in scores if name.startswith("01_")]
    areas = per_scene_auc(scores, labels)
    assert areas["01"] == micro_auc({n: scores[n] for n in own}, {n: labels[n] for n in own})
    assert areas["02"] is None


@pytest.mark.parametrize("metric", [micro_auc, macro_auc, ano_auc, per_scene_auc])
def test_videos_must_be_the_same_on_both_sides(metric: Callable[[object, object], object]) -> None:
    scores, labels = videos()
    with pytest.raises(EvaluationError, match=r"no scores for 1 videos \(extra\)"):
        metric(scores, labels | {"extra": np.zeros(3)})
    with pytest.raises(EvaluationError, match=r"no labels for 1 videos \(extra\)"):
        metric(scores | {"extra": np.zeros(3)}, labels)
    with pytest.raises(EvaluationError, match="no videos"):
        metric({}, {})


@pytest.mark.parametrize("metric", [micro_auc, macro_auc, ano_auc, per_scene_auc])
def test_errors_name_the_video(metric: Callable[[object, object], object]) -> None:
    scores, labels = videos()
    with pytest.raises(EvaluationError, match="video 01_3: 53 scores but 52 labels"):
        metric(scores, labels | {"01_3": labels["01_3"][1:]})


def test_micro_auc_of_one_class_is_refused() -> None:
    with pytest.raises(NoMetricError, match="all 3 labels are normal"):
        micro_auc({"01": np.arange(3.0)}, {"01": np.zeros(3)})


def test_macro_auc_of_a_one_frame_video_is_refused_by_name() -> None:
    with pytest.raises(NoMetricError, match="video 01 has 1 frames"):
        macro_auc({"01": np.zeros(1)}, {"01": np.zeros(1)})
