"""RBDC and TBDC: are anomalous regions and tracks found, and at how many false regions a frame?

Ramachandra and Jones, Street Scene (WACV 2020), counted as the field's shared program counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ByVideo = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class RegionDetection:
    """Areas under both curves up to one false positive region a frame, and the curves.

    A curve begins at (0, 0), has a point for each distinct score up to there, and ends at 1.
    """

    rbdc: float
    tbdc: float
    false_positives: Floats  # (points,): false positive regions a frame
    regions_found: Floats  # (points,): share of the anomalous regions
    tracks_found: Floats  # (points,): share of the tracks


def detect_regions(
    detections: ByVideo, tracks: ByVideo, frames: int, *, overlap: float = 0.1, share: float = 0.1
) -> RegionDetection:
    """Judge detections against tracks; equal scores are taken together.

    Args:
        detections: video -> rows of frame, x_min, y_min, x_max, y_max, score.
        tracks: video -> rows of track, frame, x_min, y_min, x_max, y_max; none for a normal video.
        frames: of all videos, normal ones too.
        overlap: the IoU at which a detection matches a region. Boxes include both ends.
        share: the share of its regions at which a track is found.

    Raises:
        ValueError: rows of another form, NaN, boxes with their ends swapped, or no regions at all.
    """
    if frames < 1:
        raise ValueError(f"frames must be 1 or more, got {frames}")
    for name, value in (("overlap", overlap), ("share", share)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} must lie above 0 and at most at 1, got {value}")
    false: list[Floats] = []  # scores of detections that match nothing
    regions: list[Floats] = []  # the score at which each region is found, -inf for never
    found: list[float] = []  # the score at which each track is
    scores: list[Floats] = []
    for name in sorted(set(detections) | set(tracks)):
        own = _rows(detections.get(name), name, "detections", first=1)
        truth = _rows(tracks.get(name), name, "tracks", first=2)
        matched, best = _match(own, truth, overlap)
        scores.append(own[:, 5])
        false.append(own[~matched, 5])
        regions.append(best)
        found.extend(_found_at(best[truth[:, 0] == track], share) for track in np.unique(truth[:, 0]))
    if not found:
        raise ValueError("no anomalous regions in any video: RBDC and TBDC do not exist without tracks")
    thresholds = np.unique(np.concatenate(scores))[::-1]
    return _curve(
        _at_least(np.concatenate(false), thresholds) / frames,
        _at_least(np.concatenate(regions), thresholds) / sum(map(len, regions)),
        _at_least(np.array(found), thresholds) / len(found),
    )


def read_tracks(path: Path) -> dict[str, Floats]:
    """Video name -> rows of track, frame, x_min, y_min, x_max, y_max, from files ``VIDEO.txt`` of such rows.

    Args:
        path: a folder of such files, or one of them.

    Raises:
        ValueError: nothing there, or a file of another form.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ValueError(f"{path} holds no tracks: give a folder of VIDEO.txt files, or one such file")
    return {file.stem: np.array(list(_read_rows(file))).reshape(-1, 6) for file in files}


def _read_rows(file: Path) -> Iterator[list[float]]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{file} cannot be read as text ({error})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = [float(value) for value in line.split(",")]
        except ValueError:
            row = []
        if len(row) != 6:
            raise ValueError(f"{file}, line {number}: {line[:60]!r} is not 'track, frame, x_min, y_min, x_max, y_max'")
        yield row


def _rows(rows: NDArray[Any] | None, video: str, what: str, first: int) -> Floats:
    """Rows (n, 6) of one video as float64; the box begins at column ``first``."""
    if rows is None or np.size(rows) == 0:
        return np.empty((0, 6))
    table = np.asarray(rows, np.float64)
    if table.ndim != 2 or table.shape[1] != 6:
        raise ValueError(f"{what} of video {video} must be rows of 6 values, got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError(f"{what} of video {video}: row {int(np.argwhere(~np.isfinite(table))[0, 0])} holds NaN")
    swapped = (table[:, first : first + 2] > table[:, first + 2 : first + 4]).any(axis=1)
    if swapped.any():
        raise ValueError(
            f"{what} of video {video}: row {int(np.argmax(swapped))} has its box's ends swapped; "
            "boxes are x_min, y_min, x_max, y_max"
        )
    return table


def _match(own: Floats, truth: Floats, overlap: float) -> tuple[NDArray[np.bool_], Floats]:
    """Which detections match a region, (detections,), and each region's best matching score, (regions,)."""
    by_frame = np.argsort(own[:, 0], kind="stable")
    ordered = own[by_frame]
    begins = np.searchsorted(ordered[:, 0], truth[:, 1], side="left")
    counts = np.searchsorted(ordered[:, 0], truth[:, 1], side="right") - begins
    # Every pair of a region and a detection in its frame, as two columns of row numbers.
    region = np.repeat(np.arange(len(truth)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    detection = np.repeat(begins, counts) + within
    hits = _iou(ordered[detection, 1:5], truth[region, 2:6]) >= overlap
    matched = np.zeros(len(own), np.bool_)
    matched[by_frame[detection[hits]]] = True
    best = np.full(len(truth), -np.inf)
    np.maximum.at(best, region[hits], ordered[detection[hits], 5])
    return matched, best


def _iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes (n, 4) pair by pair, in pixels, both ends included."""
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]) + 1
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2] + 1).prod(axis=1) for box in (a, b)]
    overlap: Floats = shared / (areas[0] + areas[1] - shared)
    return overlap


def _found_at(best: Floats, share: float) -> float:
    """The score at which at least ``share`` of a track's regions are found."""
    enough = int(np.argmax(np.arange(1, len(best) + 1) / len(best) >= share))
    return float(np.sort(best)[::-1][enough])


def _at_least(scores: Floats, thresholds: Floats) -> Floats:
    """How many scores reach each threshold."""
    return (len(scores) - np.searchsorted(np.sort(scores), thresholds)).astype(np.float64)


def _curve(false: Floats, regions: Floats, tracks: Floats) -> RegionDetection:
    """The curves up to one false positive a frame, flat from their last point on, and their areas."""
    kept = false <= 1
    x = np.concatenate([[0.0], false[kept], [1.0]])
    curves = []
    for found in (regions, tracks):
        y = np.append(0.0, found[kept])
        curves.append(np.append(y, y[-1]))
    areas = [float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum()) for y in curves]
    return RegionDetection(areas[0], areas[1], x, curves[0], curves[1])
