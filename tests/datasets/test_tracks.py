"""Tracks from masks, drawn as rectangles whose boxes are known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from twostream_vad.datasets.tracks import mask_tracks
from twostream_vad.evaluation.regions import detect_regions

Box = tuple[int, int, int, int]
A, B = (2, 3, 9, 8), (20, 10, 27, 15)


def mask(*boxes: Box) -> NDArray[np.bool_]:
    drawn = np.zeros((24, 40), bool)
    for x0, y0, x1, y1 in boxes:
        drawn[y0 : y1 + 1, x0 : x1 + 1] = True
    return drawn


def moved(box: Box, x: int, y: int = 0) -> Box:
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def linked(*frames: tuple[Box, ...]) -> list[tuple[int, int]]:
    """Track and frame of every row."""
    return [(int(row[0]), int(row[1])) for row in mask_tracks(mask(*boxes) for boxes in frames)]


def test_a_region_becomes_its_box_with_both_ends() -> None:
    assert mask_tracks([mask(), mask(A, B)]).tolist() == [[0, 1, *A], [1, 1, *B]]


def test_a_video_without_anomalies_has_no_rows() -> None:
    assert mask_tracks([mask(), mask()]).shape == (0, 6)
    assert mask_tracks([]).shape == (0, 6)


def test_regions_are_the_eight_connected_components() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((30, 40)) < 0.3
    numbers, count = ndimage.label(drawn, np.ones((3, 3)))
    sizes = np.atleast_1d(ndimage.sum_labels(drawn, numbers, range(1, count + 1)))
    regions = [place for place, size in zip(ndimage.find_objects(numbers), sizes, strict=True) if size >= 10]
    expected = [[x.start, y.start, x.stop - 1, y.stop - 1] for y, x in regions]
    assert sorted(mask_tracks([drawn])[:, 2:].tolist()) == sorted(expected)


def test_small_regions_are_left_out_by_their_pixels() -> None:
    nine, ten = (0, 0, 2, 2), (10, 0, 14, 1)
    assert mask_tracks([mask(nine, ten)]).tolist() == [[0, 0, *ten]]


def test_regions_that_overlap_from_frame_to_frame_are_one_track() -> None:
    frames = [(moved(A, t), moved(B, -t)) for t in range(5)]
    assert linked(*frames) == [(track, t) for t in range(5) for track in (0, 1)]


def test_a_region_elsewhere_begins_a_track() -> None:
    assert linked((A,), (B,)) == [(0, 0), (1, 1)]
    assert linked((A,), (moved(A, 8),)) == [(0, 0), (1, 1)]  # beside each other, no pixel shared
    assert linked((A,), (moved(A, 7),)) == [(0, 0), (0, 1)]


@pytest.mark.parametrize(("hidden", "same"), [(0, True), (1, True), (2, False)])
def test_a_track_goes_on_if_seen_at_most_two_frames_before(hidden: int, same: bool) -> None:
    tracks = [track for track, _ in linked((A,), *[()] * hidden, (A,))]
    assert (tracks == [0, 0]) is same


def test_the_pair_with_the_greatest_overlap_is_linked_first() -> None:
    # The lower region covers three of six rows, the upper two: it goes on, and the upper begins anew.
    assert linked((A,), ((2, 3, 9, 4), (2, 6, 9, 8))) == [(0, 0), (1, 1), (0, 1)]
    # The upper region shares one row with track 0 but four with track 1, which so leaves the lower one alone.
    assert linked(((2, 0, 9, 4), (2, 6, 9, 11)), ((2, 4, 9, 9), (2, 11, 9, 13))) == [(0, 0), (1, 0), (1, 1), (2, 1)]


def test_a_track_goes_on_with_one_region_only() -> None:
    # The left half goes on; what split off is new. Both halves are alike, so the one to the left is taken.
    left, right = (2, 3, 4, 8), (7, 3, 9, 8)
    assert linked((A,), (right, left)) == [(0, 0), (0, 1), (1, 1)]


def test_of_equal_overlaps_the_track_seen_last_goes_on_then_the_older() -> None:
    left, right, whole = (2, 3, 4, 8), (7, 3, 9, 8), A
    assert linked((left, right), (whole,)) == [(0, 0), (1, 0), (0, 1)]
    assert linked((left,), (right,), (whole,)) == [(0, 0), (1, 1), (1, 2)]


def test_rows_are_those_that_region_metrics_take() -> None:
    rows = mask_tracks([mask(moved(A, t)) for t in range(4)])
    detections = {"01": np.column_stack([rows[:, 1:], np.ones(4)])}
    assert detect_regions(detections, {"01": rows}, 4).tbdc == 1
