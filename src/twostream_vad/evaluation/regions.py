"""RBDC and TBDC: are anomalous regions and tracks found, and at how many false regions a frame?

Ramachandra and Jones, Street Scene (WACV 2020), counted as the field's shared program counts.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .auc import ByVideo, EvaluationError, Floats, NoMetricError

OVERLAP = 0.1  # IoU at which a detection matches a region
ENOUGH = 10  # a track is found with at least one in so many of its regions


class RegionDetection(NamedTuple):
    """Areas up to one false positive region a frame: under the share of the regions found, and of the tracks."""

    rbdc: float
    tbdc: float


def detect_regions(detections: ByVideo, tracks: ByVideo, frames: int) -> RegionDetection:
    """Judge detections against tracks; equal scores are taken together.

    Args:
        detections: video -> rows of frame, x_min, y_min, x_max, y_max, score. Boxes include both ends.
        tracks: video -> rows of track, frame, x_min, y_min, x_max, y_max; none for a normal video.
        frames: of all videos, normal ones too.

    NoMetricError where there are no regions at all.
    """
    none = np.empty((0, 6))
    false: list[Floats] = []  # scores of detections that match nothing
    regions: list[Floats] = []  # the score at which each region is found, -inf for never
    found: list[float] = []  # the score at which enough of a track's regions are
    scores: list[Floats] = []
    for name in sorted(set(detections) | set(tracks)):
        own, truth = detections.get(name, none), tracks.get(name, none)
        matched, best = _match(own, truth)
        scores.append(own[:, 5])
        false.append(own[~matched, 5])
        regions.append(best)
        by_track = (np.sort(best[truth[:, 0] == track]) for track in np.unique(truth[:, 0]))
        found.extend(float(own_scores[len(own_scores) // -ENOUGH]) for own_scores in by_track)
    if not found:
        raise NoMetricError("no anomalous regions in any video: RBDC and TBDC do not exist without tracks")
    thresholds = np.unique(np.concatenate(scores))[::-1]
    false_a_frame = _at_least(np.concatenate(false), thresholds) / frames
    shares = (_at_least(at, thresholds) / len(at) for at in (np.concatenate(regions), np.array(found)))
    return RegionDetection(*(_area(false_a_frame, share) for share in shares))


def read_tracks(path: Path) -> dict[str, Floats]:
    """Video name -> rows of track, frame, x_min, y_min, x_max, y_max, from files ``VIDEO.txt`` of such rows.

    ``path`` is a folder of them, or one file. EvaluationError for nothing there, or a file of another form.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise EvaluationError(f"{path} holds no tracks: give a folder of VIDEO.txt files, or one such file")
    return {file.stem: _read_file(file) for file in files}


def _read_file(file: Path) -> Floats:
    form = "rows of 'track, frame, x_min, y_min, x_max, y_max', the box's first corner above and left of its last"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file: a normal video
            rows = np.loadtxt(file, delimiter=",", comments=None, ndmin=2, encoding="utf-8")
    except (ValueError, OSError) as error:
        raise EvaluationError(f"{file} cannot be read ({error}): give {form}") from None
    if rows.size == 0:
        return rows.reshape(0, 6)
    if rows.shape[1] != 6:
        raise EvaluationError(f"{file} has rows of {rows.shape[1]} numbers: give {form}")
    wrong = ~np.isfinite(rows).all(axis=1) | (rows[:, 2:4] > rows[:, 4:6]).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise EvaluationError(f"{file}, row {row + 1}: {', '.join(f'{value:g}' for value in rows[row])}; give {form}")
    return rows


def _match(own: Floats, truth: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Which detections match a region, (detections,), and each region's best matching score, (regions,)."""
    matched, best = np.zeros(len(own), np.bool_), np.full(len(truth), -np.inf)
    frames, order = np.unique(truth[:, 1]), np.argsort(own[:, 0], kind="stable")
    edges = [np.searchsorted(own[order, 0], frames, side) for side in ("left", "right")]
    for frame, first, last in zip(frames, *edges, strict=True):
        here, there = order[first:last], np.flatnonzero(truth[:, 1] == frame)
        hits = box_iou(own[here, None, 1:5], truth[None, there, 2:6]) >= OVERLAP
        matched[here] = hits.any(axis=1)
        best[there] = np.where(hits, own[here, None, 5], -np.inf).max(axis=0, initial=-np.inf)
    return matched, best


def box_iou(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Intersection over union of boxes (..., 4), x_min, y_min, x_max, y_max in pixels, both ends included."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]) + 1
    shared = np.clip(sides, 0, None).prod(axis=-1)
    areas = [(box[..., 2:] - box[..., :2] + 1).prod(axis=-1) for box in (a, b)]
    overlap: Floats = shared / (areas[0] + areas[1] - shared)
    return overlap


def _at_least(scores: Floats, thresholds: Floats) -> Floats:
    """How many scores reach each threshold."""
    return (len(scores) - np.searchsorted(np.sort(scores), thresholds)).astype(np.float64)


def _area(false: Floats, found: Floats) -> float:
    """Under the curve from (0, 0) up to one false positive a frame, flat from its last point on."""
    kept = false <= 1
    y = np.concatenate([[0.0], found[kept]])
    y = np.append(y, y[-1])
    return float((np.diff(false[kept], prepend=0.0, append=1.0) * (y[1:] + y[:-1]) / 2).sum())
