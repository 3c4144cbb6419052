"""Curves as SVG: gaps, thinning, escaping; long ones keep their peaks and their gaps."""

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.report.curves import svg_path, thinned
from twostream_vad.report.model import CurvePlot
from twostream_vad.report.page import write_page

Series = tuple[str, NDArray[np.floating], NDArray[np.floating]]

NAN = float("nan")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def svg(written: Path, plot: CurvePlot) -> str:
    write_page(written, "run", [], curves=[plot])
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
    assert svg_path(np.arange(5.0), np.array([1, NAN, 2, NAN, 3])) == "M0.0 1.0h0M2.0 2.0h0M4.0 3.0h0"


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


def test_a_short_curve_is_not_thinned() -> None:
    x, y = np.arange(20.0), np.arange(20.0)
    assert all(a is b for a, b in zip(thinned(x, y, columns=10), (x, y), strict=True))


def test_of_each_column_the_least_and_the_largest_are_kept_where_they_are() -> None:
    x = np.arange(1000.0)
    y = np.random.default_rng(1).random(1000)
    kept_x, kept_y = thinned(x, y, columns=10)
    expected = {int(pick(y[i : i + 100]) + i) for i in range(0, 1000, 100) for pick in (np.argmin, np.argmax)}
    assert set(kept_x.astype(int)) == expected
    np.testing.assert_array_equal(kept_y, y[kept_x.astype(int)])
    assert (np.diff(kept_x) > 0).all()


def test_a_gap_that_fills_a_column_stays_one() -> None:
    y = np.ones(1000)
    y[:150] = y[480:730] = np.nan
    x, kept = thinned(np.arange(1000.0), y, columns=10)
    assert [(float(a), bool(np.isnan(b))) for a, b in zip(x, kept, strict=True) if a < 100 or np.isnan(b)] == [
        (0.0, True),
        (500.0, True),
        (600.0, True),
    ]


def test_a_curve_without_a_value_is_all_gap() -> None:
    _, kept = thinned(np.arange(1000.0), np.full(1000, np.inf), columns=10)
    assert len(kept) == 10
    assert not np.isfinite(kept).any()
