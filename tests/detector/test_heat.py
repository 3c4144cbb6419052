"""Errors laid back onto the frame: a slow obvious version, and errors planted where we know."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.detector.heat import Sight, heat_map, joint_heat
from twostream_vad.recovery.stream import RecoveryStream
from twostream_vad.settings import Resolved
from twostream_vad.video.snippets import RECOVERY
from twostream_vad.video.views import Region, Views

SIZE, WINDOW, STRIDE = 128, 16, 8
SHAPES = {
    "landscape": (Views(SIZE), 180, 320),
    "portrait": (Views(SIZE), 320, 180),
    "square": (Views(SIZE), 96, 96),
    "regions": (Views(SIZE, (Region(10, 20, 90, 60), Region(120, 70, 70, 100))), 180, 320),
}

Boxes = Sequence[tuple[float, float, float, float]]


def still_stream(views: Views) -> RecoveryStream:
    """Predicts that nothing changes."""
    how = Resolved(window=WINDOW, score_l1=1.0, channel_l2=False, crops="mean", per_place=False)
    return RecoveryStream(lambda seen: seen[:, :, -1], RECOVERY, views, how, STRIDE)


def slow_heat_map(errors: NDArray[np.float32], boxes: Boxes, height: int, width: int) -> NDArray[np.float64]:
    """Pixel by pixel: from the pixel's centre to the crop's pixels to the error's place between four values."""
    heat = np.zeros((height, width))
    for error, (x0, y0, x1, y1) in zip(errors, boxes, strict=True):
        last = len(error) - 1
        for y in range(max(0, round(y0)), min(height, round(y1))):
            for x in range(max(0, round(x0)), min(width, round(x1))):
                row = ((y + 0.5 - y0) * SIZE / (y1 - y0) - WINDOW / 2) / STRIDE
                column = ((x + 0.5 - x0) * SIZE / (x1 - x0) - WINDOW / 2) / STRIDE
                row, column = min(max(row, 0), last), min(max(column, 0), last)
                top, left = math.floor(row), math.floor(column)
                down, across = row - top, column - left
                bottom, right = min(top + 1, last), min(left + 1, last)
                upper = error[top, left] * (1 - across) + error[top, right] * across
                lower = error[bottom, left] * (1 - across) + error[bottom, right] * across
                heat[y, x] = max(heat[y, x], upper * (1 - down) + lower * down)
    return heat


def heat_of(errors: NDArray[np.float32], views: Views, height: int, width: int) -> NDArray[np.float32]:
    boxes = views.boxes(height, width)
    return heat_map(errors, boxes, height=height, width=width, size=SIZE, window=WINDOW, stride=STRIDE)


@pytest.mark.parametrize("name", SHAPES)
def test_a_heat_map_is_the_slow_one(name: str) -> None:
    views, height, width = SHAPES[name]
    views, height, width = Views(SIZE, tuple(_third(region) for region in views.regions)), height // 3, width // 3
    positions = (SIZE - WINDOW) // STRIDE + 1
    rng = np.random.default_rng(1)
    errors = rng.random((views.count(height, width), positions, positions), np.float32)
    slow = slow_heat_map(errors, views.boxes(height, width), height, width)
    # OpenCV rounds places to a 32nd between two values.
    np.testing.assert_allclose(heat_of(errors, views, height, width), slow, atol=2 / 32)


def _third(region: Region) -> Region:
    return Region(region.x // 3, region.y // 3, region.width // 3, region.height // 3)


PLACES = [(name, x, y) for name in ("landscape", "regions") for x, y in ((20, 30), (150, 120))]
PLACES += [("landscape", 300, 20), ("portrait", 90, 300), ("portrait", 20, 15), ("square", 70, 20)]


@pytest.mark.parametrize(("name", "x", "y"), PLACES)
def test_a_change_in_the_frame_is_hottest_where_it_is(name: str, x: int, y: int) -> None:
    views, height, width = SHAPES[name]
    still = np.full((height, width, 3), 90, np.uint8)
    changed = still.copy()
    changed[y : y + 12, x : x + 12] = 250
    clip = torch.stack([views.scored(image) for image in (*[still] * 8, changed)], dim=2)[None]
    heat = heat_of(still_stream(views).look(clip)[1][0], views, height, width)
    # The change is smaller than the window: any window that holds it all is as hot, to the crop's edge.
    down, across = np.argwhere(heat > 0.99 * heat.max()).mean(axis=0)
    half_window = WINDOW / 2 * max((x1 - x0) / SIZE for x0, _, x1, _ in views.boxes(height, width))
    assert abs(across - (x + 5.5)) <= half_window
    assert abs(down - (y + 5.5)) <= half_window


def test_nothing_is_hot_where_no_crop_looks() -> None:
    views, height, width = SHAPES["regions"]
    heat = heat_of(np.ones((views.count(height, width), 15, 15), np.float32), views, height, width)
    seen = np.zeros((height, width), bool)
    seen[20:80, 10:100] = seen[70:170, 120:190] = True
    assert np.array_equal(heat > 0, seen)


def test_heat_is_the_streams_weighted_geometric_mean_in_units_of_their_own_normal_heat() -> None:
    views, height, width = SHAPES["square"]
    rng = np.random.default_rng(0)
    local = {"recovery": rng.random((1, 15, 15), np.float32), "retrieval": rng.random((1, 8, 8), np.float32)}
    sights: dict[str, Sight] = {"recovery": ((16, 8), 1.0, 0.5), "retrieval": ((16, 16), 0.25, 4.0)}
    found = joint_heat(local, sights, views, height, width)
    laid = [
        heat_map(local[name], views.boxes(height, width), height=height, width=width, size=SIZE, window=16, stride=step)
        for name, step in (("recovery", 8), ("retrieval", 16))
    ]
    assert found is not None
    expected = (laid[0] / 0.5 + 0.1) ** 0.8 * (laid[1] / 4 + 0.1) ** 0.2 - 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_both_streams_at_their_normal_heat_are_1() -> None:
    views, height, width = SHAPES["landscape"]
    crops = views.count(height, width)
    local = {name: np.full((crops, 8, 8), high, np.float32) for name, high in (("recovery", 0.2), ("retrieval", 3.0))}
    sights: dict[str, Sight] = {"recovery": ((16, 16), 1.0, 0.2), "retrieval": ((16, 16), 0.7, 3.0)}
    found = joint_heat(local, sights, views, height, width)
    assert found is not None
    assert found.shape == (height, width)
    np.testing.assert_allclose(found[:, 2:-2], 1, rtol=1e-5)


def test_a_stream_that_has_not_spoken_takes_nothing_from_the_other() -> None:
    views, height, width = SHAPES["square"]
    local = {"recovery": np.ones((1, 15, 15), np.float32)}
    both: dict[str, Sight] = {"recovery": ((16, 8), 1.0, 2.0), "retrieval": ((16, 16), 3.0, 1.0)}
    alone = joint_heat(local, {"recovery": both["recovery"]}, views, height, width)
    found = joint_heat(local, both, views, height, width)
    assert alone is not None
    assert found is not None
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_allclose(found, 0.5)


def test_no_stream_that_counts_gives_no_heat() -> None:
    views, height, width = SHAPES["square"]
    local = {"recovery": np.ones((1, 15, 15), np.float32)}
    assert joint_heat({}, {"recovery": ((16, 8), 1.0, 1.0)}, views, height, width) is None
    assert joint_heat(local, {}, views, height, width) is None
    assert joint_heat(local, {"recovery": ((16, 8), 0.0, 1.0)}, views, height, width) is None


def test_joint_heat_lies_in_the_boxes_of_the_crops_the_hottest_where_they_overlap() -> None:
    views, height, width = SHAPES["regions"]
    boxes = views.boxes(height, width)
    local = {"retrieval": np.stack([np.full((8, 8), crop + 1, np.float32) for crop in range(len(boxes))])}
    found = joint_heat(local, {"retrieval": ((16, 16), 1.0, 1.0)}, views, height, width)
    expected = np.zeros((height, width), np.float32)
    for crop, (x0, y0, x1, y1) in enumerate(boxes):
        expected[round(y0) : round(y1), round(x0) : round(x1)] = crop + 1
    np.testing.assert_array_equal(found, expected)
