"""When a camera is watched: days and hours of the week, on this machine's clock."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..errors import TsvadError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60  # minutes
_HOURS = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True)
class Schedule:
    """Spans of the week, (first minute, minutes) from Monday's midnight on; without any, always."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, lines: Sequence[str]) -> "Schedule":
        """Of lines such as ``mon-fri 18:00-07:00``, ``sat,sun`` or ``22:00-06:00``; TsvadError for another."""
        return cls(tuple(span for line in lines for span in _spans(line)))

    def holds(self, moment: datetime) -> bool:
        """Whether this local time lies in one of the spans."""
        minute = (moment.weekday() * 24 + moment.hour) * 60 + moment.minute
        week = len(DAYS) * DAY
        return not self.spans or any((minute - first) % week < length for first, length in self.spans)


ALWAYS = Schedule()


def _spans(line: str) -> list[tuple[int, int]]:
    words = line.lower().split()
    hours = words.pop() if words and ":" in words[-1] else "0:00-24:00"
    match = _HOURS.fullmatch(hours)
    if match is None or len(words) > 1 or not line.strip():
        raise TsvadError(f"schedule {line!r}: write days, hours or both: mon-fri 18:00-07:00, or sat,sun")
    start, end = (int(match[place]) * 60 + int(match[place + 1]) for place in (1, 3))
    if start >= DAY or end > DAY:
        raise TsvadError(f"schedule {line!r}: hours go from 0:00 to 24:00")
    length = (end - start) % DAY or DAY  # to the next day where it ends before it begins
    return [(day * DAY + start, length) for day in _days(words[0] if words else "mon-sun", line)]


def _days(text: str, line: str) -> list[int]:
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise TsvadError(f"schedule {line!r}: days are {', '.join(DAYS)}, single, as mon-fri, or with commas")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found += [(start + step) % len(DAYS) for step in range((end - start) % len(DAYS) + 1)]
    return found
