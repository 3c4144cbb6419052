"""Drift: whether a sequential test is quiet where nothing has changed, and speaks soon where something has."""

import numpy as np
import pytest

from twostream_vad.live.drift import AGAIN, Drift
from twostream_vad.scores.promise import events_of

HOUR = 3600
Floats = np.ndarray


def scores(seed: int, hours: float, times: float = 1.0, together: float = 0.0) -> tuple[Floats, Floats]:
    """A score a second: quiet, and 30 events an hour of a few seconds, or so many ``times`` that, some in clumps."""
    rng = np.random.default_rng(seed)
    line = np.zeros(int(hours * HOUR))
    begins = rng.uniform(0, len(line) - 4, rng.poisson(30 * hours * times))
    begins = np.concatenate([begins, begins[rng.random(len(begins)) < together] + rng.uniform(4, 30)])
    for begin in begins[begins < len(line) - 4]:
        line[int(begin) : int(begin) + 3] = 1 + rng.exponential()
    return np.arange(len(line), dtype=np.float64), line


def said(drift: Drift, clock: Floats, line: Floats) -> list[float]:
    """Seconds at which it says something."""
    return [float(time) for time, score in zip(clock, line, strict=True) if drift.push(float(time), float(score))]


@pytest.mark.parametrize("together", [0.0, 0.5])
@pytest.mark.parametrize("learned", [2, 12])
def test_where_nothing_changes_nothing_is_said(learned: float, together: float) -> None:
    wrong = 0
    for seed in range(10):
        clock, line = scores(seed, learned, together=together)
        drift = Drift(events_of([clock], [line], 2.0))
        wrong += bool(said(drift, *scores(100 + seed, 48, together=together)))
    assert wrong == 0


def test_four_times_as_many_events_are_said_within_hours_and_once_a_day() -> None:
    for seed in range(5):
        clock, line = scores(seed, 12)
        drift = Drift(events_of([clock], [line], 2.0))
        clock, line = scores(100 + seed, 36, times=4)
        found = said(drift, clock, line)
        assert found[0] < 6 * HOUR
        assert len(found) == 2
        assert found[1] - found[0] >= AGAIN


def test_it_says_what_is_new_and_what_to_do() -> None:
    clock, line = scores(1, 12)
    drift = Drift(events_of([clock], [line], 2.0))
    words = [drift.push(float(time), float(score)) for time, score in zip(*scores(2, 6, times=4), strict=True)]
    (first,) = [word for word in words if word]
    assert "louder than its normal video was: " in first
    assert first.endswith("tsvad recalibrate")


def test_hours_without_scores_do_not_count() -> None:
    clock, line = scores(1, 12)
    normal = events_of([clock], [line], 2.0)
    clock, line = scores(2, 12)
    line[::2] = np.nan
    assert said(Drift(normal), clock, line) == []
    known = said(Drift(normal), *scores(3, 12, times=4))
    clock, line = scores(3, 12, times=4)
    late = clock + np.where(clock > known[0] / 2, 1e6, 0)  # a gap, in which nothing was watched, is no quiet time
    assert said(Drift(normal), late, line)[0] == known[0] + 1e6


def test_little_normal_video_lets_much_be_expected() -> None:
    clock, line = scores(1, 0.1)
    assert said(Drift(events_of([clock], [line], 2.0)), *scores(2, 24, times=1.5)) == []
