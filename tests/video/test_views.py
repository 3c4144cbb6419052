"""Views against a slow half-pixel bilinear resize in numpy, written from its definition."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad.video.clips import ClipReader
from twostream_vad.video.source import VideoError
from twostream_vad.video.views import MEAN, STD, Region, ViewError, Views, corridor_grid

# Noise makes the worst of float32 coordinates: neighbours differ by up to 4.4.
ATOL = 5e-5

SHAPES = [(30, 47), (47, 30), (40, 40), (12, 15), (96, 54)]


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Film:
    images: list[NDArray[np.uint8]]
    path: Path = Path("film")

    def read(self, index: int) -> NDArray[np.uint8]:
        return self.images[index]


def drawn(views: Views, images: list[NDArray[np.uint8]], u: float, *, fixed: bool = False) -> Tensor:
    return ClipReader(views).drawn(Film(images), range(len(images)), u, fixed=fixed)


def weights(target: int, source: int) -> NDArray[np.float64]:
    """(target, source): each pixel's centre looked up between the two centres beside it."""
    table = np.zeros((target, source))
    for i in range(target):
        place = min(max((i + 0.5) * source / target - 0.5, 0), source - 1)
        left = math.floor(place)
        table[i, left] += 1 - (place - left)
        table[i, min(left + 1, source - 1)] += place - left
    return table


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """(H, W, 3) -> (3, h, w)."""
    height, width = image.shape[:2]
    long = int(size * max(height, width) / min(height, width))
    h, w = (size, long) if width >= height else (long, size)
    values = (image / 255 - MEAN) / STD
    grid: NDArray[np.float64] = np.einsum("ij,jkc,lk->cil", weights(h, height), values, weights(w, width))
    return grid


def squares(full: NDArray[np.float64], offsets: list[int]) -> list[NDArray[np.float64]]:
    """Crops of (3, h, w) at the offsets along the long side."""
    size = min(full.shape[1:])
    if full.shape[2] > full.shape[1]:
        return [full[:, :, o : o + size] for o in offsets]
    return [full[:, o : o + size] for o in offsets]


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("size", [16, 32])
def test_scored_is_the_resized_frame_at_start_middle_and_end(height: int, width: int, size: int) -> None:
    full = resized(picture(height, width), size)
    room = max(full.shape[1:]) - size
    expected = np.stack(squares(full, [0, room // 2, room] if room else [0]))
    crops = Views(size).scored(picture(height, width))
    assert crops.dtype == torch.float32
    np.testing.assert_allclose(crops.numpy(), expected, atol=ATOL)


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize("u", [0.0, 0.25, 0.5, 0.999])
def test_drawn_is_a_cut_of_the_resized_frame(height: int, width: int, u: float) -> None:
    images = [picture(height, width, seed) for seed in range(3)]
    clip = drawn(Views(16), images, u)
    assert clip.shape == (3, 3, 16, 16)
    for t, image in enumerate(images):
        full = resized(image, 16)
        (expected,) = squares(full, [round((max(full.shape[1:]) - 16) * u)])
        np.testing.assert_allclose(clip[:, t].numpy(), expected, atol=ATOL)


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_fixed_draws_each_test_crop_for_an_equal_share_of_u(height: int, width: int) -> None:
    image, views = picture(height, width), Views(16)
    crops = views.scored(image)
    for k, crop in enumerate(crops):
        for u in (k / len(crops), (k + 0.99) / len(crops)):
            assert torch.equal(drawn(views, [image], u, fixed=True)[:, 0], crop)


def test_drawn_equals_scored_bit_for_bit_where_they_overlap() -> None:
    image, views = picture(30, 47), Views(16)
    assert torch.equal(drawn(views, [image, image], 0.0)[:, 1], views.scored(image)[0])


def test_a_square_frame_has_one_crop() -> None:
    assert Views(16).count(40, 40) == len(Views(16).scored(picture(40, 40))) == 1


def test_a_frame_that_becomes_square_has_one_crop() -> None:
    assert Views(16).count(40, 41) == len(Views(16).scored(picture(40, 41))) == 1


@pytest.mark.parametrize(("height", "width"), [(30, 47), (47, 30)])
def test_other_frames_have_three_crops(height: int, width: int) -> None:
    assert Views(16).count(height, width) == 3


@pytest.mark.parametrize(("height", "width", "offsets"), [
    (128, 128, [0]), (128, 144, [0, 16]), (128, 256, [0, 128]), (128, 258, [0, 65, 130]), (360, 640, [0, 99]),
    (256, 128, [0, 128]),
])  # fmt: skip
def test_the_fewest_crops_show_all_of_the_frame(height: int, width: int, offsets: list[int]) -> None:
    views, image = Views(128, fewest=True), picture(height, width)
    whole = views.resized(image, Region(0, 0, width, height))
    found = views.scored(image)
    assert len(found) == len(offsets) == views.count(height, width) == len(views.boxes(height, width))
    cut = [whole[:, :, at : at + 128] if width > height else whole[:, at : at + 128] for at in offsets]
    assert torch.equal(found, torch.stack(cut))


def test_portrait_is_landscape_on_its_side() -> None:
    image = picture(30, 47)
    side = Views(16).scored(np.ascontiguousarray(image.transpose(1, 0, 2)))
    np.testing.assert_allclose(side.transpose(2, 3), Views(16).scored(image), atol=1e-5)


REGIONS = (Region(5, 3, 20, 20), Region(10, 0, 30, 24), Region(47, 10, 10, 30))


def test_each_region_is_treated_like_a_small_frame() -> None:
    image, views = picture(40, 57), Views(16, REGIONS)
    cuts = [image[r.y : r.y + r.height, r.x : r.x + r.width] for r in REGIONS]
    expected = torch.cat([Views(16).scored(np.ascontiguousarray(cut)) for cut in cuts])
    assert views.count(40, 57) == len(expected) == 7
    assert torch.equal(views.scored(image), expected)


def test_u_selects_the_region_and_its_remainder_the_place_inside() -> None:
    image, views = picture(40, 57), Views(16, REGIONS)
    second = np.ascontiguousarray(image[:24, 10:40])
    for rest in (0.0, 0.4, 0.9):
        clip = drawn(views, [image], (1 + rest) / 3)
        torch.testing.assert_close(clip, drawn(Views(16), [second], rest), rtol=0, atol=0)


def test_fixed_with_regions_reaches_every_test_crop() -> None:
    image, views = picture(40, 57), Views(16, REGIONS)
    clips = [drawn(views, [image], u, fixed=True)[:, 0] for u in (0, 0.34, 0.45, 0.6, 0.67, 0.8, 0.95)]
    for got, crop in zip(clips, views.scored(image), strict=True):
        assert torch.equal(got, crop)


@pytest.mark.parametrize("region", [Region(50, 0, 8, 8), Region(0, 33, 8, 8)])
def test_a_region_outside_the_frame_is_named(region: Region) -> None:
    views = Views(16, (region,))
    with pytest.raises(ViewError, match=rf"Region\(x={region.x}, y={region.y}.* 57 x 40"):
        views.scored(picture(40, 57))


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_boxes_are_where_the_crops_were_cut(height: int, width: int) -> None:
    views = Views(16)
    x = np.broadcast_to(np.arange(width)[None, :, None], (height, width, 3)).astype(np.uint8)
    y = np.broadcast_to(np.arange(height)[:, None, None], (height, width, 3)).astype(np.uint8)
    boxes = views.boxes(height, width)
    for box, columns, rows in zip(boxes, views.scored(x), views.scored(y), strict=True):
        centre = ((box[0] + box[2]) / 2 - 0.5, (box[1] + box[3]) / 2 - 0.5)
        seen = [float((values.mean() * STD + MEAN) * 255) for values in (columns, rows)]
        assert seen == pytest.approx(centre, abs=0.3)


def test_boxes_of_regions_lie_in_the_frames_own_pixels() -> None:
    boxes = Views(16, REGIONS).boxes(40, 57)
    assert boxes[0] == (5, 3, 25, 23)
    assert boxes[1] == pytest.approx((10, 0, 34, 24))
    assert boxes[-1] == pytest.approx((47, 30, 57, 40))


def test_the_last_box_ends_at_the_frames_edge() -> None:
    assert Views(256).boxes(480, 856)[-1][2:] == (856, 480)


def test_the_frame_is_left_as_it_was() -> None:
    image = picture(30, 47)
    Views(16).scored(image)
    np.testing.assert_array_equal(image, picture(30, 47))


@pytest.mark.parametrize("layout", ["read-only", "mirrored", "not contiguous"])
def test_any_array_layout_will_do(layout: str) -> None:
    image = picture(30, 47)
    expected = Views(16).scored(image)
    if layout == "read-only":
        image.flags.writeable = False
    elif layout == "mirrored":
        image = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    else:
        image = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    torch.testing.assert_close(Views(16).scored(image), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("u", [-0.1, 1.0, math.nan])
def test_u_outside_its_range_is_refused_by_value(u: float) -> None:
    with pytest.raises(ValueError, match=f"got {u}"):
        drawn(Views(16), [picture(30, 47)], u)


def test_frames_of_two_sizes_are_refused() -> None:
    with pytest.raises(VideoError, match=r"film: frame 1 is 48 x 30 pixels, others 47 x 30"):
        drawn(Views(16), [picture(30, 47), picture(30, 48)], 0.5)


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        drawn(Views(16), [], 0.5)


@pytest.mark.parametrize("shape", [(30, 47), (3, 30, 47), (30, 47, 4)])
def test_what_is_no_rgb_frame_is_refused_by_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        Views(16).scored(np.zeros(shape, np.uint8))


def test_a_size_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0"):
        Views(0)


@pytest.mark.parametrize("numbers", [(-1, 0, 8, 8), (0, -1, 8, 8), (0, 0, 0, 8), (0, 0, 8, 0)])
def test_an_impossible_region_is_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(ViewError, match="no rectangle"):
        Region(*numbers)


def test_corridors_grid_is_five_by_three_and_touches_every_edge() -> None:
    grid = corridor_grid()
    assert sorted({region.x for region in grid}) == [0, 360, 720, 1080, 1440]
    assert sorted({region.y for region in grid}) == [0, 300, 600]
    assert len(set(grid)) == 15
    assert Views(256, grid).count(1080, 1920) == 15


def test_a_grid_of_one_lies_in_the_middle() -> None:
    assert corridor_grid(100, 200, 50, columns=1, rows=1) == (Region(75, 25, 50, 50),)


@pytest.mark.parametrize(("size", "columns"), [(1081, 5), (480, 0)])
def test_an_impossible_grid_is_refused(size: int, columns: int) -> None:
    with pytest.raises(ValueError, match=r"1081|0 x 3"):
        corridor_grid(size=size, columns=columns)
