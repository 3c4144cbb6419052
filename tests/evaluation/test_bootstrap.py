"""Intervals over videos, and the statistics of a draw against the plain metrics of its frames laid end to end."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.evaluation.auc import micro_auc, roc_auc
from twostream_vad.evaluation.bootstrap import bootstrap, micro_auc_of

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
            with pytest.raises(ValueError, match="does not exist"):
                statistic(drawn)


def test_each_video_once_is_the_metric_itself() -> None:
    scores, labels = videos(2)
    assert micro_auc_of(scores, labels)(list(scores)) == pytest.approx(micro_auc(scores, labels), abs=1e-12)


@pytest.mark.parametrize("kind", [0, 1])
def test_a_draw_of_one_class_has_no_micro_auc(kind: int) -> None:
    both = {"mixed": np.array([0.0, 1.0]), "same": np.array([0.0, 1.0])}
    statistic = micro_auc_of(both, {"mixed": np.array([0, 1]), "same": np.array([kind, kind])})
    with pytest.raises(ValueError, match=f"are {'anomalous' if kind else 'normal'}: their micro-AUC does not exist"):
        statistic(["same", "same"])


def test_the_statistic_refuses_what_the_metric_refuses() -> None:
    scores, labels = videos(0)
    with pytest.raises(ValueError, match="video 01: the score of frame 0 is nan"):
        micro_auc_of(scores | {"01": scores["01"] * np.nan}, labels)
    with pytest.raises(ValueError, match=r"no scores of 1 videos \(other\)"):
        micro_auc_of(scores, labels)(["01", "other"])
    with pytest.raises(ValueError, match="no videos were drawn"):
        micro_auc_of(scores, labels)([])


def test_the_interval_of_a_mean_is_that_of_its_distribution() -> None:
    """Means of 400 draws of a standard normal spread by about 1/20: 1.96 of these to each side."""
    names = [str(number) for number in range(400)]
    values = dict(zip(names, np.random.default_rng(0).normal(size=400), strict=True))
    low, high = bootstrap(lambda drawn: float(np.mean([values[name] for name in drawn])), names, draws=2000)
    mean, spread = np.mean(list(values.values())), np.std(list(values.values())) / 20
    assert (low, high) == pytest.approx((mean - 1.96 * spread, mean + 1.96 * spread), abs=0.01)


def test_ends_are_quantiles_of_the_values() -> None:
    seen: list[float] = []

    def statistic(drawn: Sequence[str]) -> float:
        seen.append(float(sum(map(int, drawn))))
        return seen[-1]

    assert bootstrap(statistic, list("123456"), draws=50, level=0.8) == pytest.approx(np.quantile(seen, [0.1, 0.9]))
    assert len(seen) == 50


def test_as_many_videos_are_drawn_as_there_are_with_repeats() -> None:
    seen: list[Sequence[str]] = []

    def statistic(drawn: Sequence[str]) -> float:
        seen.append(drawn)
        return 0.0

    bootstrap(statistic, list("abcde"), draws=50)
    assert {len(drawn) for drawn in seen} == {5}
    assert any(len(set(drawn)) < 5 for drawn in seen)


def test_a_seed_gives_the_same_interval_again() -> None:
    scores, labels = videos(0, 12)
    statistic = micro_auc_of(scores, labels)
    assert bootstrap(statistic, list(scores), draws=50) == bootstrap(statistic, list(scores), draws=50)
    assert bootstrap(statistic, list(scores), draws=50) != bootstrap(statistic, list(scores), draws=50, seed=1)


def test_the_difference_of_a_run_and_itself_is_nothing() -> None:
    scores, labels = videos(0, 12)
    first, second = micro_auc_of(scores, labels), micro_auc_of(scores, labels)
    assert bootstrap(lambda names: first(names) - second(names), list(labels), draws=50) == (0, 0)


def test_a_draw_on_which_the_statistic_does_not_exist_is_made_again() -> None:
    seen: list[Sequence[str]] = []

    def statistic(drawn: Sequence[str]) -> float:
        seen.append(drawn)
        if "a" not in drawn:
            raise ValueError("no a")
        return float(drawn.count("a"))

    low, _ = bootstrap(statistic, list("abcd"), draws=100)
    assert sum("a" in drawn for drawn in seen) == 100 < len(seen)
    assert low >= 1


def test_too_many_draws_without_a_value_are_an_error_that_says_why() -> None:
    scores = {name: np.arange(3.0) for name in "abcdefgh"}
    labels = {name: np.zeros(3) for name in "abcdefg"} | {"h": np.array([0, 0, 1])}
    statistic = micro_auc_of(scores, labels)

    def rarely(drawn: Sequence[str]) -> float:
        return statistic(drawn if len(set(drawn)) == 1 else ["a"])

    with pytest.raises(ValueError, match=r"21 of \d+ draws of 8 videos \(all frames of these 1 .* too few videos"):
        bootstrap(rarely, list(scores), draws=20)


def test_nan_is_not_drawn_again() -> None:
    with pytest.raises(ValueError, match="the metric is nan"):
        bootstrap(lambda _: float("nan"), ["a", "b"])


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "a"]])
def test_one_video_or_one_twice_has_no_interval(names: list[str]) -> None:
    with pytest.raises(ValueError, match="two or more different videos"):
        bootstrap(lambda _: 0.0, names)


@pytest.mark.parametrize(("draws", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_settings_out_of_range_are_refused(draws: int, level: float) -> None:
    with pytest.raises(ValueError, match="must"):
        bootstrap(lambda _: 0.0, ["a", "b"], draws=draws, level=level)
