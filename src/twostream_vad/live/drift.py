"""Whether a camera is still as its detector's normal video was: a sequential test of how often it is loud."""

import math

from ..scores.promise import DAY, HOUR, JOIN, NormalEvents, Promises

RATIO = 2.0  # times as many events as normal video had: what is looked for
A_YEAR = 365.0  # days, once in which a camera that has not changed is said to have, at most
AGAIN = DAY  # seconds from one word to the next


class Drift:
    """Says when events at a middling level, where normal video had dozens, come twice as often as it lets expect.

    A cumulative sum (Page 1954) of the logarithm of how much likelier twice the rate has become, begun again whenever
    it is below zero; events that come in clumps count as fewer. The rate is the highest that normal video allows, so
    that little of it says nothing. A camera that has become quieter, as at night, is not looked for.
    """

    def __init__(self, normal: NormalEvents) -> None:
        self._level, rate = Promises(normal).middling
        self._rate, self._clumping = rate.high / DAY, normal.clumping
        self._most = math.log(max(rate.high * A_YEAR, math.e))
        self._sum, self._seconds, self._events = 0.0, 0.0, 0
        self._time, self._loud, self._said = -math.inf, -math.inf, -math.inf

    def push(self, time: float, score: float) -> str:
        """A frame's score and time, seconds; NaN is none. What there is to say, mostly nothing."""
        if math.isnan(score):
            return ""
        passed, self._time = min(max(0.0, time - self._time), JOIN), time
        event = 0
        if score >= self._level:
            event, self._loud = int(time - self._loud > JOIN), time
        self._events, self._seconds = self._events + event, self._seconds + passed
        self._sum += (event * math.log(RATIO) - passed * self._rate * (RATIO - 1)) / self._clumping
        if self._sum <= 0:
            self._sum, self._seconds, self._events = 0.0, 0.0, 0
        if self._sum < self._most or time - self._said < AGAIN:
            return ""
        expected = self._rate * self._seconds
        said = (
            f"louder than its normal video was: {self._events} events above {self._level:.2f} in "
            f"{self._seconds / HOUR:.1f} hours, where {expected:.0f} at most were normal; if that is how it is now: "
            "tsvad recalibrate"
        )
        self._sum, self._seconds, self._events, self._said = 0.0, 0.0, 0, time
        return said
