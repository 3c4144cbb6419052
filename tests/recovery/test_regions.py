"""Regions of heat maps: a slow obvious flood fill, planted peaks, and files that come back."""

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.evaluation.regions import detect_regions
from twostream_vad.recovery.regions import frame_regions, write_regions, write_regions_csv
from twostream_vad.scores.files import read_scores

Floats = NDArray[np.float64]
ROWS = {
    "02": np.array([[4, 10, 20, 30, 40, 0.125], [4, 0, 0, 3, 3, 1 / 3], [7, 1, 2, 1, 2, 2e-7]]),
    "01": np.empty((0, 6)),
}


def hot_regions(heat: NDArray[np.float32], threshold: float, *, most: int = 8) -> Floats:
    """Regions at or above a threshold, whatever the frame's peak."""
    return frame_regions(heat, floor=threshold, share=1e-9, most=most)


def slow_regions(heat: NDArray[np.float32], threshold: float) -> list[tuple[float, ...]]:
    """Flood fill, pixel by pixel."""
    left = {(y, x) for y, x in np.ndindex(heat.shape) if heat[y, x] >= threshold}
    found = []
    while left:
        waiting = [left.pop()]
        region = []
        while waiting:
            y, x = waiting.pop()
            region.append((y, x))
            near = {(y + down, x + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            waiting += near
        ys, xs = zip(*region, strict=True)
        score = max(float(heat[place]) for place in region)
        found.append((min(xs), min(ys), max(xs), max(ys), score))
    return sorted(found, key=lambda row: -row[4])


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.7, 0.9, 1.0])
def test_regions_are_those_of_a_flood_fill(threshold: float) -> None:
    heat = np.random.default_rng(2).random((24, 31), np.float32)
    found = hot_regions(heat, threshold, most=heat.size)
    assert found.dtype == np.float64
    assert [tuple(row) for row in found.tolist()] == slow_regions(heat, threshold)


def two_peaks(low: float = 0.75) -> NDArray[np.float32]:
    """A peak of 1 over 3 x 2 pixels, and a lower one."""
    heat = np.full((20, 30), 0.125, np.float32)
    heat[4:6, 10:13] = 0.5
    heat[5, 11] = 1
    heat[15, 20:25] = low
    return heat


def test_a_box_includes_both_ends() -> None:
    assert hot_regions(two_peaks(), 0.5).tolist() == [[10, 4, 12, 5, 1.0], [20, 15, 24, 15, 0.75]]


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert hot_regions(np.eye(4, dtype=np.float32), 1.0).tolist() == [[0, 0, 3, 3, 1.0]]


def test_the_threshold_itself_is_hot_and_what_is_barely_below_is_not() -> None:
    heat = np.full((2, 2), 0.1, np.float32)
    assert len(hot_regions(heat, float(heat[0, 0]))) == 1
    assert len(hot_regions(heat, np.nextafter(float(heat[0, 0]), 1))) == 0


def test_the_regions_with_the_highest_scores_are_kept() -> None:
    heat = np.zeros((1, 40), np.float32)
    heat[0, ::2] = np.random.default_rng(0).permutation(20) + 1
    assert hot_regions(heat, 0.5, most=3)[:, 4].tolist() == [20, 19, 18]


def test_of_equal_scores_the_upper_then_the_left_comes_first() -> None:
    heat = np.zeros((9, 9), np.float32)
    heat[[8, 0, 0, 4], [0, 8, 4, 2]] = 1
    assert hot_regions(heat, 1.0)[:, :2].tolist() == [[4, 0], [8, 0], [2, 4], [0, 8]]


def test_without_a_hot_pixel_there_are_no_regions() -> None:
    assert hot_regions(two_peaks(), 1.5).shape == (0, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_heat_map_that_is_not_finite_is_refused(value: float) -> None:
    heat = two_peaks()
    heat[3, 7] = value
    with pytest.raises(ValueError, match="x = 7, y = 3"):
        frame_regions(heat, floor=0.5)


@pytest.mark.parametrize(("floor", "share", "level"), [(0.0, 0.5, 0.5), (0.6, 0.5, 0.6), (0.2, 0.8, 0.8), (1, 1, 1)])
def test_a_frame_is_cut_at_its_floor_or_its_share_whichever_is_higher(floor: float, share: float, level: float) -> None:
    heat = two_peaks()
    np.testing.assert_array_equal(frame_regions(heat, floor=floor, share=share), hot_regions(heat, level))


def test_what_is_cooler_than_the_share_of_the_peak_has_no_box() -> None:
    assert len(frame_regions(two_peaks(low=0.5), floor=0.0)) == 2
    assert len(frame_regions(two_peaks(low=0.49), floor=0.0)) == 1


def test_boxes_do_not_depend_on_the_scale_of_the_heat() -> None:
    boxes = [frame_regions(two_peaks() * np.float32(scale), floor=0.0)[:, :4] for scale in (1, 8, 1e-9)]
    np.testing.assert_array_equal(boxes[0], boxes[1])
    np.testing.assert_array_equal(boxes[0], boxes[2])


def test_a_frame_below_the_floor_has_no_regions() -> None:
    assert frame_regions(two_peaks(), floor=1.01).shape == (0, 5)


def test_a_frame_without_heat_has_no_regions() -> None:
    assert frame_regions(np.zeros((4, 4), np.float32), floor=0.0).shape == (0, 5)


def test_regions_come_back_as_written(tmp_path: Path) -> None:
    write_regions(tmp_path / "regions.npz", ROWS.items())
    read = read_scores(tmp_path / "regions.npz")
    assert list(read) == list(ROWS)
    for name, rows in ROWS.items():
        np.testing.assert_array_equal(read[name], rows)


def test_what_is_read_is_what_the_evaluation_takes(tmp_path: Path) -> None:
    boxes = frame_regions(two_peaks(), floor=0.0)
    rows = np.column_stack([np.full(len(boxes), 3), boxes])
    write_regions(tmp_path / "regions.npz", [("01", rows), ("02", np.empty((0, 6)))])
    tracks = {"01": np.array([[0, 3, 10, 4, 12, 5]])}
    assert detect_regions(read_scores(tmp_path / "regions.npz"), tracks, 10).rbdc == 1


def test_the_same_regions_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_regions(tmp_path / name, ROWS.items())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_table_has_a_row_a_region(tmp_path: Path) -> None:
    write_regions_csv(tmp_path / "regions.csv", ROWS.items())
    assert (tmp_path / "regions.csv").read_bytes().decode().splitlines() == [
        "video,frame,x_min,y_min,x_max,y_max,score",
        "02,4,10,20,30,40,0.125",
        "02,4,0,0,3,3,0.333333",
        "02,7,1,2,1,2,2e-07",
    ]


def test_a_name_with_a_comma_stays_in_its_column(tmp_path: Path) -> None:
    name = 'gate "A", north'
    write_regions_csv(tmp_path / "regions.csv", [(name, ROWS["02"])])
    with (tmp_path / "regions.csv").open(encoding="utf-8", newline="") as file:
        assert [row["video"] for row in csv.DictReader(file)] == [name] * 3


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "regions.npz"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"regions\.npz has NaN or infinity .* of video 03"):
        write_regions(path, [*ROWS.items(), ("03", np.array([[0, 0, 0, 1, 1, np.nan]]))])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
