"""What stands on the page of a run: curves, videos with their timelines, cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .thumbnails import Thumbnails

PROTOCOLS = {
    "paper": "looks ahead, as published results do: each video scaled by its own scores, smoothed both ways",
    "causal": "a frame is judged by itself and what came before it, as a camera must",
}


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """Curves over [0, 1] × [0, 1], (name, x, y) each, the last the main one; ``diagonal`` is the line of chance."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[tuple[str, NDArray[np.floating], NDArray[np.floating]]]
    diagonal: bool = False


@dataclass(frozen=True, slots=True)
class VideoPanel:
    """A video's timeline, of ``rate`` frames a second, with a ``note`` such as its AUC beside its name.

    ``labels`` are (frames,) of 0 and 1, None where nobody labelled it. ``series`` has, per protocol (``paper``,
    ``causal``), named scores, (frames,) each, the last the main one, at whose ``thresholds`` an alarm is given; what is
    not finite is a gap. The pointer shows ``thumbnails``.
    """

    name: str
    frames: int
    rate: float
    labels: NDArray[np.generic] | None
    series: Mapping[str, Mapping[str, NDArray[np.floating]]]
    thumbnails: Thumbnails | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One frame worth a look: JPEGs of it, of its heat as `heat_picture` makes it, and of the nearest normal clip."""

    video: str
    frame: int
    picture: bytes
    heat: bytes | None
    sentence: str
    nearest: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class CardGroup:
    """Cards under one heading, with a sentence that says how they were chosen."""

    title: str
    explanation: str
    cards: Sequence[Card]
