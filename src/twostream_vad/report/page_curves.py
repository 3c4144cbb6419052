"""ROC, PR and like curves as inline SVG whose colours come from the page's style sheet."""

from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

Series = tuple[str, NDArray[np.floating], NDArray[np.floating]]

COLOURS = 6  # c0 … c5 in page.css; the last curve of a plot takes the ink
LEFT, TOP, SIDE = 46, 8, 300  # pixels of the picture's own scale
HAIR = 0.4  # points nearer than this to the last one drawn are left out
TICKS = np.linspace(0, 1, 6)


def curves_svg(x_label: str, y_label: str, series: Sequence[Series], *, diagonal: bool, label: str) -> str:
    """A square plot of [0, 1] × [0, 1] and its legend; the last curve is the heaviest and lies on top.

    Values that are not finite are gaps. ``diagonal`` draws the line of chance.
    """
    width, height = LEFT + SIDE + 12, TOP + SIDE + 42
    lines = [f'<svg class="curves" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">']
    for tick in TICKS:
        x, y = LEFT + tick * SIDE, TOP + (1 - tick) * SIDE
        lines.append(f'<path class="grid" d="M{x:.1f} {TOP}v{SIDE}M{LEFT} {y:.1f}h{SIDE}"/>')
        lines.append(f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{tick:.1f}</text>')
        lines.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    if diagonal:
        lines.append(f'<path class="chance" d="M{LEFT} {TOP + SIDE}L{LEFT + SIDE} {TOP}"/>')
    lines += [
        f'<path class="curve {colour_class(i, len(series))}" d="{_path(x, y)}"/>' for i, (_, x, y) in enumerate(series)
    ]
    middle = TOP + SIDE / 2
    axis = '<text class="axis" text-anchor="middle"'
    lines.append(f'{axis} x="{LEFT + SIDE / 2}" y="{height - 6}">{escape(x_label)}</text>')
    lines.append(f'{axis} transform="translate(12 {middle}) rotate(-90)">{escape(y_label)}</text>')
    keys = (f'<li><i class="key {colour_class(i, len(series))}"></i>{escape(s[0])}</li>' for i, s in enumerate(series))
    return "".join([*lines, '</svg><ul class="legend">', *keys, "</ul>"])


def colour_class(index: int, count: int) -> str:
    """The style-sheet class of curve ``index`` of ``count``."""
    return "main" if index == count - 1 else f"c{index % COLOURS}"


def _path(x: NDArray[np.floating], y: NDArray[np.floating]) -> str:
    """A path over the finite points, lifted at the others, without points that nobody could tell apart."""
    return "".join(_steps(LEFT + np.asarray(x, float) * SIDE, TOP + (1 - np.asarray(y, float)) * SIDE))


def _steps(xs: NDArray[np.floating], ys: NDArray[np.floating]) -> Iterator[str]:
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
