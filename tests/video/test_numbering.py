"""Which number in the names of images counts, and what else is said of the names."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from twostream_vad.video.numbering import Numbering, number_images

START = datetime(2026, 11, 25, 23, 59, 40)
TIMES = [START + timedelta(seconds=7 * n) for n in range(12)]  # over midnight


def number(names: list[str]) -> Numbering:
    """In whatever order a folder gives them."""
    mixed = [Path(name) for name in names]
    Random(0).shuffle(mixed)
    return number_images(mixed)


def order(found: Numbering) -> list[str]:
    return [file.name for file in found.files]


COUNTED = {
    "only number": ([f"{n}.jpg" for n in range(8, 12)], ""),
    "camera behind": ([f"img_{n:04d}_cam2.jpg" for n in range(1, 12)], "number 1 of 2 in each name"),
    "camera before": ([f"cam2_img{n}.jpg" for n in range(1, 12)], "number 2 of 2 in each name"),
    "all of them copies": ([f"{n:04d} (1).jpg" for n in range(12)], "number 1 of 2 in each name"),
    "counter of a browser": ([f"cam2 ({n}).jpg" for n in range(1, 12)], "number 2 of 2 in each name"),
    "unpadded time beside it": ([f"t{40 * n}_{n}.png" for n in range(12)], "number 2 of 2 in each name"),
    "date before": ([f"20261125_{n:06d}.jpg" for n in range(12)], "number 2 of 2 in each name"),
    "index before a time": ([f"{n:03d}_{17000 + n * n}.png" for n in range(12)], "number 1 of 2 in each name"),
}


@pytest.mark.parametrize("case", COUNTED)
def test_the_number_that_counts_is_the_one_that_differs(case: str) -> None:
    names, said = COUNTED[case]
    found = number(names)
    assert order(found) == names
    assert (found.number, found.gaps, found.doubled, found.named) == (said, [], [], False)


@pytest.mark.parametrize(
    "form",
    [
        "%Y%m%d_%H%M%S",
        "%Y-%m-%d_%H-%M-%S",
        "%Y%m%d%H%M%S",
        "cam3 %Y-%m-%dT%H.%M.%S",
        "%Y%m%d_%H%M%S_042",
        "IMG_%Y%m%d-%H%M%S",
    ],
)
def test_names_that_are_times_give_the_order(form: str) -> None:
    names = [f"{time:{form}}.jpg" for time in TIMES]
    found = number(names)
    assert order(found) == names
    assert (found.gaps, found.doubled, found.named, found.stamped) == ([], [], True, True)


@pytest.mark.parametrize("unit", [1000, 10**6, 10**9])
def test_times_since_1970_give_the_order(unit: int) -> None:
    names = [f"{int(1403636579.7635 * unit) + 40 * n + n % 3}.png" for n in range(12)]
    found = number(names)
    assert (order(found), found.gaps, found.stamped) == (names, [], True)


def test_names_of_one_length_that_differ_in_several_numbers_give_the_order() -> None:
    names = [f"part{part:02d}_{n:03d}.jpg" for part in range(3) for n in range(4 + part)]
    found = number(names)
    assert (order(found), found.numbers) == (names, tuple(range(len(names))))
    assert (found.named, found.stamped) == (True, False)


def test_names_of_several_lengths_that_differ_in_several_numbers_are_numbered_by_the_last() -> None:
    found = number(["a1_1.jpg", "a2_2.jpg", "a2_10.jpg"])
    assert (order(found), found.numbers) == (["a1_1.jpg", "a2_2.jpg", "a2_10.jpg"], (1, 2, 10))


def test_names_of_several_patterns_are_numbered_by_the_last() -> None:
    found = number(["cam2_000.jpg", "001.jpg", "b_002.jpg"])
    assert (found.numbers, found.number) == ((0, 1, 2), "the last number in each name")


@pytest.mark.parametrize("step", [2, 5, 100])
def test_a_constant_step_is_no_gap(step: int) -> None:
    found = number([f"{n:06d}.jpg" for n in range(3, 3 + 12 * step, step)])
    assert (found.step, found.gaps) == (step, [])


def test_a_number_missing_from_a_step_is_a_gap() -> None:
    found = number([f"{n:06d}.jpg" for n in (0, 5, 10, 25, 30, 35)])
    assert (found.step, found.gaps) == (5, [(2, 2)])


@pytest.mark.parametrize("numbers", [(0, 2), (0, 1, 3), (0, 5, 15), (0, 5, 10, 12), (0, 5, 10, 14, 19)])
def test_too_few_or_uneven_steps_are_gaps(numbers: tuple[int, ...]) -> None:
    found = number([f"{n:03d}.jpg" for n in numbers])
    assert found.step == 1
    assert sum(missing for _, missing in found.gaps) == numbers[-1] + 1 - len(numbers)


@pytest.mark.parametrize(
    "copy", ["0001 (1).jpg", "0001(2).jpg", "0001 - Copy.jpg", "0001 copy.png", "Copy of 0001.jpg"]
)
def test_a_copy_is_left_out_and_named_with_what_it_is_a_copy_of(copy: str) -> None:
    found = number(["0000.jpg", "0001.jpg", "0002.jpg", copy])
    assert order(found) == ["0000.jpg", "0001.jpg", "0002.jpg"]
    assert found.copies == ((Path(copy), Path("0001.jpg")),)


def test_where_most_look_like_copies_none_is() -> None:
    found = number(["cam2.jpg", "cam2 (1).jpg", "cam2 (2).jpg", "cam2 (3).jpg"])
    assert (len(found.files), found.copies) == (4, ())


def test_one_name_with_two_suffixes_is_one_frame_twice() -> None:
    assert number(["001.jpg", "001.png", "002.jpg"]).doubled == [0]
    names = [f"{time:%Y%m%d_%H%M%S}.jpg" for time in TIMES]
    assert number([*names, names[4].replace("jpg", "png")]).doubled == [4]


def test_names_without_a_number_are_left_out_and_named() -> None:
    found = number(["000.jpg", "001.jpg", "cover.jpg"])
    assert (order(found), found.unnumbered) == (["000.jpg", "001.jpg"], (Path("cover.jpg"),))


def test_no_images_are_no_fault() -> None:
    assert number([]).files == ()
