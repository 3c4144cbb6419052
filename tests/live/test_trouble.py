"""Trouble of a camera: a small scene with people-like blobs, and what can happen to its picture."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twostream_vad.errors import TsvadError
from twostream_vad.live.trouble import KINDS, WHY, Kind, Seen, Trouble

Image = NDArray[np.uint8]
Fault = Callable[[Image, float], Image]
HEIGHT, WIDTH = 120, 160
STEP = 0.5  # seconds from picture to picture: all of them are looked at
START = 15.0  # seconds of plain video before anything happens


def room(seed: int = 1) -> Image:
    """A view with edges everywhere, and some colour."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), (120, 110, 90), np.uint8)
    for _ in range(60):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        colour = rng.integers(40, 220, 3).tolist()
        cv2.rectangle(image, (x, y), (x + int(rng.integers(8, 40)), y + int(rng.integers(8, 30))), colour, -1)
    return image


ROOM = room()


def scene(time: float, people: int = 3) -> Image:
    """People walk through, and the sensor has its noise."""
    image, rng = ROOM.copy(), np.random.default_rng(abs(round(time * 1000)))
    for person in range(people):
        x = round((time * (9 + 2 * person) + 53 * person) % (WIDTH + 20) - 10)
        y = 50 + 50 * (person + 1) // (people + 1)
        cv2.ellipse(image, (x, y), (5, 16), 0, 0, 360, (30 + 20 * person, 40, 160 - 10 * person), -1)
    return clip(image + rng.normal(0, 1.5, image.shape))


def clip(values: NDArray[np.floating]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def noisy(image: Image, seconds: float) -> Image:
    return clip(image + np.random.default_rng(round(seconds * 1000) + 7).normal(0, 1.5, image.shape))


def run(trouble: Trouble, fault: Fault, start: float, end: float, people: int = 3) -> list[tuple[float, Seen]]:
    """What is seen from one time to another, of pictures that go through a fault."""
    times = np.arange(start, end, STEP).tolist()
    return [(time, trouble.push(time, fault(scene(time, people), time - start))) for time in times]


def plain(image: Image, _: float) -> Image:
    return image


def started(hold: float = 10.0) -> Trouble:
    trouble = Trouble(hold=hold)
    run(trouble, plain, 0, START)
    assert trouble.seen == Seen()
    return trouble


def shifted(image: Image, by: int = 12) -> Image:
    return np.roll(image, (by // 2, by), (0, 1))


def sprayed(image: Image, seconds: float) -> Image:
    mask = np.zeros((HEIGHT, WIDTH, 1), bool)
    mask[: HEIGHT // 2] = mask[:, :20] = True
    return noisy(np.where(mask, np.uint8(70), image), seconds)


def frozen() -> Fault:
    held: list[Image] = []

    def over(image: Image, seconds: float) -> Image:
        held.append(image)
        shown = held[0].copy()
        shown[2:10, 2 : 2 + round(seconds * 10) % 40] = 255  # a clock goes on
        return shown

    return over


FAULTS: dict[str, Callable[[], Fault]] = {
    "covered": lambda: lambda image, seconds: noisy(np.full_like(image, 90), seconds),
    "sprayed": lambda: sprayed,
    "moved": lambda: lambda image, _: shifted(image),
    "defocused": lambda: lambda image, seconds: noisy(cv2.GaussianBlur(image, (0, 0), 3).astype(np.uint8), seconds),
    "frozen": frozen,
    "dark": lambda: lambda image, seconds: noisy(np.full_like(image, 6), seconds),
}


def gray(image: Image, seconds: float) -> Image:
    tone = 230 * (image.mean(2, keepdims=True) / 255) ** 0.7
    return np.repeat(noisy(clip(tone), seconds), 3, axis=2)


def blocks_of_noise(image: Image, seconds: float) -> Image:
    rng = np.random.default_rng(round(seconds * 1000))
    garbage = np.kron(rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return garbage if seconds < 1 else image


CHANGES: dict[str, Fault] = {
    "light": lambda image, _: clip(image * 0.75),
    "colour": gray,
    "picture": blocks_of_noise,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_trouble_is_named_and_held_and_ends_when_the_view_is_back(kind: Kind) -> None:
    trouble = started()
    seen = [seen for _, seen in run(trouble, FAULTS[kind](), START, START + 30)]
    assert {one.kind for one in seen} == {None, kind}
    assert trouble.seen.why == WHY[kind]
    run(trouble, plain, START + 30, START + 60)
    assert trouble.seen.kind is None
    assert not trouble.seen.why


@pytest.mark.parametrize("kind", KINDS)
def test_trouble_is_dated_by_its_beginning(kind: str) -> None:
    trouble = started()
    run(trouble, FAULTS[kind](), START, START + 30)
    late = 10 if kind == "frozen" else 0
    assert START + late <= trouble.seen.since <= START + late + 4


@pytest.mark.parametrize("kind", ["covered", "moved", "defocused", "dark"])
def test_what_lasts_two_seconds_is_no_trouble(kind: str) -> None:
    trouble = started()
    seen = run(trouble, FAULTS[kind](), START, START + 2) + run(trouble, plain, START + 2, START + 20)
    assert all(one.kind is None for _, one in seen)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_whole_picture_is_told_once_and_holds_anomalies_for_a_time(change: str) -> None:
    trouble = started(hold=6.0)
    seen = run(trouble, CHANGES[change], START, START + 20)
    assert seen[0][1].change == change
    told = [one.change for _, one in seen]
    assert told == [change] * told.count(change) + [None] * told.count(None)
    assert 6 <= told.count(change) * STEP < 10
    assert all(one.kind is None for _, one in seen)


def test_a_light_that_flickers_for_ever_does_not_hold_anomalies_for_ever() -> None:
    trouble = started()
    seen = run(trouble, lambda image, seconds: clip(image * (0.7 + 0.3 * (seconds % 4 < 2))), START, START + 90)
    held = [time for time, one in seen if one.change]
    assert 55 < held[-1] - held[0] < 61


@pytest.mark.parametrize("people", [0, 3, 12])
def test_people_are_no_trouble_and_no_change(people: int) -> None:
    assert {seen for _, seen in run(Trouble(), plain, 0, 90, people)} == {Seen()}


def test_a_bus_that_fills_two_fifths_for_five_seconds_is_no_trouble() -> None:
    def bus(image: Image, seconds: float) -> Image:
        if seconds < 5:
            image[30:, 20:106] = 60, 90, 180
        return image

    assert all(seen.kind is None for _, seen in run(started(), bus, START, START + 20))


def test_slow_light_is_no_trouble_and_no_change() -> None:
    def evening(image: Image, seconds: float) -> Image:
        return clip(image * (0.6 + 0.4 * np.cos(seconds / 60)))

    assert {seen for _, seen in run(Trouble(), evening, 0, 150)} == {Seen()}


def test_a_camera_that_has_moved_stays_so_until_that_is_accepted() -> None:
    trouble = started()
    run(trouble, FAULTS["moved"](), START, START + 100)
    assert trouble.seen.kind == "moved"
    trouble.accept()
    assert trouble.seen.kind is None
    assert all(seen.kind is None for _, seen in run(trouble, FAULTS["moved"](), START + 100, START + 130))
    run(trouble, plain, START + 130, START + 150)
    assert trouble.seen.kind == "moved"


@pytest.mark.parametrize("kind", ["covered", "moved", "sprayed"])
def test_trouble_that_is_there_at_the_start_is_seen_by_a_reference_only(kind: str) -> None:
    without, by = Trouble(), Trouble(ROOM)
    for trouble in (without, by):
        run(trouble, FAULTS[kind](), 0, 30)
    assert (without.seen.kind, by.seen.kind) == (None, kind)


def test_a_reference_of_another_light_is_the_same_view() -> None:
    trouble = Trouble(clip(180 * (ROOM / 255.0) ** 1.6))
    assert all(seen.kind is None for _, seen in run(trouble, plain, 0, 30))


def test_pictures_between_the_looks_change_nothing() -> None:
    few, many = started(), started()
    for step in range(100):
        time = START + step * STEP
        picture = FAULTS["dark"]()(scene(time), time)
        few.push(time, picture)
        many.push(time, picture)
        for between in (0.1, 0.2):
            many.push(time + between, scene(time))
    assert few.seen.kind == many.seen.kind == "dark"


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_is_set_anew_makes_no_trouble(jump: float) -> None:
    trouble = started()
    assert all(seen.kind is None for _, seen in run(trouble, plain, START + jump, START + jump + 20))


def test_pictures_may_change_their_size() -> None:
    trouble = started()

    def larger(image: Image, _: float) -> Image:
        return np.asarray(cv2.resize(image, (480, 270), interpolation=cv2.INTER_CUBIC), np.uint8)

    assert all(seen.kind is None for _, seen in run(trouble, larger, START, START + 20))


def test_what_is_held_says_why() -> None:
    assert [Seen().why, Seen("moved", 1.0, "light").why] == ["", WHY["moved"]]
    assert {Seen(kind).why for kind in KINDS} <= set(WHY.values())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([*FAULTS, *CHANGES, "plain"]), min_size=1, max_size=4),
    st.lists(st.floats(-5, 40, allow_nan=False), min_size=20, max_size=60),
)
def test_whatever_comes_holding_and_reasons_agree_and_no_trouble_begins_before_it_is_pushed(
    faults: list[str], gaps: list[float]
) -> None:
    trouble, time, latest = Trouble(), 0.0, 0.0
    every = [FAULTS[name]() if name in FAULTS else CHANGES.get(name, plain) for name in faults]
    for place, gap in enumerate(gaps):
        time += gap
        latest = max(latest, time)
        seen = trouble.push(time, every[place * len(every) // len(gaps)](scene(time), abs(time)))
        assert bool(seen.why) == (seen.kind is not None or seen.change is not None)
        assert seen.since <= latest


@pytest.mark.parametrize("hold", [-1.0, float("nan"), float("inf")])
def test_a_hold_must_be_seconds(hold: float) -> None:
    with pytest.raises(TsvadError, match="hold"):
        Trouble(hold=hold)
