"""The scale of causal scores: set by normal video, saved as it is, refused where it would mislead."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twostream_vad.scores.calibration import Calibration, Scale

CALIBRATION = Calibration(Scale(0.1, 0.3), Scale(1 / 3, 7.0), 2.5, ("01_001", "Straße 2"))


def test_the_median_is_zero_and_the_99th_percentile_is_one() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(101.0))
    scale = Scale.of(scores)
    assert (scale.middle, scale.high) == (50, 99)
    np.testing.assert_allclose(scale.apply(np.array([50.0, 99.0, 148.0, 1.0])), [0, 1, 2, -1])


def test_one_in_a_hundred_normal_snippets_is_above_one() -> None:
    scores = np.random.default_rng(1).gamma(2, 3, 10_000)
    assert np.mean(Scale.of(scores).apply(scores) > 1) == pytest.approx(0.01, abs=1e-4)


def test_a_stream_in_other_units_scores_the_same() -> None:
    scores = np.random.default_rng(2).random(500)
    other = 40 * scores + 7
    np.testing.assert_allclose(Scale.of(other).apply(other), Scale.of(scores).apply(scores), atol=1e-9)


def test_the_scale_keeps_the_shape_of_the_scores() -> None:
    np.testing.assert_array_equal(Scale(1, 3).apply(np.full((2, 3), 5)), np.full((2, 3), 2.0))


@pytest.mark.parametrize("value", [0.0, 0.3, -5.0, 1e30])
def test_equal_scores_are_zero_and_whatever_is_above_is_far_above_one(value: float) -> None:
    scale = Scale.of(np.full(7, value))
    above = scale.apply(np.array([value, value + max(abs(value), 1.0)]))
    assert above[0] == 0
    assert 1e3 < above[1] < np.inf


def test_a_spread_below_rounding_does_not_overflow() -> None:
    assert np.isfinite(Scale(0.0, 5e-324).apply(np.array([1e9]))).all()


def test_small_raw_scores_keep_their_own_spread() -> None:
    assert Scale(0.0, 1e-9).apply(np.array([1e-9]))[0] == 1


def test_one_snippet_makes_a_scale() -> None:
    assert Scale.of(np.array([0.25])) == Scale(0.25, 0.25)


def test_no_held_out_snippet_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"no normal video was held out that is long enough: hold out more"):
        Scale.of(np.zeros(0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_numbers_are_refused_by_place(bad: float) -> None:
    with pytest.raises(ValueError, match=r"score 2 of the held-out normal video is .*: score it again"):
        Scale.of(np.array([0, 1, bad]))


def test_scores_of_several_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 5\)"):
        Scale.of(np.zeros((4, 5)))


@pytest.mark.parametrize(("middle", "high"), [(1.0, 0.5), (np.nan, 1.0), (0.0, np.inf)])
def test_a_scale_that_means_nothing_is_refused(middle: float, high: float) -> None:
    with pytest.raises(ValueError, match=f"middle <= high, got {middle} and {high}"):
        Scale(middle, high)


@pytest.mark.parametrize("threshold", [np.nan, np.inf])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"threshold must be a finite number, got {threshold}"):
        Calibration(Scale(0, 1), Scale(0, 1), threshold, ())


def test_a_saved_calibration_comes_back(tmp_path: Path) -> None:
    CALIBRATION.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == CALIBRATION


def test_a_missing_calibration_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"calibration\.json: nothing is calibrated yet; run `tsvad calibrate` first"):
        Calibration.load(tmp_path / "calibration.json")


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", "3", "null", '{"snippets": []}', "\x00"])
def test_a_broken_calibration_is_refused_by_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"calibration\.json: not a calibration .*; run `tsvad calibrate` again"):
        Calibration.load(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("snippets", "01_001"),
        ("snippets", [1]),
        ("threshold", None),
        ("threshold", "2"),
        ("threshold", float("inf")),
        ("threshold", 10**400),
        ("recovery", [0, 1]),
        ("recovery", {"middle": 0}),
        ("recovery", {"middle": 2, "high": 1}),
        ("retrieval", {"middle": 0, "high": float("nan")}),
        ("else", 1),
    ],
)
def test_an_altered_calibration_is_refused_by_file(key: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    CALIBRATION.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), key: value}), "utf-8")
    with pytest.raises(ValueError, match=r"calibration\.json: not a calibration .*; run `tsvad calibrate` again"):
        Calibration.load(path)


def test_what_cannot_be_read_is_refused_by_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not a calibration .*; run `tsvad calibrate` again"):
        Calibration.load(tmp_path)
