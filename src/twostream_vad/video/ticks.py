"""Time as a part of the input: one monotone clock for files and cameras, and the frames at a detector's ticks.

A detector has learned how far things move from one of its ticks to the next. Video of another rate, or of a variable
one, is resampled by its time stamps: at each tick stands the frame nearest in time, never a mixture of two.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from statistics import median_low
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .source import Frame, FrameSource

LEAP = 10
"""Usual steps that a clock may go on by at once; more is a clock that was set, or a stream joined to another."""
LEAST = 0.001
"""Share of a usual step below which a clock stands still."""
ABSURD = 1e10
"""Seconds, 317 years: from there on a float no longer tells one frame from the next."""
LONGEST = 3600.0
"""Seconds that may lie in a stretch where frames are known to be missing; a longer one is a clock that was set."""
RECENT = 25
"""Steps whose median is the usual one."""
SAME = 0.05
"""Share of a tick by which a frame may miss it and still set the clock of the ticks: so a rate within 5 % counts as the
detector's own, and neither drift nor the rounding of stamps ever drops or doubles a frame."""
ROUNDING = 1e-6
"""Of a step: sums of float seconds."""

T = TypeVar("T")


class Clock:
    """Stamps as cameras and files give them → seconds since the first frame, each later than the one before.

    A stamp that is missing, does not advance, or leaps more than ten usual steps goes on by the usual step;
    ``corrected`` counts them. The rate, frames a second, is what is known before the first frames have come.
    """

    def __init__(self, rate: float) -> None:
        self._steps = deque([1 / rate], maxlen=RECENT)
        self._began, self._now = 0.0, -1.0  # no frame yet
        self.corrected = 0

    @property
    def step(self) -> float:
        """The usual step in seconds: the median of the last ones."""
        return median_low(self._steps)

    def ahead(self, stamp: float | None) -> float:
        """Seconds from the last frame to one with this stamp; a usual step where that cannot be."""
        given = _given(stamp)
        ahead = 0.0 if given is None or self._now < 0 else given - self._began - self._now
        return ahead if LEAST * self.step < ahead <= LONGEST else self.step

    def lose(self, frames: int, stamp: float | None) -> list[float]:
        """Times of ``frames`` frames, known to be missing, before the one with this stamp: evenly between the two."""
        ahead, step, given = self.ahead(stamp), self.step, _given(stamp)
        if self._now < 0:  # before the first that can be seen
            before, self._began = -step, 0.0 if given is None else given - frames * step
        else:
            before, step = self._now, ahead / (frames + 1) if ahead > step else step
        self._now = before + frames * step
        return [before + (place + 1) * step for place in range(frames)]

    def read(self, stamp: float | None) -> float:
        """The next frame's time in seconds; the first frame's is 0."""
        given = _given(stamp)
        if self._now < 0:
            self._began, self._now = given or 0.0, 0.0
            self.corrected += given is None
            return 0.0
        usual = self.step
        step = 0.0 if given is None else given - self._began - self._now
        if step > LEAST * usual:
            self._steps.append(step)  # a leap too: where it comes again and again it is the rate
        if given is not None and LEAST * usual < step <= LEAP * usual:
            self._now = given - self._began
            return self._now
        self.corrected += 1
        self._now += usual
        if given is not None:
            self._began = given - self._now
        return self._now


def _given(stamp: float | None) -> float | None:
    return float(stamp) if stamp is not None and abs(stamp) < ABSURD else None  # NaN is not below either


class Resampler(Generic[T]):
    """Which frames stand at the ticks of a detector, as frames come; a frame is decided on when the next is nearer.

    The rate is ticks a second; ``ticks`` were given out and ``frames`` taken so far.
    """

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        self._next, self._before = 0.0, 0.0
        self._held: T | None = None
        self.ticks, self.frames = 0, 0

    @property
    def resampled(self) -> bool:
        """Whether a frame was left out or taken twice so far."""
        return self.ticks != self.frames

    def push(self, time: float, frame: T, usual: float) -> list[T]:
        """Frames for the ticks that are decided now: none, this one, the one before, some of them several times.

        ``time`` is in seconds, later than the frame before, ``usual`` the seconds to the next, as is to be expected.
        """
        taken: list[T] = []
        if self.frames == 0 or abs(time - self._next) <= SAME * self._step:
            taken.append(frame)
            self._next = time + self._step
        else:
            middle, near = (self._before + time) / 2, usual / 2 - ROUNDING * self._step
            while self._next <= middle + ROUNDING * self._step:
                assert self._held is not None
                taken.append(self._held)
                self._next += self._step
            while self._next <= time or self._next - time < near:
                taken.append(frame)
                self._next += self._step
        self._before, self._held = time, frame
        self.frames += 1
        self.ticks += len(taken)
        return taken


def ticks_of(times: Iterable[float], source_rate: float, rate: float) -> NDArray[np.int64]:
    """The last tick before or at each frame, (frames,), counted from 0; ``range(frames)`` at equal rates.

    Times are the seconds of each frame, the rates frames and ticks a second.
    """
    resampler: Resampler[int] = Resampler(rate)
    clock, found = Clock(source_rate), []
    for index, time in enumerate(times):
        now = clock.read(time)
        resampler.push(now, index, clock.step)
        found.append(resampler.ticks - 1)
    return np.array(found, np.int64)


def frames_of(times: Iterable[float], source_rate: float, rate: float) -> NDArray[np.int64]:
    """The frame that stands at each tick, (ticks,); arguments as for `ticks_of`."""
    resampler: Resampler[int] = Resampler(rate)
    clock, found = Clock(source_rate), []
    for index, time in enumerate(times):
        now = clock.read(time)
        found += resampler.push(now, index, clock.step)
    return np.array(found, np.int64)


def at_ticks(source: FrameSource, rate: float) -> Iterator[Frame]:
    """The frames of a source at ``rate`` ticks a second; all of them where that is its own rate."""
    resampler: Resampler[Frame] = Resampler(rate)
    clock = Clock(source.rate)
    for frame in source:
        now = clock.read(frame.time)
        yield from resampler.push(now, frame, clock.step)
