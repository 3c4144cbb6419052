"""False alarms a day, promised: against slow counting, against truths that are known, and in words."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.signal import lfilter
from scipy.stats import genpareto

from twostream_vad.errors import TsvadError
from twostream_vad.scores.promise import (
    DAY,
    MARGIN,
    NormalEvents,
    Promise,
    Promises,
    Rate,
    events_of,
)

Floats = NDArray[np.float64]

series = st.lists(st.one_of(st.just(math.nan), st.integers(0, 12).map(float)), min_size=2, max_size=60)
videos = st.lists(series, min_size=1, max_size=3)
joins = st.sampled_from([0.5, 1.0, 2.0, 3.0])


def times_of(scores: list[Floats]) -> list[Floats]:
    return [np.arange(len(line), dtype=np.float64) for line in scores]


def number(scores: list[Floats], threshold: float, join: float) -> int:
    """Events at a threshold, counted one frame after another, a frame a second."""
    found = 0
    for line in scores:
        last = -math.inf
        for time, score in enumerate(line.tolist()):
            if score >= threshold:
                found += time - last > join
                last = time
    return found


def most_above(scores: list[Floats], join: float) -> list[tuple[float, int]]:
    """Each score that occurs, the highest first, and the most events that it or a higher threshold has."""
    levels = sorted({score for line in scores for score in line.tolist() if not math.isnan(score)}, reverse=True)
    counts = [number(scores, level, join) for level in levels]
    return [(level, max(counts[: place + 1])) for place, level in enumerate(levels)]


def normal(peaks: list[float], hours: float) -> NormalEvents:
    return NormalEvents(tuple(sorted(peaks, reverse=True)), hours * 3600)


def seen(given_videos: list[list[float]], join: float) -> tuple[list[Floats], NormalEvents] | None:
    scores = [np.array(line) for line in given_videos]
    try:
        return scores, events_of(times_of(scores), scores, join)
    except TsvadError:
        return None  # no two scored frames one after the other


@settings(deadline=None)
@given(videos, joins)
def test_peaks_count_the_events_of_every_threshold(given_videos: list[list[float]], join: float) -> None:
    found = seen(given_videos, join)
    if found is not None:
        scores, events = found
        for level, most in most_above(scores, join):
            assert sum(peak >= level for peak in events.peaks) == most


@settings(deadline=None, max_examples=50)
@given(videos, joins, st.integers(10, 70))
def test_counting_gives_what_a_slow_search_gives(given_videos: list[list[float]], join: float, allowed: int) -> None:
    found = seen(given_videos, join)
    if found is not None:
        scores, events = found
        promise = Promises(events).promise((allowed + 0.5) / events.days)
        levels = [(level, most) for level, most in most_above(scores, join) if most <= allowed]
        highest = max(events.peaks) + MARGIN
        expected = max((level for level, most in levels if most == levels[-1][1]), default=highest)
        assert (promise.method, promise.threshold) == ("counted", expected)


def test_events_lie_apart_by_more_than_the_join() -> None:
    scores = np.array([3.0, 0, 0, 2, 0, 0, 0, 1, 0])
    assert events_of([np.arange(9.0)], [scores], join=3.0).peaks == (3.0, 1.0)
    assert events_of([np.arange(9.0)], [scores], join=2.0).peaks == (3.0, 2.0, 1.0)


def test_videos_never_join() -> None:
    line = np.array([0.0, 5.0])
    assert events_of([np.arange(2.0)] * 2, [line, line], join=10.0).peaks == (5.0, 5.0)


def test_a_dip_below_the_threshold_makes_two_of_one_event() -> None:
    scores = np.array([9.0, 4, 4, 4, 8])
    assert events_of([np.arange(5.0)], [scores], join=2.0).peaks == (9.0, 8.0)


def test_gaps_are_not_watched() -> None:
    scores = np.array([1.0, 1, np.nan, np.nan, 1, 1, 1])
    times = np.array([0.0, 1, 2, 3, 4, 5, 3605])
    assert events_of([times], [scores], join=2.0).seconds == 1 + 1 + 2


@pytest.mark.parametrize("line", [[], [1.0], [math.nan, math.nan], [1.0, math.nan]])
def test_normal_video_without_time_is_refused(line: list[float]) -> None:
    with pytest.raises(TsvadError, match="hold out longer ones"):
        events_of([np.arange(float(len(line)))], [np.array(line)], join=2.0)


def test_infinite_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="infinite"):
        events_of([np.arange(2.0)], [np.array([0.0, np.inf])], join=2.0)


@pytest.mark.parametrize(
    ("peaks", "seconds", "clumping"),
    [
        ((), 1.0, 1.0),
        ((1.0, 2.0), 1.0, 1.0),
        ((math.inf,), 1.0, 1.0),
        ((1.0,), 0.0, 1.0),
        ((1.0,), math.nan, 1.0),
        ((1.0,), 1.0, 0.9),
    ],
)
def test_events_that_cannot_be_are_refused(peaks: tuple[float, ...], seconds: float, clumping: float) -> None:
    with pytest.raises(ValueError, match="normal events need"):
        NormalEvents(peaks, seconds, clumping)


def clumps(size: int) -> NormalEvents:
    """A week, a score a second: clumps of so many events on average, geometric, alike, ten seconds from each other."""
    rng, scores = np.random.default_rng(6), np.zeros(7 * 86400)
    for first in rng.integers(0, len(scores), size=4000 // size).tolist():
        scores[first : first + 10 * int(rng.geometric(1 / size)) : 10] = 1 + rng.random()
    return events_of([np.arange(float(len(scores)))], [scores], join=2.0)


def test_clumping_is_that_of_geometric_clumps() -> None:
    assert clumps(1).clumping == pytest.approx(1, abs=0.35)
    assert clumps(4).clumping == pytest.approx(2 * 4 - 1, rel=0.35)


def test_events_in_clumps_tell_less() -> None:
    peaks = tuple(np.sort(np.random.default_rng(0).exponential(size=80))[::-1].tolist())
    for per_day in (1.0, 4.0, 30.0):
        alone = Promises(NormalEvents(peaks, DAY)).promise(per_day)
        clumped = Promises(NormalEvents(peaks, DAY, 4.0)).promise(per_day)
        assert clumped.high - clumped.low > alone.high - alone.low
        assert clumped.threshold >= alone.threshold


def test_events_come_back_from_json_as_they_were() -> None:
    kind, events = TypeAdapter(NormalEvents), NormalEvents((1 / 3, 0.2, 0.1), 0.7, 1.1)
    assert kind.validate_json(kind.dump_json(events)) == events


@pytest.mark.parametrize("per_day", [0.0, -1.0, math.nan, math.inf])
def test_a_promise_of_no_number_is_refused(per_day: float) -> None:
    with pytest.raises(TsvadError, match="must be a number above 0"):
        Promises(normal([1.0], 1)).promise(per_day)


peak_lists = st.lists(st.one_of(st.floats(0, 5), st.integers(0, 3).map(float)), min_size=1, max_size=80)
rates = st.floats(0.01, 1000)


@settings(deadline=None, max_examples=50)
@given(peak_lists, st.floats(0.1, 100), st.lists(rates, min_size=2, max_size=6))
def test_fewer_alarms_never_give_a_lower_threshold(peaks: list[float], hours: float, asked: list[float]) -> None:
    promises = Promises(normal(peaks, hours))
    thresholds = [promises.promise(per_day).threshold for per_day in sorted(asked)]
    assert all(one >= other for one, other in pairwise(thresholds))


@settings(deadline=None, max_examples=50)
@given(peak_lists, st.floats(0.1, 100), rates)
def test_normal_video_itself_keeps_the_promise(peaks: list[float], hours: float, per_day: float) -> None:
    promise = Promises(normal(peaks, hours)).promise(per_day)
    allowed = per_day * hours / 24
    assert sum(peak >= promise.threshold for peak in peaks) <= allowed or allowed >= len(peaks)


@settings(deadline=None, max_examples=50)
@given(peak_lists, st.floats(0.1, 100), st.lists(st.floats(-1, 20), min_size=2, max_size=6))
def test_a_higher_threshold_is_never_expected_to_alarm_more(
    peaks: list[float], hours: float, thresholds: list[float]
) -> None:
    promises = Promises(normal(peaks, hours))
    found = [promises.at(threshold) for threshold in sorted(thresholds)]
    assert all(one.per_day >= other.per_day - 1e-9 for one, other in pairwise(found))
    assert all(0 <= rate.low <= rate.high for rate in found)


def test_a_counted_rate_has_the_exact_interval_of_its_count() -> None:
    rate = Promises(normal([float(peak) for peak in range(1, 41)], 48)).at(31.0)
    assert (rate.per_day, rate.low, rate.high) == pytest.approx((5.0, 5.425 / 2, 16.962 / 2), abs=1e-3)


def test_an_hour_promises_one_alarm_a_day_only_beyond_what_it_has_seen() -> None:
    peaks = np.random.default_rng(0).exponential(size=60).tolist()
    promise = Promises(normal(peaks, 1)).promise(1)
    assert promise.threshold > max(peaks)
    assert promise.method == "extrapolated"
    assert not promise.enough


@pytest.mark.parametrize("peaks", [[2.0], [2.0, 1.0, 0.5], [2.0] * 50])
def test_too_few_events_or_equal_ones_give_a_threshold_just_above_them(peaks: list[float]) -> None:
    promise = Promises(normal(peaks, 1)).promise(1)
    assert (promise.method, promise.threshold, promise.enough) == ("none", 2.0 + MARGIN, False)
    assert promise.low == 0
    assert promise.high == pytest.approx(24 * -math.log(0.05))


def test_the_tail_is_scipys() -> None:
    """Many events leave little open: then the threshold is that of the true distribution."""
    peaks = genpareto(0.1).ppf((np.arange(4000) + 0.5) / 4000).tolist()
    promise = Promises(normal(peaks, 24)).promise(5)
    assert promise.threshold == pytest.approx(genpareto(0.1).isf(5 / 4000), rel=0.05)


@pytest.mark.parametrize(
    ("shape", "events", "asked"),
    [(0.0, 10, 0.5), (0.0, 60, 0.5), (0.0, 60, 15), (0.0, 300, 2), (0.3, 60, 0.5), (0.3, 300, 2), (-0.3, 60, 0.5)],
)
def test_the_true_rate_lies_inside_the_interval_nine_times_in_ten(shape: float, events: int, asked: float) -> None:
    """``asked`` alarms in as much time as was seen, a day."""
    rng, truth, inside = np.random.default_rng(1), genpareto(shape), []
    for _ in range(200):
        peaks = truth.isf(rng.random(max(1, rng.poisson(events)))).tolist()
        promise = Promises(normal(peaks, 24)).promise(asked)
        inside.append(promise.low <= events * truth.sf(promise.threshold) <= promise.high)
    assert 0.85 <= np.mean(inside) <= 0.985


@pytest.mark.parametrize("hanging", [0.8, 0.97])
@pytest.mark.parametrize("asked", [1.0, 15.0])
def test_the_interval_holds_for_scores_that_hang_together(hanging: float, asked: float) -> None:
    """An autoregressive score, a frame a second, two hours; events are counted with two seconds to join."""

    def drawn(rng: np.random.Generator, frames: int) -> Floats:
        noise = rng.normal(size=frames + 200)
        return np.asarray(lfilter([1.0], [1.0, -hanging], noise), np.float64)[200:]

    rng, frames, inside = np.random.default_rng(2), 2 * 3600, []
    long = drawn(rng, 2_000_000)
    for _ in range(100):
        scores = drawn(rng, frames)
        promise = Promises(events_of([np.arange(float(frames))], [scores], join=2.0)).promise(asked * 12)
        loud = np.flatnonzero(long >= promise.threshold)
        true = (1 + np.count_nonzero(np.diff(loud) > 2)) / len(long) * DAY if len(loud) else 0.0
        inside.append(promise.low <= true <= promise.high)
    assert 0.82 <= np.mean(inside) <= 0.99


def test_what_is_expected_is_on_average_what_comes() -> None:
    rng, true = np.random.default_rng(3), []
    for _ in range(200):
        promise = Promises(normal(rng.exponential(size=max(1, rng.poisson(60))).tolist(), 24)).promise(1)
        true.append(60 * math.exp(-promise.threshold))
    assert 0.7 <= np.mean(true) <= 1.1


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        (
            Promise(2, 3.214, 1.23, 2.94, "counted", 130, 412),
            "threshold 3.21 for 2 false alarms a day: 1.2 to 2.9, counted (130 hours seen, 412 events)",
        ),
        (
            Promise(1, 3.0, 0.1, 2.5, "extrapolated", 20, 60),
            "threshold 3.00 for 1 false alarm a day: 0.1 to 2.5, extrapolated (20 hours seen, 60 events)",
        ),
        (
            Promise(1, 3.0, 0.0, 90.0, "none", 0.8, 3),
            "too little normal video to promise 1 false alarm a day: 0.8 hours seen, 3 events; about 12 hours would do",
        ),
        (
            Promise(1, 3.0, 0.0, 3.0, "none", 24, 40),
            "1 false alarm a day cannot be promised: the scores of normal video are all alike (24 hours seen, "
            "40 events); take other video",
        ),
    ],
)
def test_a_promise_is_said_in_words(promise: Promise, said: str) -> None:
    assert promise.said() == said


def test_of_a_threshold_that_nothing_reached_and_too_little_to_go_by_the_most_is_said() -> None:
    assert Rate(0.0, 0.0, 8470.2).said() == "up to 8470 alarms a day"
    assert Rate(12.4, 3.14159, 40.0).said() == "12 alarms a day, 3.1 to 40"
