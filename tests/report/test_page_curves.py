"""Curves as SVG: gaps, thinning, escaping."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report.page_curves import LEFT, SIDE, TOP, curves_svg


def paths(*series: tuple[str, NDArray[np.floating], NDArray[np.floating]]) -> list[str]:
    svg = curves_svg("x", "y", series, diagonal=False, label="ROC")
    return re.findall(r'<path class="curve [^"]*" d="([^"]*)"', svg)


def test_a_curve_runs_from_corner_to_corner() -> None:
    ramp = np.linspace(0, 1, 3)
    assert paths(("a", ramp, ramp)) == [
        f"M{LEFT:.1f} {TOP + SIDE:.1f}L{LEFT + SIDE / 2:.1f} {TOP + SIDE / 2:.1f}L{LEFT + SIDE:.1f} {TOP:.1f}"
    ]


def test_a_value_that_is_not_finite_lifts_the_pen() -> None:
    y = np.array([0, 0.2, np.nan, 0.5, 1.0])
    assert paths(("a", np.linspace(0, 1, 5), y))[0].count("M") == 2


def test_a_hundred_thousand_points_are_thinned_and_the_last_is_kept() -> None:
    ramp = np.linspace(0, 1, 100_001)
    path = paths(("a", ramp, ramp))[0]
    assert len(path) < 20_000
    assert path.endswith(f"L{LEFT + SIDE:.1f} {TOP:.1f}")


def test_the_last_curve_is_the_main_one() -> None:
    flat = np.zeros(2)
    svg = curves_svg("x", "y", [("a", flat, flat), ("b", flat, flat)], diagonal=False, label="ROC")
    assert re.findall(r'class="curve ([^"]*)"', svg) == ["c0", "main"]


@pytest.mark.parametrize("diagonal", [True, False])
def test_the_line_of_chance_is_drawn_where_asked(diagonal: bool) -> None:
    assert ('class="chance"' in curves_svg("x", "y", [], diagonal=diagonal, label="")) is diagonal


def test_names_are_escaped() -> None:
    svg = curves_svg("<x>", "<y>", [("<b>", np.zeros(1), np.zeros(1))], diagonal=False, label='"<l>')
    assert not re.search(r"<[xybl]>", svg)
    assert 'aria-label="&quot;&lt;l&gt;"' in svg
