"""Round numbers for axes, and times as a clock shows them."""

import math

DAY = 86400.0
CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY)
"""Seconds from tick to tick that read well on a clock; below a second, and above a day, the numbers are round."""


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """The multiples of a round step from ``low`` to ``high``, about ``wanted`` of them."""
    return _multiples(_round_step((high - low) / wanted), low, high)


def clock_ticks(start: float, end: float, wanted: int = 6) -> list[float]:
    """Round times from ``start`` to ``end``, in seconds, about ``wanted`` of them."""
    rough = (end - start) / wanted
    if rough <= 0.5:
        return ticks(start, end, wanted)
    step = next((step for step in CLOCK if step >= rough), DAY * _round_step(rough / DAY))
    return _multiples(step, start, end)


def clock(seconds: float, digits: int = 1, *, hours: bool = False) -> str:
    """``m:ss.s``, or ``h:mm:ss.s`` from an hour on (where ``hours``, always); ``digits`` after the point."""
    unit = 10**digits
    minutes, rest = divmod(round(abs(seconds) * unit), 60 * unit)
    tail = f"{rest / unit:0{digits + 3 if digits else 2}.{digits}f}"
    sign = "−" if seconds < 0 and (minutes or rest) else ""
    if hours or minutes >= 60:
        return f"{sign}{minutes // 60}:{minutes % 60:02d}:{tail}"
    return f"{sign}{minutes}:{tail}"


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten: the least that is no smaller than ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _multiples(step: float, low: float, high: float) -> list[float]:
    hair = 1e-9  # a bound that is a multiple counts, whatever its last bit
    return [i * step for i in range(math.ceil(low / step - hair), math.floor(high / step + hair) + 1)]
