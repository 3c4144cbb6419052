"""Ticks are round, and times read as a clock shows them."""

import pytest

from twostream_vad.report.ticks import clock, clock_ticks, ticks


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (62.34, "1:02.3"), (59.96, "1:00.0"), (3599.97, "1:00:00.0"), (36_005, "10:00:05.0")],
)
def test_seconds_read_as_a_clock_shows_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_hours_and_whole_seconds_where_asked() -> None:
    assert clock(65.4, 0) == "1:05"
    assert clock(65.4, 0, hours=True) == "0:01:05"


def test_a_time_before_zero_has_its_sign() -> None:
    assert clock(-1.5) == "−0:01.5"
    assert clock(-0.01) == "0:00.0"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.5, 1]), (-1, 3, [-1, 0, 1, 2, 3]), (0.1, 0.35, [0.1, 0.2, 0.3]), (0, 4e6, [0, 1e6, 2e6, 3e6, 4e6])],
)
def test_ticks_are_round_and_within(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (3, [0, 0.5, 1, 1.5, 2, 2.5, 3]),
        (60, [0, 10, 20, 30, 40, 50, 60]),
        (100, [0, 30, 60, 90]),
        (86400, [0, 21600, 43200, 64800, 86400]),
        (30 * 86400, [i * 5 * 86400 for i in range(7)]),
    ],
)
def test_times_stand_at_seconds_minutes_hours_and_days(end: float, expected: list[float]) -> None:
    assert clock_ticks(0, end) == pytest.approx(expected)
