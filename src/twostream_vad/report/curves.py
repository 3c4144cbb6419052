"""Curves as SVG paths, and long ones thinned so that no peak is lost."""

import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

COLUMNS = 2000
HAIR = 0.4  # points nearer than this to the last one drawn are left out


def svg_path(x: NDArray[np.floating], y: NDArray[np.floating]) -> str:
    """The ``d`` of an SVG path over the finite points (n,), lifted at the others, y downwards.

    Points that nobody could tell apart are left out. A point alone between two gaps is drawn as a dot.
    """
    return re.sub(r"(M[^ML]+)(?=M|$)", r"\1h0", "".join(_steps(np.asarray(x, float), np.asarray(y, float))))


def _steps(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Iterator[str]:
    drawn = (np.nan, np.nan)
    pen_down = False
    for i, (x, y) in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
        if not (np.isfinite(x) and np.isfinite(y)):
            pen_down = False
            continue
        near = abs(x - drawn[0]) < HAIR and abs(y - drawn[1]) < HAIR
        if pen_down and near and i + 1 < len(xs):
            continue
        yield f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}"
        drawn, pen_down = (x, y), True


def thinned(
    x: NDArray[np.floating], y: NDArray[np.floating], columns: int = COLUMNS
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """A long curve's points that a picture so many pixels wide can show: the least and the largest of each column.

    Args:
        x: (n,), never going back.
        y: (n,); what is not finite is a gap, and stays one where it fills a column.
        columns: of pixels.

    Returns:
        x and y of at most 2 · ``columns`` points, in order; a curve that has no more comes back as it is.
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


def check_timeline(times: NDArray[np.floating], series: Mapping[str, NDArray[np.floating]]) -> None:
    """Raises ValueError unless ``times`` (frames,) in seconds never go back, and each series has a score a frame."""
    shapes = {name: scores.shape for name, scores in series.items() if scores.shape != times.shape}
    if times.ndim != 1 or len(times) == 0 or shapes:
        given = ", ".join(f"{name} {shape}" for name, shape in {"times": times.shape, **shapes}.items())
        raise ValueError(f"a timeline needs a frame or more, and a time and a score of each: got {given}")
    wrong = np.flatnonzero(~(np.diff(times, prepend=times[0]) >= 0))
    if len(wrong):
        raise ValueError(f"times must not go back: frame {wrong[0]} is at {times[wrong[0]]} s")
