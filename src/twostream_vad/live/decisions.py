"""From scores to events: a state machine a camera, of numbers alone. It knows no clock, no disk and no net."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import TsvadError
from ..scores.promise import JOIN

Place = tuple[float, float]
"""A point of the picture, as shares of its width and height."""


@dataclass(frozen=True)
class Rules:
    """When scores become an event, and when an event is told.

    It begins at ``threshold``, once the score has been there for ``least`` seconds, and goes on until the score has
    been below ``release`` for ``join`` seconds: loud stretches less far apart are one. After ``longest`` seconds it
    ends and the next begins, which is told as a repeat. For ``cool_down`` seconds after an event another one at its
    place, less than ``near`` of the picture away, is its repeat. TsvadError for what is no such number.
    """

    threshold: float
    release: float | None = None  # None: the threshold
    least: float = 0.0
    join: float = JOIN
    cool_down: float = 60.0
    longest: float = 300.0
    near: float = 0.15

    def __post_init__(self) -> None:
        seconds = {"least": self.least, "join": self.join, "cool_down": self.cool_down, "longest": self.longest}
        for name, value in seconds.items():
            if not (math.isfinite(value) and value >= 0):
                raise TsvadError(f"{name} must be seconds, 0 or more, got {value}")
        if not math.isfinite(self.threshold):
            raise TsvadError(f"threshold must be a number, got {self.threshold}")
        if not (math.isfinite(self.low) and self.low <= self.threshold):
            raise TsvadError(f"release must be a number and not above the threshold {self.threshold}, got {self.low}")
        if self.longest <= self.least:
            raise TsvadError(f"longest must be more than least, {self.least} s, got {self.longest}")

    @property
    def low(self) -> float:
        """What the score must fall below for an event to end."""
        return self.threshold if self.release is None else self.release


@dataclass(frozen=True)
class Span:
    """An event as its scores tell it; times are seconds on the camera's clock, ``score`` the highest, at ``peak``.

    ``end`` is the last time at or above the release; ``stream`` has the highest score of its own at the peak.
    """

    start: float
    end: float
    peak: float
    score: float
    stream: str


@dataclass(frozen=True)
class Change:
    """What a score has changed: an event has ``begun``, has a new ``peak``, or has ``ended``, and how it looks now."""

    kind: Literal["begun", "peak", "ended"]
    span: Span


class Decisions:
    """Scores in, in the order of time, changes of events out."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._span: Span | None = None
        self._begun = False

    def push(self, time: float, score: float, stream: str = "") -> list[Change]:
        """The score at a time; NaN is none."""
        found: list[Change] = []
        if self._span is not None and time - self._span.end > self.rules.join:
            found += self.end()
        loud, known = score >= self.rules.threshold, not math.isnan(score)
        if self._span is None:
            if loud:
                self._span = Span(time, time, time, score, stream)
        elif known and score >= self.rules.low:
            self._span = replace(self._span, end=time)
            if score > self._span.score:
                self._span = replace(self._span, peak=time, score=score, stream=stream)
                if self._begun:
                    found.append(Change("peak", self._span))
        elif known and not self._begun:
            self._span = None  # it was shorter than the least
        if self._span is not None and not self._begun and self._span.end - self._span.start >= self.rules.least:
            self._begun = True
            found.append(Change("begun", self._span))
        if self._span is not None and time - self._span.start >= self.rules.longest:
            found += self.end()
        return found

    def end(self) -> list[Change]:
        """Ends what is open: a camera that is gone, or a watcher that stops."""
        span, begun = self._span, self._begun
        self._span, self._begun = None, False
        return [Change("ended", span)] if span is not None and begun else []


@dataclass(frozen=True)
class Told:
    """An event as `Repeats` remembers it."""

    key: str
    place: Place | None
    until: float  # seconds on the camera's clock; infinite while it goes on


class Repeats:
    """Which event is another one's repeat: at the same place, soon after."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._told: list[Told] = []

    def begin(self, key: str, time: float, place: Place | None) -> str | None:
        """Takes an event that begins; gives the key of the first one that it repeats, None where it is new."""
        self._told = [told for told in self._told if time - told.until <= self.rules.cool_down]
        like = next((told for told in self._told if self._near(told.place, place)), None)
        first = like.key if like else key
        self._told = [told for told in self._told if told is not like]
        self._told.append(Told(first, place if like is None else like.place, math.inf))
        return like.key if like else None

    def end(self, key: str, time: float) -> None:
        """The event that began under this key, or that it repeats, has ended."""
        self._told = [replace(told, until=time) if told.key == key else told for told in self._told]

    def _near(self, one: Place | None, other: Place | None) -> bool:
        if one is None or other is None:
            return one is other  # both are of the whole picture
        return math.dist(one, other) < self.rules.near
