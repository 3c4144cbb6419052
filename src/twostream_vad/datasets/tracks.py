"""Tracks of anomalous objects from pixel masks, for region and track metrics on datasets that come without."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from ..evaluation.regions import box_iou

LEAST_PIXELS = 10  # smaller regions are left out
GAP = 2  # a track goes on if it was last seen at most so many frames before: 1 is the frame before

Box = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max, both ends included
Tracks = NDArray[np.int64]  # rows of track, frame, x_min, y_min, x_max, y_max in order of frames; both ends included


def mask_tracks(masks: Iterable[NDArray[np.bool_]]) -> Tracks:
    """Connected regions of a video's masks, linked over time by how much their boxes overlap.

    Regions are the 8-connected components of a frame's mask. In each frame, pairs of a track's last box and a
    region's box that share a pixel are taken in falling order of their IoU; a pair links its region to its
    track unless one of the two is linked already. Of equal pairs, the track seen last goes first, then the one
    that began first, then the region nearest the top and the left. A region left over begins a track.

    Objects whose masks touch are one region, and a track that is hidden for longer than GAP, or splits,
    goes on under a new number. Areas under such tracks' curves do not compare with those under tracks drawn by
    hand. Masks are (H, W) each, True where anomalous, in order; what is returned, (regions, 6), is the form that
    ``detect_regions`` takes. Tracks and frames count from 0.
    """
    rows: list[tuple[int, int, int, int, int, int]] = []
    seen: dict[int, tuple[int, Box]] = {}  # track -> its last frame and box, of those that may go on
    begun = 0
    for frame, mask in enumerate(masks):
        seen = {track: last for track, last in seen.items() if frame - last[0] <= GAP}
        boxes = _boxes(mask)
        track_of = _linked(seen, boxes)
        for region, box in enumerate(boxes):
            if region not in track_of:
                track_of[region], begun = begun, begun + 1
            seen[track_of[region]] = frame, box
            rows.append((track_of[region], frame, *box))
    return np.array(rows, np.int64).reshape(-1, 6)


def _boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """Boxes of a mask's regions, from top to bottom, then from left to right."""
    if not mask.any():  # most frames; OpenCV also refuses a mask without pixels
        return []
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    rows = stats[1:].tolist()  # the first is the background
    boxes = [(x, y, x + width - 1, y + height - 1) for x, y, width, height, area in rows if area >= LEAST_PIXELS]
    return sorted(boxes, key=lambda box: (box[1], box[0], box[3], box[2]))


def _linked(seen: dict[int, tuple[int, Box]], boxes: list[Box]) -> dict[int, int]:
    """Which of the boxes go on with which track: box number -> track."""
    if not seen or not boxes:
        return {}
    overlaps = box_iou(np.array([box for _, box in seen.values()])[:, None], np.array(boxes)[None])
    pairs = [
        (-overlap, -last, track, region)
        for (track, (last, _)), row in zip(seen.items(), overlaps.tolist(), strict=True)
        for region, overlap in enumerate(row)
        if overlap > 0
    ]
    track_of: dict[int, int] = {}
    for _, _, track, region in sorted(pairs):
        if track not in track_of.values():
            track_of.setdefault(region, track)
    return track_of
