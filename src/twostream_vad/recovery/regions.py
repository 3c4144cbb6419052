"""Boxes with scores around the hot places of a frame's heat map, and the files that hold them."""

import csv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..scores.files import read_scores
from ..storage import whole_file

Floats = NDArray[np.float64]
Videos = Iterable[tuple[str, NDArray[Any]]]
"""Of each video its name and rows of frame, x_min, y_min, x_max, y_max, score; ``dict.items()`` or a generator."""

HEADER = ("video", "frame", "x_min", "y_min", "x_max", "y_max", "score")


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
        first; of equal ones the upper, then the left. None for a frame whose largest heat is below ``floor``, or 0.

    Raises:
        ValueError: a heat map of another form, or with NaN or infinity; ``floor`` or ``share`` out of range.
    """
    _check(heat, most)
    if not 0 <= floor < np.inf:
        raise ValueError(f"floor must be finite and 0 or more, got {floor}")
    if not 0 < share <= 1:
        raise ValueError(f"share must lie above 0 and at most at 1, got {share}")
    peak = float(heat.max())
    if peak < floor or peak <= 0:
        return np.empty((0, 5))
    return _components(heat, max(floor, share * peak), most)


def write_regions(path: Path, videos: Videos) -> None:
    """An ``.npz`` of video name -> rows, which ``read_regions`` reads; whole or not at all.

    One video's rows are held at a time. The same rows give the same bytes.

    Raises:
        ValueError: rows of another form, NaN or infinity, or a video that comes twice.
    """
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, rows in _checked(path, videos):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, rows, allow_pickle=False)


def write_regions_csv(path: Path, videos: Videos) -> None:
    """The same as text, a row a region: boxes in whole pixels, six digits of each score.

    Raises:
        ValueError: as ``write_regions``.
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for name, rows in _checked(path, videos):
            for *whole, score in rows.tolist():
                table.writerow((name, *map(round, whole), f"{score:.6g}"))


def read_regions(path: Path) -> dict[str, Floats]:
    """Video name -> rows of frame, x_min, y_min, x_max, y_max, score, as `detect_regions` takes them.

    Nothing pickled is run.

    Raises:
        ValueError: the file is missing, cut short or pickled, or holds other rows.
    """
    return dict(_checked(path, read_scores(path).items()))


def _check(heat: NDArray[np.float32], most: int) -> None:
    if heat.ndim != 2 or heat.size == 0:
        raise ValueError(f"a heat map must be (H, W) with a pixel at least, got shape {heat.shape}")
    if not np.isfinite(heat).all():
        y, x = np.argwhere(~np.isfinite(heat))[0]
        raise ValueError(
            f"the heat map holds {heat[y, x]} at x = {x}, y = {y}: check the weights and the frame it is of"
        )
    if most < 1:
        raise ValueError(f"most must be 1 or more, got {most}")


def _components(heat: NDArray[np.float32], threshold: float, most: int) -> Floats:
    # As float64, or numpy would round the threshold to the heat map's float32.
    hot = heat >= np.float64(threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    scores = np.full(count, -np.inf, heat.dtype)
    np.maximum.at(scores, labels[hot].astype(np.intp), heat[hot])
    # Row 0 is the background.
    left, top, width, height = stats[1:, :4].T
    rows = np.column_stack([left, top, left + width - 1, top + height - 1, scores[1:]]).astype(np.float64)
    return rows[np.lexsort((left, top, -scores[1:]))][:most]


def _checked(path: Path, videos: Videos) -> Iterator[tuple[str, Floats]]:
    """Each video's rows as float64, (n, 6)."""
    seen = set()
    for name, rows in videos:
        if name in seen:
            raise ValueError(f"{path}: video {name} comes twice; give each video's rows once, all together")
        seen.add(name)
        table = np.ascontiguousarray(rows, np.float64)
        if table.ndim != 2 or table.shape[1] != 6:
            raise ValueError(
                f"{path}: regions of video {name} must be rows of frame, x_min, y_min, x_max, y_max, score, "
                f"got shape {table.shape}; find the regions again to make the file anew"
            )
        if not np.isfinite(table).all():
            raise ValueError(f"{path}: regions of video {name} hold NaN or infinity; score the video again")
        yield name, table
