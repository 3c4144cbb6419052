"""The page of a new video: its causal score over time, and a card for each alarm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .templates import write_html


@dataclass(frozen=True, slots=True)
class AlarmCard:
    """One alarm, as a person looks into it."""

    start: float  # its first second, and its last
    end: float
    peak_time: float  # second of the highest score, and that score
    peak: float
    first_frame: int  # the same as frames of the video
    last_frame: int
    peak_frame: int
    stream: str  # which stream was loudest
    picture: bytes  # a JPEG of the peak's frame
    heat: bytes | None  # a JPEG that is laid over the picture, as `heat_picture` makes it, or None
    sentence: str  # what the nearest normal event was
    nearest: Sequence[bytes]  # small JPEGs of that event, in order; none where there is none
    where: str  # where that event was seen; may be empty


def write_alarms(
    path: Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    times: NDArray[np.floating],
    scores: NDArray[np.floating],
    threshold: float,
    streams: Mapping[str, NDArray[np.floating]],
    alarms: Sequence[AlarmCard],
    notes: Sequence[str] = (),
) -> None:
    """Write the page, whole or not at all: one file that fetches nothing and needs no script.

    ``facts`` (name, value) stand below the title, ``notes`` above all else. ``times`` (frames,) are seconds and never
    go back; ``scores`` (frames,) are the fused causal ones, NaN where there is none yet, ``streams`` each stream's.
    An alarm is given at ``threshold``.
    """
    series = [*streams.items(), ("fused", scores)]
    known = np.concatenate([[0.0, threshold], *(values[np.isfinite(values)] for _, values in series)])
    start, end, low, high = float(times[0]), float(times[-1]), float(known.min()), float(known.max())
    peak = None if np.isnan(scores).all() else int(np.nanargmax(scores))
    context = {
        "title": title,
        "facts": facts,
        "notes": notes,
        "threshold": threshold,
        "alarms": alarms,
        "times": times,
        "series": series,
        "time": (start, end if end > start else start + 1),  # what the picture spans
        "score": (low, high if high > low else low + 1),
        "highest": None if peak is None else (scores[peak], times[peak]),
    }
    write_html(path, "alarms.html.jinja", context)
