"""Time: one monotone clock whatever a source says, and at each tick the frame nearest to it."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostream_vad.video import ticks
from twostream_vad.video.ticks import Clock, Resampler, ticks_of


def read(stamps: list[float | None], rate: float = 10) -> tuple[list[float], int]:
    clock = Clock(rate)
    return [clock.read(stamp) for stamp in stamps], clock.corrected


@pytest.mark.parametrize("origin", [0.0, -3.0, 1e6])
def test_good_stamps_stay_as_they_are(origin: float) -> None:
    times, corrected = read([origin + step for step in (0, 0.1, 0.2, 0.31, 0.4)])
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.31, 0.4], atol=1e-9)
    assert corrected == 0


@pytest.mark.parametrize(
    "stamps",
    [
        [0.0, 0.1, 0.2, 86400.3, 86400.4],
        [1000.0, 1000.1, 1000.2, 10.0, 10.1],
        [0.0, 0.1, 0.2, None, 0.4],
        [0.0, 0.1, 0.2, 0.2, 0.3],
        [0.0, 0.1, 0.2, float("nan"), 0.4],
        [0.0, 0.1, 0.2, 0.2 + 1.01, 0.2 + 1.11],
    ],
    ids=["a day ahead", "back", "missing", "the same again", "no number", "just over ten steps"],
)
def test_a_stamp_that_cannot_be_goes_on_by_the_usual_step_and_is_counted(stamps: list[float | None]) -> None:
    times, corrected = read(stamps)
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3, 0.4], atol=1e-9)
    assert corrected == 1


def test_a_gap_of_up_to_ten_steps_is_time() -> None:
    times, corrected = read([0.0, 0.1, 0.2, 1.19])
    assert times[-1] == pytest.approx(1.19)
    assert corrected == 0


def test_without_any_stamp_the_rate_tells() -> None:
    times, corrected = read([None] * 5)
    np.testing.assert_allclose(times, np.arange(5) / 10)
    assert corrected == 5


def test_a_rate_that_the_header_lies_about_is_learned() -> None:
    times, corrected = read([float(second) for second in range(40)], rate=25)
    assert corrected <= 2
    np.testing.assert_allclose(np.diff(times)[3:], 1.0)


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9), st.floats(-1e10, 1e10), st.floats()), min_size=1, max_size=60)
)
def test_time_always_goes_on(stamps: list[float | None]) -> None:
    times, _ = read(stamps)
    assert all(later > earlier for earlier, later in pairwise(times))
    assert np.isfinite(times).all()


def shown(times: list[float], source_rate: float, rate: float) -> list[int]:
    """Which frame stands at each tick."""
    clock, resampler, found = Clock(source_rate), Resampler[int](rate), []
    for index, time in enumerate(times):
        now = clock.read(time)
        found += resampler.push(now, index, clock.step)
    return found


@pytest.mark.parametrize("rate", [5.0, 12.5, 29.97])
@pytest.mark.parametrize("off", [0.96, 1.0, 1.04])
def test_a_rate_within_five_percent_is_the_detectors_own(rate: float, off: float) -> None:
    assert shown([index / (rate * off) for index in range(3000)], rate * off, rate) == list(range(3000))


def test_stamps_in_whole_milliseconds_leave_every_frame_its_tick() -> None:
    assert shown([round(1000 * index / 30) / 1000 for index in range(3000)], 30, 30) == list(range(3000))


@pytest.mark.parametrize(("times", "rate"), [(2, 10.0), (3, 10.0), (4, 12.5), (6, 5.0)])
def test_of_a_faster_source_the_frames_at_the_ticks_are_taken(times: int, rate: float) -> None:
    found = shown([float(Fraction(index) / (times * Fraction(rate))) for index in range(300)], times * rate, rate)
    assert found == list(range(0, 300, times))


def test_of_a_slower_source_each_frame_stands_at_several_ticks() -> None:
    assert shown([index / 5 for index in range(50)], 5, 10)[:9] == [0, 0, 1, 1, 2, 2, 3, 3, 4]


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 10_000), source_rate=st.floats(4, 60), rate=st.floats(5, 30))
def test_at_every_tick_stands_the_nearest_frame(seed: int, source_rate: float, rate: float) -> None:
    """Against a search over all frames so far; no frame sets the clock of the ticks here."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.6, 1.4, 120) / source_rate
    times = [0.0, *np.cumsum(steps).tolist()]
    clock, resampler = Clock(source_rate), Resampler[int](rate)
    due = 0.0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ticks, "SAME", -1.0)
        for index, time in enumerate(times):
            clock.read(time)
            for taken in resampler.push(time, index, clock.step):
                best = min(abs(known - due) for known in times[: index + 1])
                assert abs(times[taken] - due) <= best + 1e-6
                due += 1 / rate


def test_a_frame_knows_the_last_tick_before_it() -> None:
    assert ticks_of(np.arange(6) / 10, 10, 10).tolist() == [0, 1, 2, 3, 4, 5]
    assert ticks_of(np.arange(6) / 20, 20, 10).tolist() == [0, 0, 1, 1, 2, 2]
    assert ticks_of(np.arange(4) / 5, 5, 10).tolist() == [0, 2, 4, 6]
