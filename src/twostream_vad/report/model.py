"""What stands on the report: tables, curves, videos with their timelines, cards. Checked when it is made."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .thumbnails import Thumbnails

PROTOCOLS = {
    "paper": "looks ahead, as published results do: each video scaled by its own scores, smoothed both ways",
    "causal": "a frame is judged by itself and what came before it, as a camera must",
}

NUMBER = re.compile(r"([-+−±]?\.?\d.*|[–—-]|n/a)?", re.DOTALL)  # a number, or what says that there is none


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table; ``best`` is set bold, ``emphasised`` shaded."""

    text: str
    best: bool = False
    emphasised: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column names the rows. A row of one cell is a heading over those below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) not in (1, len(self.columns)):
                name = str(row[0]) if row else ""
                raise ValueError(
                    f"table {self.title!r}: {len(row)} cells in the row {name!r}; give {len(self.columns)}, "
                    "one a column, or 1 for a heading"
                )

    @property
    def numeric(self) -> list[bool]:
        """Of each column whether it holds numbers only; the first holds names."""
        body = [row for row in self.rows if len(row) > 1]
        return [i > 0 and all(NUMBER.fullmatch(str(row[i]).strip()) for row in body) for i in range(len(self.columns))]


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """Curves over [0, 1] × [0, 1], (name, x, y) each; the last is the main one.

    ``diagonal`` draws the line of chance.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[tuple[str, NDArray[np.floating], NDArray[np.floating]]]
    diagonal: bool = False

    def __post_init__(self) -> None:
        for name, x, y in self.series:
            if x.ndim != 1 or x.shape != y.shape:
                raise ValueError(f"curve {name!r} of {self.title!r}: x has shape {x.shape}, y {y.shape}; one y an x")


@dataclass(frozen=True, slots=True)
class VideoPanel:
    """A video's timeline.

    Attributes:
        name: the video.
        frames: how many it has.
        rate: frames a second.
        labels: (frames,) of 0 and 1, or None where nobody labelled it.
        series: per protocol (``paper``, ``causal``) named scores, (frames,) each; the last is the main one.
            What is not finite is a gap.
        thumbnails: what the pointer shows, or None.
        thresholds: per protocol the main score at which an alarm is given.
        note: a few words beside the name, such as the video's AUC.
    """

    name: str
    frames: int
    rate: float
    labels: NDArray[np.generic] | None
    series: Mapping[str, Mapping[str, NDArray[np.floating]]]
    thumbnails: Thumbnails | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        video = f"video {self.name!r}"
        if self.frames < 1 or not self.rate > 0:
            raise ValueError(f"{video}: {self.frames} frames at {self.rate} a second; both must be above 0")
        if self.labels is not None and self.labels.shape != (self.frames,):
            raise ValueError(f"{video}: labels of shape {self.labels.shape} for {self.frames} frames")
        for protocol in (*self.series, *self.thresholds):
            if protocol not in PROTOCOLS:
                raise ValueError(f"{video}: protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
        for protocol, named in self.series.items():
            for name, scores in named.items():
                if scores.shape != (self.frames,):
                    raise ValueError(f"{video}: {protocol} {name} of shape {scores.shape} for {self.frames} frames")
        if self.thumbnails is not None:
            given, step = len(self.thumbnails.frames), self.thumbnails.step
            if given != (samples := -(-self.frames // step)):
                wanted = f"every {step} of {self.frames} frames makes {samples}"
                raise ValueError(f"{video}: {given} thumbnails, but {wanted}")


@dataclass(frozen=True, slots=True)
class Card:
    """One frame worth a look: JPEGs of it, of its error map, and of the nearest normal clip.

    ``video`` and ``frame`` link to the timeline.
    """

    title: str
    picture: bytes
    heat: bytes | None = None
    sentence: str = ""
    nearest: Sequence[bytes] = ()
    video: str = ""
    frame: int = 0


@dataclass(frozen=True, slots=True)
class CardGroup:
    """Cards under one heading, with a sentence that says how they were chosen."""

    title: str
    explanation: str
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page. ``videos`` may be a generator: one video at a time is held in memory."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    curves: Sequence[CurvePlot] = ()
    videos: Iterable[VideoPanel] = ()
    cards: Sequence[CardGroup] = ()
