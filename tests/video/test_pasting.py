"""Soft boxes against a loop over pixels, and places where something moves."""

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.pasting import EDGE, busy_place, soft_box


def slow_box(height: int, width: int, centre: tuple[float, float], sides: tuple[float, float]) -> list[list[float]]:
    """How deep a pixel lies in the box, from its edge (0) to its middle (1); whole from EDGE on."""
    rows = []
    for row in range(height):
        line = []
        for column in range(width):
            away = max(abs(row - centre[0]) / sides[0], abs(column - centre[1]) / sides[1]) * 2
            line.append(min(max((1 - away) / EDGE, 0.0), 1.0))
        rows.append(line)
    return rows


@pytest.mark.parametrize(
    ("centre", "sides"),
    [((10, 12), (8.0, 13.0)), ((0, 0), (9.5, 7.25)), ((19, 23), (60.0, 3.0)), ((4.5, 20), (1.0, 1.0))],
)
def test_a_box_is_that_of_a_loop_over_pixels(centre: tuple[float, float], sides: tuple[float, float]) -> None:
    shown = soft_box(20, 24, centre, sides)
    assert shown.dtype == np.float32
    assert shown.shape == (20, 24)
    np.testing.assert_allclose(shown, slow_box(20, 24, centre, sides), atol=1e-6)


def test_a_box_shows_all_in_its_middle_and_nothing_beyond_its_sides() -> None:
    shown = soft_box(41, 61, (20, 30), (20.0, 30.0))
    assert (shown[13:28, 20:41] == 1).all()
    shown[11:30, 16:45] = 0
    assert not shown.any()


def test_a_box_fades_without_a_step() -> None:
    line = soft_box(100, 100, (50, 50), (80.0, 80.0))[50]
    assert np.abs(np.diff(line)).max() <= 1 / (40 * EDGE) + 1e-6


def one_spot(height: int = 40, width: int = 60) -> NDArray[np.float32]:
    change = np.zeros((height, width), np.float32)
    change[10:14, 30:36] = 1
    return change


def places(change: NDArray[np.float32], draws: int = 400) -> NDArray[np.int64]:
    rng = np.random.default_rng(0)
    return np.array([busy_place(change, rng) for _ in range(draws)])


def test_a_place_lies_at_what_moves() -> None:
    reach = 40 // 10
    found = places(one_spot())
    assert (found.min(axis=0) >= (10 - reach, 30 - reach)).all()
    assert (found.max(axis=0) < (14 + reach, 36 + reach)).all()


def test_what_changes_half_as_much_is_drawn_a_quarter_as_often() -> None:
    change = one_spot() + one_spot()[::-1, ::-1] * np.float32(0.5)
    strong = (places(change, 4000)[:, 0] < 20).mean()
    assert strong == pytest.approx(4 / 5, abs=0.02)


def test_noise_draws_hardly_any_place() -> None:
    noise = np.random.default_rng(1).uniform(0, 0.02, (40, 60)).astype(np.float32)
    rows, columns = places(one_spot() + noise).T
    near = (rows >= 6) & (rows < 18) & (columns >= 26) & (columns < 40)
    assert near.mean() > 0.95


def test_where_nothing_moves_any_pixel_is_as_likely() -> None:
    found = places(np.zeros((4, 5), np.float32), 4000)
    counts = np.bincount(found[:, 0] * 5 + found[:, 1], minlength=20)
    assert abs(counts - 200).max() < 70


def test_a_place_is_told_by_its_generator() -> None:
    assert np.array_equal(places(one_spot(), 20), places(one_spot(), 20))


def test_a_picture_of_one_pixel_has_one_place() -> None:
    assert busy_place(np.ones((1, 1), np.float32), np.random.default_rng(0)) == (0, 0)
