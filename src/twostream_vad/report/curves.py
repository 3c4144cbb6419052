"""Curves as SVG paths, and long ones thinned so that no peak is lost."""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

HAIR = 0.4  # points nearer than this to the last one drawn are left out


def path(x: NDArray[np.floating], y: NDArray[np.floating]) -> str:
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
