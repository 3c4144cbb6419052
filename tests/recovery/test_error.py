"""Prediction errors against slow obvious loops in numpy."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.recovery.error import (
    frame_level_error,
    local_errors,
    local_maxima,
    maximum_local_error,
    over_crops,
)

SIDE = 24


def frames(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(2, 3, SIDE, SIDE)).astype(np.float32)


TRUE, PREDICTED = frames(0), frames(1)


def slow_map(frame: int, kind: str) -> NDArray[np.float64]:
    """One error map, pixel by pixel."""
    error = np.zeros((SIDE, SIDE))
    for y in range(SIDE):
        for x in range(SIDE):
            gaps = [float(TRUE[frame, c, y, x]) - float(PREDICTED[frame, c, y, x]) for c in range(3)]
            if kind == "squared":
                error[y, x] = sum(gap**2 for gap in gaps) / 3
            elif kind == "l2":
                error[y, x] = sum(gap**2 for gap in gaps) ** 0.5 / 3
            else:
                error[y, x] = sum(abs(gap) for gap in gaps) / 3
    return error


def slow_local(error: NDArray[np.float64], window: int, stride: int) -> NDArray[np.float64]:
    """Mean error in every window."""
    starts = [start for start in range(0, SIDE, stride) if start + window <= SIDE]
    return np.array([[error[y : y + window, x : x + window].mean() for x in starts] for y in starts])


KINDS = ("squared", "l2", "absolute")
MAPS = {kind: np.stack([slow_map(frame, kind) for frame in range(2)]) for kind in KINDS}


@pytest.mark.parametrize("window", [1, 4, 7, 16, SIDE])
@pytest.mark.parametrize("stride", [3, 8, SIDE + 4])
def test_local_errors_are_the_means_of_every_window_without_padding(window: int, stride: int) -> None:
    found = local_errors(torch.from_numpy(PREDICTED), torch.from_numpy(TRUE), [window], stride)[window]
    for frame, (column, kind) in itertools.product(range(2), enumerate(KINDS)):
        expected = slow_local(MAPS[kind][frame], window, stride)
        np.testing.assert_allclose(found[frame, column].numpy(), expected, rtol=1e-5)


def test_a_window_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="window 25 is larger than the error map's 24 pixels"):
        local_errors(torch.from_numpy(PREDICTED), torch.from_numpy(TRUE), [8, 25])


@pytest.mark.parametrize("channel_l2", [False, True])
@pytest.mark.parametrize("l1", [0.0, 1.0, 0.3])
def test_mle_adds_two_maxima_each_taken_by_itself(l1: float, channel_l2: bool) -> None:
    windows = (8, 16, SIDE)
    maxima = local_maxima(torch.from_numpy(PREDICTED), torch.from_numpy(TRUE), windows)
    errors = maximum_local_error(maxima, l1=l1, channel_l2=channel_l2)
    assert errors.shape == (2, 3)
    for frame in range(2):
        for column, window in enumerate(windows):
            square = slow_local(MAPS["l2" if channel_l2 else "squared"][frame], window, 8).max()
            absolute = slow_local(MAPS["absolute"][frame], window, 8).max()
            assert float(errors[frame, column]) == pytest.approx(square + l1 * absolute, rel=1e-5)


def test_the_maxima_of_both_maps_may_lie_apart() -> None:
    true = torch.zeros(1, 3, 32, 32)
    predicted = true.clone()
    predicted[..., 0, 0] = 4  # one large error: 16 / 64 squared, 4 / 64 absolute
    predicted[..., 8:16, 8:16] = 0.25  # many small ones: 1 / 16 squared, 1 / 4 absolute
    square, l2, absolute = local_maxima(predicted, true, [8])[0, 0].tolist()
    assert square == 16 / 64
    assert l2 == pytest.approx(0.25 * 3**0.5 / 3)
    assert absolute == 0.25


@pytest.mark.parametrize("l1", [0.0, 1.0, 0.3])
def test_fle_is_the_root_of_the_mean_square_plus_l1(l1: float) -> None:
    found = frame_level_error(torch.from_numpy(PREDICTED), torch.from_numpy(TRUE), l1=l1)
    gaps = (PREDICTED.astype(np.float64) - TRUE).reshape(2, -1)
    expected = [np.sqrt(np.mean(gap**2)) + l1 * np.mean(np.abs(gap)) for gap in gaps]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_a_perfect_prediction_has_no_error() -> None:
    true = torch.from_numpy(TRUE)
    assert not local_maxima(true, true, [8, 16]).any()
    assert not frame_level_error(true, true, l1=1.0).any()


def test_crops_are_joined_by_their_maximum_or_mean() -> None:
    scores = torch.tensor([[[1.0, 9.0], [5.0, 1.0], [3.0, 2.0]]])
    assert over_crops(scores, "max").tolist() == [[5.0, 9.0]]
    assert over_crops(scores, "mean").tolist() == [[3.0, 4.0]]
