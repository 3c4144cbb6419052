"""Pictures for a paper, vector or PNG, in Okabe and Ito's colours: timelines, ROC and PR curves."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.events import stretches
from ..storage import whole_file
from .curves import thinned
from .model import CurvePlot
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
UNDATED: dict[str, Any] = {".pdf": {"CreationDate": None}, ".png": {}, ".svg": {"Date": None}}  # metadata
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

    ``series`` are named scores, (frames,) each, the last the main one, for which ``threshold`` is; what is not finite
    is a gap. ``rate`` is frames a second, ``labels`` (frames,) are 0 and 1; ``title`` names the video and the protocol.
    """
    frames = len(next(iter(series.values())))
    spans = [] if labels is None else [(first / rate, end / rate) for first, end in stretches(labels != 0)]
    shade = {"color": LABELLED, "linewidth": 0}
    times = (np.arange(frames) + 0.5) / rate
    with _styled():
        return _timeline(times, series, threshold, (0, frames / rate), title, spans, "labelled anomalous", shade)


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

    ``times`` (frames,) are seconds and never go back; ``scores`` (frames,) are the fused ones, the main curve, NaN
    where there is none yet, ``streams`` each stream's; ``alarms`` are first and last second of each.
    """
    series = {**streams, "fused": scores}
    start, end = float(times[0]), float(times[-1])
    span = (start, end if end > start else start + 1)
    shade = {"color": ALARMED, "linewidth": 0.6}  # an outline: a day's picture has less than a pixel for an alarm
    with _styled():
        figure = _timeline(times, series, threshold, span, title, alarms, "alarm", shade)
        if end - start > LONG:
            marks, [axes] = clock_ticks(start, end), figure.axes
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
    """Write a figure whole, as its suffix says, else ValueError; the same figure gives the same file."""
    if path.suffix not in UNDATED:
        raise ValueError(f"{path}: {path.suffix or 'no suffix'} is no kind of picture; use {', '.join(UNDATED)}")
    with _styled(), whole_file(path) as temporary:
        figure.savefig(temporary, dpi=300, metadata=UNDATED[path.suffix])


def _styled() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def _timeline(
    times: NDArray[np.floating],
    series: Mapping[str, NDArray[np.floating]],
    threshold: float | None,
    span: tuple[float, float],
    title: str,
    shaded: Sequence[tuple[float, float]],
    shaded_name: str,
    shade: Mapping[str, Any],
) -> "Figure":
    """Named scores over ``span`` in seconds, stretches of it shaded, a legend beside them; the last is the main one."""
    figure, axes = _empty(2 * COLUMN, 1.9)
    for i, (first, last) in enumerate(shaded):
        named = "_" if i else shaded_name  # what starts with _ is not in the legend
        axes.axvspan(first, last, alpha=0.45, label=named, **shade)
    for i, (name, values) in enumerate(series.items()):
        x, y = thinned(times, values)
        axes.plot(x, np.where(np.isfinite(y), y, np.nan), label=name, **_look(i, len(series)))
    if threshold is not None:
        axes.axhline(threshold, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)), label="threshold")
    axes.set(xlabel="time (s)", ylabel="score", xlim=span)
    axes.set_title(title, loc="left", fontsize=8)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    return figure


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
    return {"color": OKABE_ITO[index % len(OKABE_ITO)], "linewidth": 1.0, "linestyle": DASHES[index % len(DASHES)]}
