"""The page of a new video: its causal score over time, and a card for each alarm."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .curves import check_timeline, svg_path, thinned
from .templates import write_html
from .ticks import clock, clock_ticks, ticks

WIDTH, HEIGHT = 1000, 172  # of the timeline's picture; page.css stretches it to the page
SEEN = 2  # units of WIDTH that an alarm takes at least: a second of a day would have no pixel


@dataclass(frozen=True, slots=True)
class AlarmCard:
    """One alarm, as a person looks into it.

    Attributes:
        start, end: its first and last second.
        peak_time: second of the highest score.
        peak: the highest score.
        first_frame, last_frame, peak_frame: the same as frames of the video.
        stream: which stream was loudest.
        picture: a JPEG of the peak's frame.
        heat: a JPEG that is laid over the picture, as `heat_picture` makes it (black where there is no heat), or None.
        sentence: what the nearest normal event was.
        nearest: small JPEGs of that event, in order; none where there is none.
        where: where in the picture the alarm was seen; may be empty.
    """

    start: float
    end: float
    peak_time: float
    peak: float
    first_frame: int
    last_frame: int
    peak_frame: int
    stream: str
    picture: bytes
    heat: bytes | None
    sentence: str
    nearest: Sequence[bytes]
    where: str


def write_alarms(
    path: Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    times: NDArray[np.floating],
    scores: NDArray[np.floating],
    threshold: float,
    streams: Mapping[str, NDArray[np.floating]],
    alarms: Iterable[AlarmCard],
    notes: Sequence[str] = (),
) -> None:
    """Write the page, whole or not at all: one file that fetches nothing and needs no script.

    Args:
        path: of the page.
        title: the video's name.
        facts: (name, value), below the title.
        times: (frames,) in seconds, never going back.
        scores: (frames,) the fused causal score, NaN where there is none yet.
        threshold: the score at which an alarm is given.
        streams: named causal scores of each stream, (frames,) each.
        alarms: in the order in which they are shown. A generator is written as it comes.
        notes: sentences that stand above all else.

    Raises:
        ValueError: no frames, lengths that differ, or times that go back.
    """
    series = [*streams.items(), ("fused", scores)]
    for name, values in series:
        check_timeline(times, {name: values})
    start, end = float(times[0]), float(times[-1])
    scale = WIDTH / (end - start) if end > start else 1.0
    spans: list[dict[str, object]] = []
    context = {
        "title": title,
        "facts": facts,
        "notes": notes,
        "threshold": threshold,
        "alarms": _shown(alarms, spans, start, scale),
        "spans": spans,  # full once the alarms are written; the template reads it after them
        "plot": _plot(times, series, threshold, scale),
        "highest": _highest(times, scores),
    }
    write_html(path, "alarms.html.jinja", context)


def _shown(
    alarms: Iterable[AlarmCard], spans: list[dict[str, object]], start: float, scale: float
) -> Iterator[tuple[int, AlarmCard]]:
    """Each alarm with its number; ``spans`` grows by its place on the timeline."""
    for number, alarm in enumerate(alarms, 1):
        width = max((alarm.end - alarm.start) * scale, SEEN)
        middle = ((alarm.start + alarm.end) / 2 - start) * scale
        told = f"{clock(alarm.start)} – {clock(alarm.end)}"
        spans.append({"number": number, "told": told, "x": middle - width / 2, "width": width})
        yield number, alarm


def _plot(
    times: NDArray[np.floating],
    series: Sequence[tuple[str, NDArray[np.floating]]],
    threshold: float,
    scale: float,
) -> dict[str, object]:
    """Curves and ticks in the timeline's own units, y downwards; ticks of time in % of the width."""
    start, end = float(times[0]), float(times[-1])
    known = np.concatenate([[0.0, threshold], *(values[np.isfinite(values)] for _, values in series)])
    low, high = float(known.min()), float(known.max())
    if not high > low:
        high = low + 1
    height = HEIGHT / (1.04 * (high - low))
    curves = []
    for name, values in series:
        x, y = thinned(times, values, WIDTH)
        curves.append((name, svg_path((x - start) * scale, HEIGHT - (y - low) * height)))
    marks = clock_ticks(start, end) if end > start else [start]
    return {
        "curves": curves,
        "threshold": HEIGHT - (threshold - low) * height,
        "levels": [(HEIGHT - (level - low) * height, f"{level:g}") for level in ticks(low, high)],
        "times": [((mark - start) * scale * 100 / WIDTH, clock(mark, int(end - start < 5))) for mark in marks],
    }


def _highest(times: NDArray[np.floating], scores: NDArray[np.floating]) -> tuple[float, float] | None:
    """The highest score and its second; None where no frame has a score."""
    finite = np.isfinite(scores)
    if not finite.any():
        return None
    place = int(np.where(finite, scores, -np.inf).argmax())
    return float(scores[place]), float(times[place])
