"""Pixel-level metrics against scikit-learn on all pixels, and against sweeping the thresholds frame by frame."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from twostream_vad.evaluation.auc import EvaluationError, NoMetricError
from twostream_vad.evaluation.pixels import LocalisedAuc, PixelAuc

Frames = list[tuple[NDArray[np.float64], NDArray[np.bool_]]]


def draw(seed: int, frames: int = 12, levels: int = 0) -> Frames:
    """Frames of 6 x 7 from 0 to 1, every other one normal; with ``levels`` the scores are rounded, so that many tie."""
    rng = np.random.default_rng(seed)
    drawn: Frames = []
    for number in range(frames):
        mask = np.zeros((6, 7), bool)
        if number % 2:
            mask[: rng.integers(1, 6), : rng.integers(1, 7)] = True
        heat = np.clip(rng.random((6, 7)) * 0.8 + 0.2 * mask, 0, 1)
        drawn.append((np.round(heat * levels) / levels if levels else heat, mask))
    return drawn


def filled(measure: PixelAuc | LocalisedAuc, frames: Frames) -> float:
    for heat, mask in frames:
        measure.add(heat, mask)
    return measure.value()


def of_all_pixels(frames: Frames) -> float:
    masks, heats = (np.concatenate([frame[k].ravel() for frame in frames]) for k in (1, 0))
    return float(metrics.roc_auc_score(masks, heats))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [0, 1, 5])
def test_pixel_auc_is_scikit_learns_but_for_the_bins(seed: int, levels: int) -> None:
    frames = draw(seed, levels=levels)
    assert filled(PixelAuc(0, 1), frames) == pytest.approx(of_all_pixels(frames), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_pixel_auc_is_exact_where_bins_hold_one_score_each(seed: int) -> None:
    frames = draw(seed, levels=4)
    assert filled(PixelAuc(0, 1), frames) == pytest.approx(of_all_pixels(frames), abs=1e-12)


def test_scores_outside_the_range_fall_into_its_end_bins() -> None:
    frames = draw(0)
    clipped = [(np.clip(heat, 0.3, 0.7), mask) for heat, mask in frames]
    assert filled(PixelAuc(0.3, 0.7), frames) == filled(PixelAuc(0.3, 0.7), clipped)
    assert filled(PixelAuc(0.3, 0.7), frames) == pytest.approx(of_all_pixels(clipped), abs=1e-4)


def test_a_range_need_not_begin_at_zero() -> None:
    frames = draw(1)
    shifted = [(1000 * heat - 700, mask) for heat, mask in frames]
    assert filled(PixelAuc(-700, 300), shifted) == pytest.approx(filled(PixelAuc(0, 1), frames), abs=1e-4)


@pytest.mark.parametrize(("sign", "expected"), [(1, 1.0), (-1, 0.0), (0, 0.5)])
@pytest.mark.parametrize("measure", [PixelAuc, LocalisedAuc])
def test_perfect_inverted_and_constant_heat(measure: object, sign: int, expected: float) -> None:
    frames = [(sign * mask.astype(float), mask) for _, mask in draw(0)]
    assert filled(PixelAuc(-1, 1) if measure is PixelAuc else LocalisedAuc(), frames) == expected


def by_sweeping(frames: Frames) -> float:
    """Call frames positive anew at every score there is, then take the curve's area by trapezoids."""
    points = [(0.0, 0.0)]
    for threshold in sorted({float(score) for heat, _ in frames for score in heat.ravel()}, reverse=True):
        true, false, anomalous = 0, 0, 0
        for heat, mask in frames:
            called = heat >= threshold
            if mask.any():
                anomalous += 1
                true += bool((called & mask).sum() / mask.sum() >= 0.4)
            else:
                false += bool(called.any())
        points.append((false / (len(frames) - anomalous), true / anomalous))
    x, y = np.array(points).T
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [0, 2, 10])
def test_localised_auc_is_that_of_sweeping_the_thresholds(seed: int, levels: int) -> None:
    frames = draw(seed, 14, levels)
    assert filled(LocalisedAuc(), frames) == pytest.approx(by_sweeping(frames), abs=1e-12)


@pytest.mark.parametrize(("hot", "expected"), [(1, 0.0), (2, 1.0)])
def test_two_of_five_anomalous_pixels_are_forty_per_cent(hot: int, expected: float) -> None:
    heat = np.zeros((1, 6))
    heat[0, :hot] = 2
    anomalous = np.array([[True] * 5 + [False]])
    assert filled(LocalisedAuc(), [(heat, anomalous), (np.ones((1, 6)), ~anomalous & False)]) == expected


def test_as_many_pixels_are_enough_as_divide_to_forty_per_cent() -> None:
    for pixels in range(1, 60):
        heat = np.arange(pixels, 0, -1.0)[None]  # at threshold t, pixels - t + 1 of them are found
        enough = next(k for k in range(1, pixels + 1) if k / pixels >= 0.4)
        mask = np.ones((1, pixels), bool)
        for normal, expected in ((heat[0, enough - 1] - 0.5, 1.0), (heat[0, enough - 1] + 0.5, 0.0)):
            assert filled(LocalisedAuc(), [(heat, mask), (np.full_like(heat, normal), ~mask)]) == expected


def test_heat_beside_the_anomaly_finds_nothing() -> None:
    mask = np.array([[True, False, False]])
    frames = [(np.array([[0.0, 9, 9]]), mask), (np.array([[1.0, 0, 0]]), mask & False)]
    assert filled(LocalisedAuc(), frames) == 0


def test_one_hot_pixel_makes_a_normal_frame_positive() -> None:
    mask = np.ones((2, 2), bool)
    frames = [(np.ones((2, 2)), mask), (np.array([[0.0, 0], [0, 2]]), ~mask)]
    assert filled(LocalisedAuc(), frames) == 0


@pytest.mark.parametrize("measure", [PixelAuc(0, 1), LocalisedAuc()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_heat_that_is_no_number_is_refused(measure: PixelAuc | LocalisedAuc, value: float) -> None:
    with pytest.raises(EvaluationError, match="holds NaN or infinity"):
        measure.add(np.array([[0, value]]), np.zeros((1, 2), bool))


def test_frames_of_one_kind_have_no_area() -> None:
    normal = np.zeros((2, 2), bool)
    for mask, kind in ((normal, "normal"), (~normal, "anomalous")):
        with pytest.raises(NoMetricError, match=f"all 4 labels are {kind}"):
            filled(PixelAuc(0, 1), [(np.zeros((2, 2)), mask)])
        with pytest.raises(NoMetricError, match=f"all 1 labels are {kind}"):
            filled(LocalisedAuc(), [(np.zeros((2, 2)), mask)])
