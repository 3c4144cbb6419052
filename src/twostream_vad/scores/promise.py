"""False alarms a day, promised from normal video alone: by counting, beyond what was seen by peaks over threshold.

The tail is a generalised Pareto distribution (Pickands 1975), its parameters weighed on a grid (Bayes) instead of
taken as known: a few dozen events leave much open.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

Floats = NDArray[np.float64]

JOIN = 2.0  # seconds between two events, at least; less, and they are one

DAY, HOUR = 86400.0, 3600.0
KEPT = 10_000  # peaks, the highest: a threshold that gives more events is none
COUNTED = 10  # events that normal video must have at a threshold for the rate to be counted there
FITTED = 40, 200  # of the highest peaks, fewest and most for the tail; between them a tenth of all
LEAST = 5  # peaks above the tail's beginning: with fewer there is nothing to fit
REACH = 2.0  # times as far as normal video goes, a promise may go: ``high`` is then some three times what is asked
MARGIN = 1e-3  # above a peak, so that it is below the threshold by more than engines differ
SHAPES = np.linspace(-0.5, 1, 32)  # of the tail; none is 0, where the formula has a hole
SHAPE_SPREAD = 0.35  # the prior's standard deviation about 0, an exponential tail
INSIDE = 0.05, 0.95  # the quantiles between which an interval lies

Method = Literal["counted", "extrapolated", "none"]


@dataclass(frozen=True)
class NormalEvents:
    """How often normal video is loud: ``peaks[k]`` is the highest threshold at which it has k + 1 events or more.

    ``seconds`` were watched. An event is what `Decisions` makes one: frames at the threshold or above, not more than
    ``join`` seconds from one to the next. Where they lie far apart, the peaks are their highest scores; where a lower
    threshold joins some, what it has is no more than the peaks say. ``clumping`` is the variance of their number over
    its mean, where the tail begins: 1 where no event brings another. ValueError for no peak, peaks that rise, less
    clumping than 1, numbers that are not finite.
    """

    peaks: tuple[float, ...]
    seconds: float
    clumping: float = 1.0

    def __post_init__(self) -> None:
        good = bool(self.peaks) and bool(np.isfinite(self.peaks).all()) and bool((np.diff(self.peaks) <= 0).all())
        if not (good and 0 < self.seconds < math.inf and 1 <= self.clumping < math.inf):
            raise ValueError(
                "normal events need finite peaks, the highest first, seconds above 0, clumping of 1 or more"
            )

    @property
    def days(self) -> float:
        return self.seconds / DAY


def events_of(times: Sequence[NDArray[Any]], scores: Sequence[NDArray[Any]], join: float) -> NormalEvents:
    """The events of normal videos: each one's frame times, seconds, rising, and causal fused scores, (frames,).

    NaN is no score. Watched is the time from one scored frame to the next, at most ``join`` of it. TsvadError where
    nothing was watched, ValueError for infinite scores.
    """
    seconds, watched, heights, changes = 0.0, [], [np.zeros(0)], [np.zeros(0, np.int64)]
    for clock, line in zip(times, scores, strict=True):
        if np.isinf(line).any():
            raise ValueError("a score is infinite: look for NaN in the weights")
        known = ~np.isnan(line)
        steps = np.where(known[1:] & known[:-1], np.minimum(np.diff(clock), join), 0.0)
        watched.append(seconds + np.concatenate([[0.0], np.cumsum(steps)])[: len(line)])
        seconds += float(steps.sum())
        heights.append(np.asarray(line[known], np.float64))
        changes.append(_changes(np.asarray(clock[known], np.float64), heights[-1], join))
    if seconds == 0:
        raise TsvadError("no normal video was held out that is long enough to count its events: hold out longer ones")
    height = np.concatenate(heights)
    order = np.argsort(-height, kind="stable")
    height, number = height[order], np.cumsum(np.concatenate(changes)[order])
    last = np.append(height[1:] < height[:-1], True)  # equal scores reach a threshold together
    most = np.maximum.accumulate(number[last])
    peaks = np.repeat(height[last], np.diff(most, prepend=0))[:KEPT]
    level, begun = peaks[_fitted(len(peaks))], [np.zeros(0)]
    for clock, line, since in zip(times, scores, watched, strict=True):
        loud = np.flatnonzero(line >= level)
        begun.append(since[loud[np.diff(clock[loud], prepend=-np.inf) > join]])
    return NormalEvents(tuple(peaks.tolist()), seconds, _clumping(np.concatenate(begun)))


def _fitted(peaks: int) -> int:
    """How many of so many peaks are above the level where the tail begins, itself the next one."""
    return min(peaks - 1, max(FITTED[0], min(FITTED[1], peaks // 10)))


def _clumping(begun: Floats) -> float:
    """The squared coefficient of variation of the seconds between events: 1 of a Poisson process, and not below.

    Where events come in clumps of geometric sizes it is the variance of their number over its mean (Ferro and Segers
    2003 have clumps from the same moments).
    """
    gaps = np.diff(begun)
    return max(1.0, float(gaps.var() / gaps.mean() ** 2)) if len(gaps) >= LEAST and gaps.any() else 1.0


def _changes(times: Floats, scores: Floats, join: float) -> NDArray[np.int64]:
    """How many events more there are as the threshold falls to each score: 1, 0, or -1 where it joins two.

    Of equal scores the earlier is reached first.
    """
    before, after, stack = np.full(len(scores), -np.inf), np.full(len(scores), np.inf), list[int]()
    values, clock = scores.tolist(), times.tolist()
    for place, value in enumerate(values):
        while stack and values[stack[-1]] < value:
            after[stack.pop()] = clock[place]
        if stack:
            before[place] = clock[stack[-1]]
        stack.append(place)
    left, right, both = times - before <= join, after - times <= join, after - before <= join
    found: NDArray[np.int64] = np.ones(len(scores), np.int64) - left - right + (left & right & both)
    return found


@dataclass(frozen=True)
class Rate:
    """Events a day that a threshold gives: what to expect, and between what it lies by 90 %."""

    per_day: float
    low: float
    high: float

    def said(self) -> str:
        """In words."""
        if self.per_day == 0:  # there is nothing to go by but that none was seen
            return f"up to {_number(self.high)} alarms a day"
        return f"{_number(self.per_day)} alarms a day, {_number(self.low)} to {_number(self.high)}"


@dataclass(frozen=True)
class Promise:
    """The threshold for ``per_day`` false alarms a day, and what it gives in truth, by 90 %: ``low`` to ``high`` a day.

    ``counted`` on ``hours`` of normal video with ``events``; ``extrapolated`` beyond them; or, where there are too few
    events, or all are equal, ``none``: then the threshold lies just above all that was seen.
    """

    per_day: float
    threshold: float
    low: float
    high: float
    method: Method
    hours: float
    events: int

    @property
    def wanted(self) -> float:
        """Hours of normal video that would do: half of what brings one alarm, and for `COUNTED` events at least."""
        return max(24 / self.per_day / REACH, self.hours * COUNTED / self.events)

    @property
    def enough(self) -> bool:
        """Whether the promise is worth something."""
        return self.method == "counted" or (self.method == "extrapolated" and self.hours >= self.wanted)

    def said(self) -> str:
        """In words."""
        seen = f"{_number(self.hours)} hours seen, {self.events} event{'' if self.events == 1 else 's'}"
        asked = f"{_number(self.per_day)} false alarm{'' if self.per_day == 1 else 's'} a day"
        if self.enough:
            return (
                f"threshold {self.threshold:.2f} for {asked}: {_number(self.low)} to {_number(self.high)}, "
                f"{self.method} ({seen})"
            )
        if self.hours < self.wanted:
            return f"too little normal video to promise {asked}: {seen}; about {_number(self.wanted)} hours would do"
        return f"{asked} cannot be promised: the scores of normal video are all alike ({seen}); take other video"


class Promises:
    """What any threshold gives, and the threshold for any number of false alarms a day."""

    def __init__(self, normal: NormalEvents) -> None:
        self.normal = normal
        self._peaks = np.array(normal.peaks)

    def at(self, threshold: float) -> Rate:
        """Events a day at a threshold. Below the lowest peak kept they are those at it."""
        from scipy.special import gammaincinv  # 0.2 s: a camera whose threshold is given needs none

        seen, days = int((self._peaks >= threshold).sum()), self.normal.days
        if seen < COUNTED and self._tail is not None:
            rate = self._tail.rate(threshold)
            return Rate(min(rate.per_day, COUNTED / days), rate.low, rate.high)
        # Garwood 1936: the mean of what comes n times lies between these; events in clumps tell as much as fewer.
        clumping = self.normal.clumping
        low = float(gammaincinv(seen / clumping, INSIDE[0])) if seen else 0.0
        high = float(gammaincinv(seen / clumping + 1, INSIDE[1]))
        return Rate(seen / days, low * clumping / days, high * clumping / days)

    @property
    def middling(self) -> tuple[float, Rate]:
        """The level where the tail begins, which normal video reaches often enough to count, and events a day there."""
        level = float(self._peaks[_fitted(len(self._peaks))])
        return level, self.at(level)

    def promise(self, per_day: float) -> Promise:
        """The lowest threshold for so many false alarms a day; a smaller number never gives a lower one.

        Normal video itself has no more than that at the threshold. TsvadError for what is no number above 0.
        """
        if not (math.isfinite(per_day) and per_day > 0):
            raise TsvadError(f"false alarms a day must be a number above 0, got {per_day}")
        expected, events = per_day * self.normal.days, len(self._peaks)
        threshold = self._least(int(min(expected, events)))
        method: Method = "counted"
        if expected < COUNTED:
            method = "none" if self._tail is None else "extrapolated"
            threshold = max(threshold, self._least(0) if self._tail is None else self._tail.threshold(per_day))
        rate = self.at(threshold)
        return Promise(per_day, threshold, rate.low, rate.high, method, self.normal.seconds / HOUR, events)

    def _least(self, allowed: int) -> float:
        """The lowest peak at which normal video has so many events at most; just above the highest where none has."""
        peaks = self._peaks
        if allowed >= len(peaks):
            return float(peaks[-1])
        higher = peaks[peaks > peaks[allowed]]
        return float(higher[-1]) if len(higher) else float(peaks[0]) + MARGIN

    @cached_property
    def _tail(self) -> "_Tail | None":
        count = _fitted(len(self._peaks))
        if count < LEAST or self._peaks[0] - self._peaks[count] < MARGIN:
            return None
        return _Tail(self._peaks[: count + 1], self.normal.days, self.normal.clumping)


class _Tail:
    """The highest peaks, (n + 1,), above the last of them: n excesses, Pareto's shape and scale on a grid.

    Events above a level that is the n + 1st peak: their true number in the time seen is Gamma(n + 1). Events in clumps
    tell as much as fewer.
    """

    def __init__(self, peaks: Floats, days: float, clumping: float) -> None:
        from scipy.special import gammaincinv

        self.level, excess = float(peaks[-1]), peaks[:-1] - peaks[-1]
        count = len(excess)
        reach = 1 + 6 * math.sqrt(2 * clumping / count)
        shape, step = np.meshgrid(SHAPES, np.linspace(-reach, reach, 81), indexing="ij")
        scale = excess.mean() * (1 - 0.75 * shape) * np.exp(step)  # about what gives this mean
        inside = np.maximum(1 + (shape / scale)[..., None] * excess, 1e-300)
        likely = -count * np.log(scale) - (1 + 1 / shape) * np.log(inside).sum(axis=-1)
        likely = np.where(inside.min(axis=-1) <= 1e-300, -np.inf, likely / clumping) - (shape / SHAPE_SPREAD) ** 2 / 2
        weight = np.exp(likely - likely.max())
        held = weight > 1e-5
        self._shape, self._scale, self._weight = shape[held], scale[held], weight[held] / weight[held].sum()
        levels = gammaincinv((count + 1) / clumping, (np.arange(20) + 0.5) / 20)
        self._levels = levels * clumping / days  # events a day above the level
        self._mean = (count + 1) / days

    def _above(self, threshold: float) -> Floats:
        """The share of events above the level that reach the threshold, by every pair of parameters."""
        inside = 1 + self._shape / self._scale * max(threshold - self.level, 0.0)
        return np.where(inside > 0, np.maximum(inside, 1e-300) ** (-1 / self._shape), 0.0)

    def _expected(self, threshold: float) -> float:
        return self._mean * float(self._weight @ self._above(threshold))

    def rate(self, threshold: float) -> Rate:
        """Events a day at a threshold, the parameters' uncertainty and that of the events' number in the interval."""
        rates = np.outer(self._above(threshold), self._levels)
        order = np.argsort(rates, axis=None)
        mass = np.cumsum(np.repeat(self._weight / len(self._levels), len(self._levels))[order])
        low, high = rates.ravel()[order][np.minimum(np.searchsorted(mass, INSIDE), len(mass) - 1)].tolist()
        return Rate(self._expected(threshold), low, high)

    def threshold(self, per_day: float) -> float:
        """Where so many events a day are expected; the level where all above it are no more."""
        low, high = self.level, self.level + float(self._scale.max())
        while self._expected(high) > per_day:
            low, high = high, 2 * high - self.level
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self._expected(middle) > per_day else (low, middle)
        return high


def _number(value: float) -> str:
    """Two figures, no more, of small numbers; whole ones of large."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
