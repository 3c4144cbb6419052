"""The scale of causal scores: set by normal video, saved as it is, refused where it would mislead."""

import numpy as np
import pytest

from twostream_vad.scores.calibration import Scale


def test_the_median_is_zero_and_the_99th_percentile_is_one() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(101.0))
    scale = Scale.of(scores)
    assert (scale.middle, scale.high) == (50, 99)
    np.testing.assert_allclose([scale.apply(score) for score in (50.0, 99.0, 148.0, 1.0)], [0, 1, 2, -1])


def test_one_in_a_hundred_normal_snippets_is_above_one() -> None:
    scores = np.random.default_rng(1).gamma(2, 3, 10_000)
    scale = Scale.of(scores)
    assert np.mean([scale.apply(score) > 1 for score in scores.tolist()]) == pytest.approx(0.01, abs=1e-4)


def test_a_stream_in_other_units_scores_the_same() -> None:
    scores = np.random.default_rng(2).random(500)
    other = 40 * scores + 7
    here, there = Scale.of(scores), Scale.of(other)
    np.testing.assert_allclose([there.apply(s) for s in other], [here.apply(s) for s in scores], atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.3, -5.0, 1e30])
def test_equal_scores_are_zero_and_whatever_is_above_is_far_above_one(value: float) -> None:
    scale = Scale.of(np.full(7, value))
    assert scale.apply(value) == 0
    assert 1e3 < scale.apply(value + max(abs(value), 1.0)) < np.inf


def test_a_spread_below_rounding_does_not_overflow() -> None:
    assert np.isfinite(Scale(0.0, 5e-324).apply(1e9))


def test_small_raw_scores_keep_their_own_spread() -> None:
    assert Scale(0.0, 1e-9).apply(1e-9) == 1


def test_one_snippet_makes_a_scale() -> None:
    assert Scale.of(np.array([0.25])) == Scale(0.25, 0.25)


def test_no_held_out_snippet_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"no normal video was held out that is long enough: hold out more"):
        Scale.of(np.zeros(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_numbers_are_refused_by_place(bad: float) -> None:
    with pytest.raises(ValueError, match=r"score 2 of the held-out normal video is .*: score it again"):
        Scale.of(np.array([0, 1, bad]))


@pytest.mark.parametrize(("middle", "high"), [(1.0, 0.5), (np.nan, 1.0), (0.0, np.inf)])
def test_a_scale_that_means_nothing_is_refused(middle: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"middle <= high, got {middle} and {high}"):
        Scale(middle, high)
