"""Tracks of anomalous objects from pixel masks, for region and track metrics on datasets that come without."""

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max, both ends included
Tracks = NDArray[np.int64]
"""Rows of track, frame, x_min, y_min, x_max, y_max, in the order of frames; both ends included."""


def mask_tracks(masks: Iterable[NDArray[np.bool_]], *, least: int = 10, gap: int = 2) -> Tracks:
    """Connected regions of a video's masks, linked over time by how much their boxes overlap.

    Regions are the 8-connected components of a frame's mask. In each frame, pairs of a track's last box and a
    region's box that share a pixel are taken in falling order of their IoU; a pair links its region to its
    track unless one of the two is linked already. Of equal pairs, the track seen last goes first, then the one
    that began first, then the region nearest the top and the left. A region left over begins a track.

    Objects whose masks touch are one region, and a track that is hidden for longer than ``gap``, or splits,
    goes on under a new number. Areas under such tracks' curves do not compare with those under tracks drawn by
    hand.

    Args:
        masks: a video's frames in order, (H, W) each, True where anomalous.
        least: regions of fewer pixels are left out.
        gap: a track goes on if it was last seen at most so many frames before: 1 is the frame before.

    Returns:
        (regions, 6), the form that ``detect_regions`` takes. Tracks and frames count from 0.

    Raises:
        ValueError: a mask of another form, or a setting below 1.
    """
    if least < 1 or gap < 1:
        raise ValueError(f"least must be 1 pixel or more and gap 1 frame or more, got {least} and {gap}")
    rows: list[tuple[int, int, int, int, int, int]] = []
    seen: dict[int, tuple[int, Box]] = {}  # track -> its last frame and box, of those that may go on
    begun = 0
    for frame, mask in enumerate(masks):
        seen = {track: last for track, last in seen.items() if frame - last[0] <= gap}
        boxes = _boxes(mask, frame, least)
        track_of = _linked(seen, boxes)
        for region, box in enumerate(boxes):
            if region not in track_of:
                track_of[region], begun = begun, begun + 1
            seen[track_of[region]] = frame, box
            rows.append((track_of[region], frame, *box))
    return np.array(rows, np.int64).reshape(-1, 6)


def _boxes(mask: NDArray[Any], frame: int, least: int) -> list[Box]:
    """Boxes of a mask's regions, from top to bottom, then from left to right."""
    marked = np.asarray(mask)
    if marked.ndim != 2 or marked.dtype != np.bool_:
        raise ValueError(f"the mask of frame {frame} must be bool (H, W), got {marked.dtype} {marked.shape}")
    if not marked.any():  # most frames; OpenCV also refuses a mask without pixels
        return []
    _, _, stats, _ = cv2.connectedComponentsWithStats(marked.astype(np.uint8), connectivity=8)
    regions = stats[1:]  # the first is the background
    boxes = [
        (int(x), int(y), int(x + width - 1), int(y + height - 1))
        for x, y, width, height, area in regions
        if area >= least
    ]
    return sorted(boxes, key=lambda box: (box[1], box[0], box[3], box[2]))


def _linked(seen: dict[int, tuple[int, Box]], boxes: list[Box]) -> dict[int, int]:
    """Which of the boxes go on with which track: box number -> track."""
    pairs = [
        (-overlap, -last, track, region)
        for track, (last, before) in seen.items()
        for region, box in enumerate(boxes)
        if (overlap := _iou(before, box)) > 0
    ]
    track_of: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, track, region in sorted(pairs):
        if track not in taken and region not in track_of:
            track_of[region] = track
            taken.add(track)
    return track_of


def _iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes in pixels, both ends included."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(x1 - x0 + 1) * (y1 - y0 + 1) for x0, y0, x1, y1 in (a, b)]
    return width * height / (sum(areas) - width * height)
