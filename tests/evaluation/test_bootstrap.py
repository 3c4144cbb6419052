"""Intervals over videos, and the statistics of a draw against the plain metrics of its frames laid end to end."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.evaluation.auc import EvaluationError, NoMetricError, micro_auc, roc_auc
from twostream_vad.evaluation.bootstrap import DRAWS, bootstrap, micro_auc_of

Videos = dict[str, NDArray[np.float64]]


def videos(seed: int, count: int = 6, levels: int = 3) -> tuple[Videos, Videos]:
    """Scores with ties; every third video is normal, every fourth anomalous all over."""
    rng = np.random.default_rng(seed)
    scores: Videos = {}
    labels: Videos = {}
    for number in range(count):
        marks = rng.integers(0, 2, 20 + number).astype(float)
        marks[:] = 0 if number % 3 == 0 else 1 if number % 4 == 0 else marks
        labels[f"{number:02}"] = marks
        scores[f"{number:02}"] = np.round((rng.normal(size=len(marks)) + 0.8 * marks) * levels)
    return scores, labels


def draws(names: Sequence[str], seed: int, count: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [list(rng.choice(names, len(names))) for _ in range(count)]


@pytest.mark.parametrize("levels", [1, 3, 10**6])
def test_micro_auc_of_a_draw_is_that_of_its_frames_laid_end_to_end(levels: int) -> None:
    scores, labels = videos(0, levels=levels)
    statistic = micro_auc_of(scores, labels)
    for drawn in draws(list(scores), 1, 30):
        frames = np.concatenate([scores[name] for name in drawn]), np.concatenate([labels[name] for name in drawn])
        if 0 < frames[1].sum() < len(frames[1]):
            assert statistic(drawn) == pytest.approx(roc_auc(*frames), abs=1e-12)
        else:
            with pytest.raises(NoMetricError, match="does not exist"):
                statistic(drawn)


def test_each_video_once_is_the_metric_itself() -> None:
    scores, labels = videos(2)
    assert micro_auc_of(scores, labels)(list(scores)) == pytest.approx(micro_auc(scores, labels), abs=1e-12)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_draw_of_one_class_has_no_micro_auc(kind: int) -> None:
    both = {"mixed": np.array([0.0, 1.0]), "same": np.array([0.0, 1.0])}
    statistic = micro_auc_of(both, {"mixed": np.array([0, 1]), "same": np.array([kind, kind])})
    with pytest.raises(NoMetricError, match=f"all 4 labels are {'anomalous' if kind else 'normal'}, where"):
        statistic(["same", "same"])


def test_the_statistic_refuses_what_the_metric_refuses() -> None:
    scores, labels = videos(0)
    with pytest.raises(EvaluationError, match="video 01: the score of frame 0 is nan"):
        micro_auc_of(scores | {"01": scores["01"] * np.nan}, labels)
    with pytest.raises(NoMetricError, match="all 3 labels are normal"):
        micro_auc_of({"a": np.arange(3.0)}, {"a": np.zeros(3)})


def test_the_interval_of_a_mean_is_that_of_its_distribution() -> None:
    """Means of 400 draws of a standard normal spread by about 1/20: 1.96 of these to each side."""
    names = [str(number) for number in range(400)]
    values = dict(zip(names, np.random.default_rng(0).normal(size=400), strict=True))
    low, high = bootstrap(lambda drawn: float(np.mean([values[name] for name in drawn])), names)
    mean, spread = np.mean(list(values.values())), np.std(list(values.values())) / 20
    assert (low, high) == pytest.approx((mean - 1.96 * spread, mean + 1.96 * spread), abs=0.02)


def test_ends_are_quantiles_of_the_values() -> None:
    seen: list[float] = []

    def statistic(drawn: Sequence[str]) -> float:
        seen.append(float(sum(map(int, drawn))))
        return seen[-1]

    assert bootstrap(statistic, list("123456")) == pytest.approx(np.quantile(seen, [0.025, 0.975]))
    assert len(seen) == DRAWS


def test_as_many_videos_are_drawn_as_there_are_with_repeats() -> None:
    seen: list[Sequence[str]] = []

    def statistic(drawn: Sequence[str]) -> float:
        seen.append(drawn)
        return 0.0

    bootstrap(statistic, list("abcde"))
    assert {len(drawn) for drawn in seen} == {5}
    assert any(len(set(drawn)) < 5 for drawn in seen)


def test_the_interval_is_the_same_every_time() -> None:
    scores, labels = videos(0, 12)
    statistic = micro_auc_of(scores, labels)
    assert bootstrap(statistic, list(scores)) == bootstrap(statistic, list(scores))


def test_the_difference_of_a_run_and_itself_is_nothing() -> None:
    scores, labels = videos(0, 12)
    first, second = micro_auc_of(scores, labels), micro_auc_of(scores, labels)
    assert bootstrap(lambda names: first(names) - second(names), list(labels)) == (0, 0)


def test_a_draw_on_which_the_statistic_does_not_exist_is_made_again() -> None:
    seen: list[Sequence[str]] = []

    def statistic(drawn: Sequence[str]) -> float:
        seen.append(drawn)
        if "a" not in drawn:
            raise NoMetricError("no a")
        return float(drawn.count("a"))

    low, _ = bootstrap(statistic, list("abcd"))
    assert sum("a" in drawn for drawn in seen) == DRAWS < len(seen)
    assert low >= 1


def test_too_many_draws_without_a_value_are_an_error_that_says_why() -> None:
    scores = {name: np.arange(3.0) for name in "abcdefgh"}
    labels = {name: np.zeros(3) for name in "abcdefg"} | {"h": np.array([0, 0, 1])}
    statistic = micro_auc_of(scores, labels)

    def rarely(drawn: Sequence[str]) -> float:
        return statistic(drawn if len(set(drawn)) == 1 else ["a"])

    with pytest.raises(NoMetricError, match=r"1001 of \d+ draws of 8 videos: there are too few videos"):
        bootstrap(rarely, list(scores))


def test_a_bug_in_the_statistic_is_not_taken_for_a_metric_that_does_not_exist() -> None:
    def broken(_: Sequence[str]) -> float:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        bootstrap(broken, ["a", "b"])


@pytest.mark.parametrize("names", [[], ["a"]])
def test_one_video_has_no_interval(names: list[str]) -> None:
    with pytest.raises(NoMetricError, match="two or more"):
        bootstrap(lambda _: 0.0, names)
