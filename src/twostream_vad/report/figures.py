"""Pictures for a paper, vector or PNG, in Okabe and Ito's colours: timelines, ROC and PR curves."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..storage import whole_file
from .curves import check_timeline, thinned
from .model import CurvePlot
from .page import label_spans
from .ticks import clock, clock_ticks

if TYPE_CHECKING:  # matplotlib takes a second, and a page needs none: it is imported where a figure is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008; the main curve is black.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BLACK = "#000000"
LABELLED = "#F0E442"
ALARMED = "#CC79A7"  # an alarm is the detector's word, not a label: another colour, and none of the first streams'
LONG = 600  # seconds; a longer timeline has hours, minutes and seconds below it
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))  # for prints without colour
SUFFIXES = (".pdf", ".png", ".svg")
COLUMN = 3.5  # inches, a column of an IEEE page
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "font.family": "sans-serif",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # publishers refuse Type 3
    "svg.hashsalt": "twostream-vad",  # the same picture, the same bytes
}


def timeline_figure(
    series: Mapping[str, NDArray[np.floating]],
    rate: float,
    *,
    labels: NDArray[np.generic] | None = None,
    threshold: float | None = None,
    title: str = "",
) -> "Figure":
    """A video's scores over time, its labelled stretches shaded.

    Args:
        series: named scores, (frames,) each; the last is the main one. What is not finite is a gap.
        rate: frames a second.
        labels: (frames,) of 0 and 1, or None.
        threshold: the main score at which an alarm is given, or None.
        title: above the picture; name the video and the protocol.

    Raises:
        ValueError: no series, or lengths that differ.
    """
    lengths = {name: len(scores) for name, scores in series.items()}
    if labels is not None:
        lengths["labels"] = len(labels)
    if not series or len(set(lengths.values())) > 1 or not rate > 0:
        raise ValueError(f"a timeline needs series of one length and a rate above 0, got {lengths} at {rate}")
    frames = next(iter(lengths.values()))
    times = (np.arange(frames) + 0.5) / rate
    spans = [] if labels is None else [(start / rate, end / rate) for start, end in label_spans(labels)]
    with _styled():
        figure, axes = _empty(2 * COLUMN, 1.9)
        for i, (start, end) in enumerate(spans):
            named = "_" if i else "labelled anomalous"  # what starts with _ is not in the legend
            axes.axvspan(start, end, color=LABELLED, alpha=0.45, linewidth=0, label=named)
        _draw(axes, [(name, times, scores) for name, scores in series.items()], threshold, (0, frames / rate), title)
        return figure


def causal_figure(
    times: NDArray[np.floating],
    scores: NDArray[np.floating],
    threshold: float,
    alarms: Sequence[tuple[float, float]],
    *,
    streams: Mapping[str, NDArray[np.floating]],
    title: str = "",
) -> "Figure":
    """A new video's causal scores over time, its alarms shaded. A day's recording is drawn with all its peaks.

    Args:
        times: (frames,) in seconds, never going back.
        scores: (frames,) the fused score, NaN where there is none yet: the main curve.
        threshold: the score at which an alarm is given.
        alarms: first and last second of each.
        streams: named scores of each stream, (frames,) each.
        title: above the picture; name the video.

    Raises:
        ValueError: no frames, lengths that differ, or times that go back.
    """
    series = [*streams.items(), ("fused", scores)]
    for name, values in series:
        check_timeline(times, {name: values})
    start, end = float(times[0]), float(times[-1])
    with _styled():
        figure, axes = _empty(2 * COLUMN, 1.9)
        for i, (first, last) in enumerate(alarms):
            # With an outline, since a day's picture has less than a pixel for an alarm.
            axes.axvspan(first, last, color=ALARMED, alpha=0.45, linewidth=0.6, label="_" if i else "alarm")
        curves = [(name, *thinned(times, values)) for name, values in series]
        _draw(axes, curves, threshold, (start, end if end > start else start + 1), title)
        if end - start > LONG:
            marks = clock_ticks(start, end)
            axes.set_xticks(marks, [clock(mark, 0, hours=True) for mark in marks])
            axes.set(xlabel="time (h:mm:ss)")
        return figure


def curves_figure(plot: CurvePlot) -> "Figure":
    """ROC, PR or like curves in one column's width."""
    with _styled():
        figure, axes = _empty(COLUMN, COLUMN)
        if plot.diagonal:
            axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.7, linestyle=(0, (2, 3)))
        for i, (name, x, y) in enumerate(plot.series):
            axes.plot(x, y, label=name, **_look(i, len(plot.series)))
        axes.set(xlabel=plot.x_label, ylabel=plot.y_label, xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set_title(plot.title, loc="left", fontsize=8)
        if plot.series:
            axes.legend(loc="best", fontsize=7)
        return figure


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure whole, as its suffix says; without a date, so that the same figure gives the same file.

    Raises:
        ValueError: a suffix other than .pdf, .png or .svg.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: {path.suffix or 'no suffix'} is no kind of picture; use {', '.join(SUFFIXES)}")
    undated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}[path.suffix]
    with _styled(), whole_file(path) as temporary:
        figure.savefig(temporary, dpi=300, metadata=undated)


def _styled() -> AbstractContextManager[None]:
    import matplotlib as mpl

    context: AbstractContextManager[None] = mpl.rc_context(STYLE)
    return context


def _draw(
    axes: "Axes",
    curves: Sequence[tuple[str, NDArray[np.floating], NDArray[np.floating]]],
    threshold: float | None,
    span: tuple[float, float],
    title: str,
) -> None:
    """Curves (name, seconds, scores) over ``span``, a legend beside them; the last is the main one."""
    for i, (name, times, scores) in enumerate(curves):
        axes.plot(times, np.where(np.isfinite(scores), scores, np.nan), label=name, **_look(i, len(curves)))
    if threshold is not None:
        axes.axhline(threshold, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)), label="threshold")
    axes.set(xlabel="time (s)", ylabel="score", xlim=span)
    axes.set_title(title, loc="left", fontsize=8)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)


def _empty(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _look(index: int, count: int) -> dict[str, Any]:
    """The main curve, which is the last, in black and heavier; the others by colour and dash."""
    if index == count - 1:
        return {"color": BLACK, "linewidth": 1.4, "linestyle": "-", "zorder": 3}
    return {
        "color": OKABE_ITO[index % len(OKABE_ITO)],
        "linewidth": 1.0,
        "linestyle": DASHES[index % len(DASHES)],
    }
