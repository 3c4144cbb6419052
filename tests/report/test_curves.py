"""Curves as SVG: gaps, thinning, escaping."""

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report.curves import path
from twostream_vad.report.model import CurvePlot, Page
from twostream_vad.report.page import write_page

Series = tuple[str, NDArray[np.floating], NDArray[np.floating]]

NAN = float("nan")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def svg(written: Path, plot: CurvePlot) -> str:
    write_page(written, Page("run", curves=[plot]))
    (found,) = re.findall(r"<svg.*</svg>.*?</ul>", written.read_text("utf-8"), re.DOTALL)
    return str(found)


def paths(written: Path, *series: Series) -> list[str]:
    return re.findall(r'<path class="curve [^"]*" d="([^"]*)"', svg(written, CurvePlot("ROC", "x", "y", series)))


def test_a_curve_runs_from_corner_to_corner(written: Path) -> None:
    ramp = np.linspace(0, 1, 3)
    assert paths(written, ("a", ramp, ramp)) == ["M0.0 300.0L150.0 150.0L300.0 0.0"]


def test_a_value_that_is_not_finite_lifts_the_pen(written: Path) -> None:
    y = np.array([0, 0.2, np.nan, 0.5, 1.0])
    assert paths(written, ("a", np.linspace(0, 1, 5), y))[0].count("M") == 2


def test_a_point_between_two_gaps_is_a_dot() -> None:
    assert path(np.arange(5.0), np.array([1, NAN, 2, NAN, 3])) == "M0.0 1.0h0M2.0 2.0h0M4.0 3.0h0"


def test_a_hundred_thousand_points_are_thinned_and_the_last_is_kept(written: Path) -> None:
    ramp = np.linspace(0, 1, 100_001)
    path = paths(written, ("a", ramp, ramp))[0]
    assert len(path) < 20_000
    assert path.endswith("L300.0 0.0")


def test_the_last_curve_is_the_main_one(written: Path) -> None:
    flat = np.zeros(2)
    drawn = svg(written, CurvePlot("ROC", "x", "y", [("a", flat, flat), ("b", flat, flat)]))
    assert re.findall(r'class="curve ([^"]*)"', drawn) == ["c0", "main"]


@pytest.mark.parametrize("diagonal", [True, False])
def test_the_line_of_chance_is_drawn_where_asked(written: Path, diagonal: bool) -> None:
    assert ('class="chance"' in svg(written, CurvePlot("ROC", "x", "y", [], diagonal=diagonal))) is diagonal


def test_names_are_escaped(written: Path) -> None:
    drawn = svg(written, CurvePlot('"<l>', "<x>", "<y>", [("<b>", np.zeros(1), np.zeros(1))]))
    assert not re.search(r"<[xybl]>", drawn)
    (label,) = re.findall(r'aria-label="([^"]*)"', drawn)
    assert unescape(label) == '"<l>'
