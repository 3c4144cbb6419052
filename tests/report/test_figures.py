"""Figures: what is drawn, and that the same figure gives the same file."""

import subprocess
import sys
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest

import twostream_vad.report
from twostream_vad.report.figures import ALARMED, LABELLED, causal_figure, curves_figure, save_figure, timeline_figure
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


def test_a_new_videos_streams_and_their_fusion_are_drawn_over_its_own_times() -> None:
    times, fused = np.array([1.0, 1.5, 2.5]), np.array([np.nan, 0.5, 2.0])
    [axes] = causal_figure(times, fused, 1.5, [], streams={"recovery": fused / 2}, title="gate").axes
    assert [line.get_label() for line in axes.lines] == ["recovery", "fused", "threshold"]
    assert [line.get_color() for line in axes.lines[:2]] == ["#0072B2", "#000000"]
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), times)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), fused)
    assert axes.get_xlim() == (1.0, 2.5)
    assert axes.get_title(loc="left") == "gate"


def test_alarms_are_shaded_and_named_once_and_not_as_labels_are() -> None:
    ramp = np.linspace(0, 2, 100)
    [axes] = causal_figure(ramp, ramp, 1.0, [(0.5, 0.7), (1.0, 2.0)], streams={}).axes
    assert [patch.get_label() for patch in axes.patches].count("alarm") == 1
    drawn = [axes.transData.inverted().transform_bbox(patch.get_window_extent()) for patch in axes.patches]
    np.testing.assert_allclose([box.intervalx for box in drawn], [(0.5, 0.7), (1.0, 2.0)])
    assert ALARMED != LABELLED


@pytest.mark.parametrize(("seconds", "label"), [(500.0, "time (s)"), (5000.0, "time (h:mm:ss)")])
def test_a_long_video_is_read_off_a_clock(seconds: float, label: str) -> None:
    times = np.linspace(0, seconds, 50)
    [axes] = causal_figure(times, times, 1.0, [], streams={}).axes
    assert axes.get_xlabel() == label
    if seconds > 600:
        assert [tick.get_text() for tick in axes.get_xticklabels()][:3] == ["0:00:00", "0:15:00", "0:30:00"]


def test_a_million_frames_are_drawn_with_few_points_and_every_peak() -> None:
    scores = np.random.default_rng(0).random(1_000_000)
    scores[[123_456, 777_777]] = 50, -50
    [axes] = causal_figure(np.arange(1e6) / 25, scores, 3.0, [(4938.0, 4938.2)], streams={"recovery": scores}).axes
    drawn = np.asarray(axes.lines[1].get_ydata(), float)
    assert len(drawn) <= 4000
    assert (drawn.max(), drawn.min()) == (50, -50)


def test_one_frame_is_a_figure() -> None:
    causal_figure(np.zeros(1), np.zeros(1), 1.0, [], streams={})


def test_the_room_is_imported_without_matplotlib() -> None:
    names = [f"twostream_vad.report.{module.name}" for module in iter_modules(twostream_vad.report.__path__)]
    assert "twostream_vad.report.figures" in names
    code = f"import sys, {', '.join(names)}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
