"""Thumbnails and heat maps: sizes and colours."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report.thumbnails import heat_picture, thumbnail_step
from twostream_vad.video.pictures import thumbnail

FRAME = np.full((120, 240, 3), (200, 40, 40), np.uint8)  # red


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image[:, :, ::-1], np.uint8)


def test_a_thumbnail_has_the_width_asked_for_and_the_shape_of_the_frame() -> None:
    assert decoded(thumbnail(FRAME, width=192)).shape == (96, 192, 3)


def test_a_small_frame_is_not_enlarged() -> None:
    assert decoded(thumbnail(FRAME, width=960)).shape == FRAME.shape


def test_a_thumbnail_keeps_red_red() -> None:
    np.testing.assert_allclose(decoded(thumbnail(FRAME)).mean((0, 1)), (200, 40, 40), atol=4)


def test_no_heat_is_black_and_full_heat_pale() -> None:
    assert decoded(heat_picture(np.zeros((5, 9)))).mean() < 5
    assert decoded(heat_picture(np.ones((5, 9)))).mean() > 200


def test_heat_is_measured_against_the_maximum() -> None:
    heat = np.linspace(0, 1, 45).reshape(5, 9)
    assert heat_picture(7 * heat, maximum=7.0) == heat_picture(heat)


def test_heat_that_is_no_number_counts_as_none() -> None:
    assert heat_picture(np.full((5, 9), np.nan)) == heat_picture(np.zeros((5, 9)))


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_rgb_frame_is_refused_by_its_shape(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"uint8 of shape \(H, W, 3\)"):
        thumbnail(image)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 5), (1.0, 200, 255)])
def test_without_a_maximum_no_heat_is_black_and_any_is_pale(share: float, least: int, most: int) -> None:
    assert least <= decoded(heat_picture(np.full((5, 9), share), maximum=0.0)).mean() <= most


@pytest.mark.parametrize(("frames", "step"), [(0, 1), (2500, 1), (2501, 2), (21_000, 9), (181_567, 73)])
def test_longer_runs_get_fewer_thumbnails_a_second(frames: int, step: int) -> None:
    assert thumbnail_step(frames) == step
