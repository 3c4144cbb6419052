"""Boxes with scores around the hot places of a frame's heat map, and the files that hold them."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..scores.files import write_scores
from ..storage import whole_file

Floats = NDArray[np.float64]
Videos = Iterable[tuple[str, NDArray[Any]]]
"""Of each video its name and rows of frame, x_min, y_min, x_max, y_max, score, (n, 6)."""


def frame_regions(heat: NDArray[np.float32], *, floor: float, share: float = 0.5, most: int = 8) -> Floats:
    """Regions around a frame's own peaks: heat of at least ``share`` of the frame's largest and of ``floor``.

    For RBDC and TBDC, which try every score as a threshold and keep the boxes as they are. Each peak therefore
    has one box, whose size does not hang on the threshold: the frame's own maximum says where it ends. Boxes of
    several levels would lie around the same peak, and each would count as a false positive of its own. The price
    is that what is less than ``share`` as hot as the frame's peak has no box.

    Args:
        heat: of one frame, (H, W), 0 or more.
        floor: no region where the heat is below; 0 gives regions to every frame that has any heat.
        share: of the frame's largest heat, above 0 and at most 1.
        most: regions kept, those with the highest scores.

    Returns:
        (regions, 5): x_min, y_min, x_max, y_max in pixels of the heat map, both ends included, and the score,
        which is the region's largest heat. Pixels that touch at a corner are connected. The highest score comes
        first; of equal ones the upper, then the left.

    Raises:
        ValueError: NaN or infinity in the heat map.
    """
    if not np.isfinite(heat).all():
        y, x = np.argwhere(~np.isfinite(heat))[0]
        raise ValueError(
            f"the heat map holds {heat[y, x]} at x = {x}, y = {y}: check the weights and the frame it is of"
        )
    peak = float(heat.max())
    if peak < floor or peak <= 0:
        return np.empty((0, 5))
    # As float64, or numpy would round the threshold to the heat map's float32.
    hot = heat >= np.float64(max(floor, share * peak))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    scores = np.full(count, -np.inf, heat.dtype)
    np.maximum.at(scores, labels[hot].astype(np.intp), heat[hot])
    left, top, width, height = stats[1:, :4].T  # row 0 is the background
    rows = np.column_stack([left, top, left + width - 1, top + height - 1, scores[1:]]).astype(np.float64)
    return rows[np.lexsort((left, top, -scores[1:]))][:most]


def write_regions(path: Path, videos: Videos) -> None:
    """An ``.npz`` of video name -> rows, which `read_scores` reads; ScoreFileError for NaN or infinity among them."""
    write_scores(path, dict(videos))


def write_regions_csv(path: Path, videos: Videos) -> None:
    """The same as text, a row a region: boxes in whole pixels, six digits of each score."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("video", "frame", "x_min", "y_min", "x_max", "y_max", "score"))
        for name, rows in videos:
            for *whole, score in rows.tolist():
                table.writerow((name, *map(round, whole), f"{score:.6g}"))
