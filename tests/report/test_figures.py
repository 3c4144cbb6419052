"""Figures: what is drawn, and that the same figure gives the same file."""

import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest

import twostream_vad.report
from twostream_vad.report.figures import LABELLED, curves_figure, save_figure, timeline_figure
from twostream_vad.report.model import CurvePlot

SERIES = {"recovery": np.linspace(0, 1, 50), "fused": np.linspace(1, 2, 50)}
LABELS = np.repeat([0, 1, 0, 1, 0], 10)
RAMP = np.linspace(0, 1, 5)


def test_each_series_is_drawn_over_seconds() -> None:
    figure = timeline_figure(SERIES, rate=25.0)
    [axes] = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == set(SERIES)
    np.testing.assert_allclose(np.asarray(lines["fused"].get_xdata(), float), (np.arange(50) + 0.5) / 25)
    np.testing.assert_allclose(np.asarray(lines["fused"].get_ydata(), float), SERIES["fused"])


def test_each_labelled_stretch_is_shaded_and_named_once() -> None:
    [axes] = timeline_figure(SERIES, rate=10.0, labels=LABELS).axes
    assert [patch.get_label() for patch in axes.patches].count("labelled anomalous") == 1
    assert [(p.get_window_extent().width > 0, p.get_alpha()) for p in axes.patches] == [(True, 0.45)] * 2
    assert LABELLED == "#F0E442"


def test_what_is_not_finite_is_a_gap() -> None:
    scores = np.array([0.0, np.inf, 1.0])
    [axes] = timeline_figure({"fused": scores}, rate=1.0).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.0, np.nan, 1.0])


@pytest.mark.parametrize("series", [{}, {"a": np.zeros(3), "b": np.zeros(4)}])
def test_series_of_different_lengths_or_none_are_refused(series: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="one length"):
        timeline_figure(series, rate=25.0)


def test_curves_are_drawn_by_name_over_the_line_of_chance() -> None:
    [axes] = curves_figure(CurvePlot("ROC", "FPR", "TPR", [("CR", RAMP, RAMP**2)], diagonal=True)).axes
    assert len(axes.lines) == 2
    assert axes.lines[1].get_label() == "CR"


def test_the_main_curve_is_black_and_the_others_are_not() -> None:
    [axes] = timeline_figure(SERIES, rate=25.0).axes
    assert [line.get_color() for line in axes.lines] == ["#0072B2", "#000000"]


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_the_same_figure_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        figure = timeline_figure(SERIES, 25.0, labels=LABELS, threshold=1.5, title="01, causal protocol")
        save_figure(figure, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_another_suffix_is_refused_and_the_known_ones_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.gif.*\.pdf, \.png, \.svg"):
        save_figure(timeline_figure(SERIES, 25.0), tmp_path / "a.gif")


def test_the_room_is_imported_without_matplotlib() -> None:
    names = [f"twostream_vad.report.{module.name}" for module in iter_modules(twostream_vad.report.__path__)]
    assert "twostream_vad.report.figures" in names
    code = f"import sys, {', '.join(names)}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
