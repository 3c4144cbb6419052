"""Curves as SVG paths, and long ones thinned so that no peak is lost."""

import numpy as np
from numpy.typing import NDArray

from ..evaluation.events import stretches

COLUMNS = 2000


def svg_path(x: NDArray[np.floating], y: NDArray[np.floating], columns: int = 300) -> str:
    """The ``d`` of an SVG path over the finite points (n,), `thinned`, y downwards; one between gaps is a dot."""
    x, y = thinned(x, y, columns)
    points = [f"{across:.1f} {down:.1f}" for across, down in zip(x.tolist(), y.tolist(), strict=True)]
    pieces = [points[first:end] for first, end in stretches(np.isfinite(x) & np.isfinite(y))]
    return "".join(f"M{'L'.join(piece)}" + ("h0" if len(piece) == 1 else "") for piece in pieces)


def thinned(
    x: NDArray[np.floating], y: NDArray[np.floating], columns: int = COLUMNS
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """A long curve's points that a picture so many pixels wide can show: the least and the largest of each column.

    ``x`` (n,) never goes back; what is not finite in ``y`` (n,) is a gap, and stays one where it fills a column. At
    most 2 · ``columns`` points are left, in order; a curve that has no more comes back as it is.
    """
    if len(x) <= 2 * columns or not x[-1] > x[0]:
        return x, y
    column = np.minimum((x - x[0]) * (columns / (x[-1] - x[0])), columns - 1).astype(np.int64)
    finite = np.flatnonzero(np.isfinite(y))
    rising = finite[np.lexsort((y[finite], column[finite]))]
    lowest, highest = (order[np.unique(column[order], return_index=True)[1]] for order in (rising, rising[::-1]))
    numbers, firsts = np.unique(column, return_index=True)
    gaps = firsts[~np.isin(numbers, column[finite])]
    kept = np.unique(np.concatenate([lowest, highest, gaps]))
    return x[kept], y[kept]
