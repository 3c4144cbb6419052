"""RBDC and TBDC against counting score by score, box by box, pixel by pixel."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.evaluation.auc import EvaluationError, NoMetricError
from twostream_vad.evaluation.regions import detect_regions, read_tracks

Rows = dict[str, NDArray[np.float64]]
TRACK = {"a": np.array([[0, frame, 0, 0, 9, 9] for frame in range(10)], float)}


def pixels(box: NDArray[np.float64]) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = map(int, box)
    return {(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)}


def by_counting(detections: Rows, tracks: Rows, frames: int) -> tuple[float, float]:
    """Start anew at every threshold: everything that scores as much is looked at, one pair at a time."""
    thresholds = sorted({row[5] for rows in detections.values() for row in rows}, reverse=True)
    points = [(0.0, 0.0, 0.0)]
    for threshold in thresholds:
        false, found, tracks_found, regions, whole = 0, 0, 0, 0, 0
        hit: dict[tuple[str, float], list[bool]] = {}
        matched: set[tuple[str, int]] = set()
        for video, truth in tracks.items():
            for region in truth:
                seen = False
                for i, row in enumerate(detections.get(video, np.empty((0, 6)))):
                    if row[5] >= threshold and row[0] == region[1]:
                        a, b = pixels(row[1:5]), pixels(region[2:])
                        if len(a & b) / len(a | b) >= 0.1:
                            seen = True
                            matched.add((video, i))
                hit.setdefault((video, region[0]), []).append(seen)
        for video, rows in detections.items():
            false += sum(row[5] >= threshold and (video, i) not in matched for i, row in enumerate(rows))
        for seen_regions in hit.values():
            whole, regions, found = whole + 1, regions + len(seen_regions), found + sum(seen_regions)
            tracks_found += sum(seen_regions) / len(seen_regions) >= 0.1
        points.append((false / frames, found / regions, tracks_found / whole))
    kept = [point for point in points if point[0] <= 1]
    kept.append((1.0, *kept[-1][1:]))
    areas = [0.0, 0.0]
    for before, after in pairwise(kept):
        for k in (0, 1):
            areas[k] += (after[0] - before[0]) * (after[k + 1] + before[k + 1]) / 2
    return areas[0], areas[1]


def draw(seed: int, false: int, levels: int) -> tuple[Rows, Rows]:
    """Three videos, one of them normal, tracks of 1 to 20 regions, detections near them and anywhere."""
    rng = np.random.default_rng(seed)

    def boxes(count: int) -> NDArray[np.float64]:
        corner = rng.integers(0, 20, (count, 2))
        return np.hstack([corner, corner + rng.integers(0, 12, (count, 2))]).astype(float)

    tracks = {
        video: np.vstack(
            [np.column_stack([np.full(n, t), rng.permutation(20)[:n], boxes(n)]) for t, n in enumerate(lengths)]
        )
        for video, lengths in (("a", (1, 20)), ("b", (10, 7, 11)))
    }
    detections = {}
    for video in ("a", "b", "normal"):
        rows = np.column_stack([rng.integers(0, 20, false), boxes(false)])
        if video in tracks:
            near = tracks[video][rng.random(len(tracks[video])) < 0.5, 1:].copy()
            near[:, 1:] += rng.integers(0, 4, (len(near), 1))
            rows = np.vstack([rows, near])
        detections[video] = np.column_stack([rows, rng.integers(0, levels, len(rows)) / levels])
    return detections, tracks


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("false", "levels"), [(3, 10**9), (3, 3), (20, 10**9), (20, 5), (0, 10**9)])
def test_areas_are_those_of_counting(seed: int, false: int, levels: int) -> None:
    detections, tracks = draw(seed, false, levels)
    result = detect_regions(detections, tracks, 30)
    assert (result.rbdc, result.tbdc) == pytest.approx(by_counting(detections, tracks, 30), abs=1e-12)


def test_boxes_include_both_ends() -> None:
    # 1 of 10 pixels only if the boxes' last pixels count; as lengths, nothing is shared at all.
    track = {"a": np.array([[0, 0, 0, 0, 4, 0]], float)}
    assert detect_regions({"a": np.array([[0, 4, 0, 9, 0, 1.0]])}, track, 1).rbdc == 1
    assert detect_regions({"a": np.array([[0, 4, 0, 10, 0, 1.0]])}, track, 1).rbdc == 0


def test_a_detection_of_a_region_already_found_is_no_false_positive() -> None:
    twice = np.array([[0, 0, 0, 9, 9, 0.9], [0, 0, 0, 9, 9, 0.8]])
    assert detect_regions({"a": twice}, TRACK, 1).rbdc == 0.1


def test_one_detection_finds_every_region_it_overlaps() -> None:
    two = {"a": np.array([[0, 0, 0, 0, 9, 9], [1, 0, 2, 2, 11, 11]], float)}
    assert detect_regions({"a": np.array([[0, 0, 0, 10, 10, 0.5]])}, two, 1).rbdc == 1


def test_a_tenth_of_a_track_is_enough() -> None:
    one = {"a": np.array([[3, 0, 0, 9, 9, 0.5]])}
    longer = {"a": np.vstack([TRACK["a"], [[0, 10, 0, 0, 9, 9]]])}
    assert detect_regions(one, TRACK, 10).tbdc == 1
    assert detect_regions(one, longer, 11).tbdc == 0


def test_equal_scores_are_taken_together_whatever_their_order() -> None:
    detections, tracks = draw(1, 40, 3)
    turned = {name: rows[::-1] for name, rows in detections.items()}
    assert detect_regions(turned, tracks, 60).rbdc == detect_regions(detections, tracks, 60).rbdc


def test_no_detections_find_nothing() -> None:
    assert detect_regions({}, TRACK, 10).rbdc == 0


def test_no_regions_are_refused() -> None:
    with pytest.raises(NoMetricError, match="no anomalous regions"):
        detect_regions({"a": np.array([[0, 0, 0, 9, 9, 0.9]])}, {}, 10)


def test_tracks_are_read_by_video(tmp_path: Path) -> None:
    (tmp_path / "01_0014.txt").write_text("0,154,4,142,119,249\n\n1, 155, 6, 145, 129.5, 254 \n")
    (tmp_path / "normal.txt").write_text("")
    tracks = read_tracks(tmp_path)
    assert tracks["01_0014"].tolist() == [[0, 154, 4, 142, 119, 249], [1, 155, 6, 145, 129.5, 254]]
    assert tracks["normal"].shape == (0, 6)
    assert list(read_tracks(tmp_path / "01_0014.txt")) == ["01_0014"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0,154,4,142,119,249\n0,154,4,142,119\n", r"01\.txt cannot be read \(.*row 2"),
        ("track,frame,x,y,x,y\n", r"01\.txt cannot be read .*give rows of 'track, frame, x_min"),
        ("0,154,4,142,119\n", r"01\.txt has rows of 5 numbers"),
        ("0,154,4,142,119,nan\n", r"01\.txt, row 1: 0, 154, 4, 142, 119, nan"),
        ("0,1,2,3,4,5\n0,154,120,142,119,249\n", r"01\.txt, row 2: 0, 154, 120, 142"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "01.txt").write_text(lines)
    with pytest.raises(EvaluationError, match=message):
        read_tracks(tmp_path)


def test_a_folder_without_tracks_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no tracks"):
        read_tracks(tmp_path)
