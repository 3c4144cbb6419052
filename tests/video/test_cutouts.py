"""Things cut out along their outlines: what is found, and that nothing but the thing comes along."""

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.cutouts import MARGIN, Backdrop, Cutout, find_backdrop

Image = NDArray[np.uint8]


def ground(level: int = 200, height: int = 96, width: int = 128) -> Image:
    """Somewhat uneven ground."""
    rows, columns = np.mgrid[:height, :width]
    uneven = level + (rows // 5 + columns // 7) % 3
    return np.repeat(uneven[:, :, None], 3, axis=2).astype(np.uint8)


def with_thing(image: Image, left: int, top: int, level: int = 40) -> Image:
    """A dark thing of 20 × 12 pixels with an outline half as dark, a pixel wide."""
    shown = image.copy()
    part = shown[top : top + 20, left : left + 12]
    part[:] = (part.astype(int) + level) // 2
    shown[top + 1 : top + 19, left + 1 : left + 11] = level
    return shown


def test_the_backdrop_is_what_is_seen_where_nothing_stays() -> None:
    frames = [with_thing(ground(), 4 + 3 * t, 40) for t in range(30)]
    backdrop = find_backdrop(lambda index: frames[index], len(frames))
    assert np.array_equal(backdrop.image, ground())
    assert backdrop.noise == 0


def test_noise_is_a_pixels_standard_deviation() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.rint(rng.normal(100, 6, (80, 80, 3))).astype(np.uint8) for _ in range(25)]
    assert find_backdrop(lambda index: noisy[index], 25).noise == pytest.approx(6, abs=0.8)


def test_a_thing_has_a_box_unless_an_edge_cuts_it_off() -> None:
    numbers, boxes = Backdrop(ground(), 0).things(with_thing(with_thing(ground(), 50, 40), 116, 10))
    (box,) = (box for box in boxes if box[2])
    np.testing.assert_allclose(box, (50, 40, 62, 60), atol=2)
    assert (numbers[41:59, 51:61] == boxes.index(box)).all()


@pytest.mark.parametrize("side", [1, 60])
def test_what_is_of_no_sensible_size_has_no_box(side: int) -> None:
    image = ground()
    image[20 : 20 + side, 20 : 20 + side] = 30
    assert not any(box[2] for box in Backdrop(ground(), 0).things(image)[1])


def cut(image: Image, backdrop: Image) -> tuple[Cutout, int, int]:
    """The one thing of the picture, and the corner that it is cut at."""
    behind = Backdrop(backdrop, 0)
    (box,) = (box for box in behind.things(image)[1] if box[2])
    return behind.cut(image, box), box[0] - MARGIN, box[1] - MARGIN


def test_laid_over_the_backdrop_where_it_was_it_gives_the_picture_again() -> None:
    image = with_thing(ground(), 50, 40)
    cutout, left, top = cut(image, ground())
    away = np.abs(cutout.over(ground(), left, top).astype(int) - image)
    assert away[41:59, 51:61].max() <= 1
    assert away.max() <= 40  # the outline is a little darker: a quarter of the way from ground to thing
    assert away[:30].max() == away[70:].max() == 0


def test_over_ground_as_dark_as_the_thing_no_bright_outline_comes_along() -> None:
    cutout, left, top = cut(with_thing(ground(200), 50, 40, level=40), ground(200))
    laid = cutout.over(ground(44), left, top)
    assert laid.max() <= 46
    assert laid[42:58, 52:60].max() <= 41


def test_a_shadow_darkens_other_ground_in_proportion() -> None:
    backdrop = ground(200) // np.array([1, 2, 1], np.uint8)
    image = backdrop.copy()
    image[40:60, 50:62] = (10, 90, 160)
    image[52:60, 62:76] = (image[52:60, 62:76] * 0.6).astype(np.uint8)
    cutout, left, top = cut(image, backdrop)
    laid = cutout.over(np.full_like(image, 100), left, top)
    np.testing.assert_allclose(laid[54:58, 66:74], 60, atol=3)
    assert laid[45, 55].tolist() == [10, 90, 160]


def test_what_stands_before_hides_it() -> None:
    cutout, left, top = cut(with_thing(ground(), 50, 40), ground())
    hidden = np.zeros((96, 128), np.float32)
    hidden[:, :56] = 1
    laid = cutout.over(ground(), left, top, hidden)
    assert np.array_equal(laid[:, :56], ground()[:, :56])
    assert (laid[42:58, 57:60] == 40).all()


def test_over_the_edge_only_the_part_inside_is_laid() -> None:
    cutout, _, _ = cut(with_thing(ground(), 50, 40), ground())
    laid = cutout.over(ground(), -MARGIN - 6, 10)
    assert (laid[20:30, 2] == 40).all()
    assert np.array_equal(laid[:, 20:], ground()[:, 20:])
    assert np.array_equal(cutout.over(ground(), 500, 10), ground())


def test_a_quarter_turn_turns_what_is_laid() -> None:
    cutout, _, _ = cut(with_thing(ground(), 50, 40), ground())
    plain = np.full((60, 60, 3), 90, np.uint8)
    assert np.array_equal(
        cutout.turned().over(plain, 0, 0)[: cutout.kept.shape[1]],
        np.rot90(cutout.over(plain, 0, 0)[:, : cutout.kept.shape[1]]),
    )


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_scaled_thing_covers_so_much_more(scale: float) -> None:
    cutout, _, _ = cut(with_thing(ground(), 50, 40), ground())
    plain = np.full((96, 96, 3), 200, np.uint8)
    areas = [
        (thing.over(plain, 0, 0)[:, :, 0] < 120).sum()
        for thing in (cutout, cutout.scaled(scale, np.random.default_rng(0), 0.0))
    ]
    assert areas[1] / areas[0] == pytest.approx(scale**2, rel=0.15)


def test_nearer_is_what_has_its_feet_lower() -> None:
    image = with_thing(with_thing(ground(), 30, 20), 80, 60)
    nearer = Backdrop(ground(), 0).before(image, 50)
    assert nearer[65:75, 84:88].min() > 0.99
    assert nearer[:50].max() == 0
