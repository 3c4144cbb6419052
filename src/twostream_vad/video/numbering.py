"""The order of a folder's images: by the number in their names that counts them, or by name. It never raises."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_DIGITS = re.compile(r"([0-9]+)")
_LAST = -2  # where the last number stands in a name split by _DIGITS
_STAMP = re.compile(  # date and time of day, or ms, us or ns since 1970
    r"(?<!\d)(19|20)\d\d[-_. ]?(0[1-9]|1[0-2])[-_. ]?(0[1-9]|[12]\d|3[01])[-_. T]{0,3}"
    r"([01]\d|2[0-3])[-_.:h ]?[0-5]\d[-_.:m ]?[0-5]\d|(?<!\d)1\d{12}(\d{3}){0,2}(?!\d)"
)
_COPY = re.compile(r"^copy of | ?\(\d+\)$| - copy( \(\d+\))?$|[ _]copy( ?\d+)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Numbering:
    """Images in order, with what is odd about their names."""

    files: tuple[Path, ...]
    numbers: tuple[int, ...]  # each file's, ascending; where names give the order, which name it has, from 0
    digits: tuple[str, ...]  # the number as it stands in the name, padding and all; the name where names give the order
    step: int  # what numbers rise by where none is missing
    number: str  # which number it is, in words; empty where names have only one
    named: bool  # whether names give the order
    stamped: bool  # whether all names are times
    unnumbered: tuple[Path, ...]  # left out: no number in the name
    copies: tuple[tuple[Path, Path], ...]  # left out, each with what it is a copy of

    @property
    def doubled(self) -> list[int]:
        """Places in ``files`` where a file and the next have one number."""
        return [place for place, (a, b) in enumerate(pairwise(self.numbers)) if a == b]

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Places in ``files`` after which numbers are missing, and how many."""
        missing = [((b - a) // self.step - 1) for a, b in pairwise(self.numbers)]
        return [(place, count) for place, count in enumerate(missing) if count > 0]


def number_images(images: Iterable[Path]) -> Numbering:
    """Orders the images of one folder.

    The number that counts is the one that differs between the names: one that rises by 1, else by another constant
    step. Names that are times, or that differ in several numbers and are all of one length, give the order themselves;
    where names are of several patterns the last number counts. A step above 1 is one that more than half of at least
    three numbers rise by, the others by multiples of it.
    """
    images = sorted(images)
    copies = _copies(images)
    names = {file: _DIGITS.split(file.stem) for file in images if file not in copies}
    parts = {file: name for file, name in names.items() if len(name) > 1}
    place = _counting(list(parts.values()))
    digits = {file: file.stem if place is None else name[place] for file, name in parts.items()}
    if place is None:
        ranks = {stem: rank for rank, stem in enumerate(sorted(set(digits.values())))}
        numbers = {file: ranks[stem] for file, stem in digits.items()}
    else:
        numbers = {file: int(text) for file, text in digits.items()}
    files = sorted(parts, key=lambda file: (numbers[file], file))
    ordered = tuple(numbers[file] for file in files)
    return Numbering(
        tuple(files),
        ordered,
        tuple(digits[file] for file in files),
        _step(ordered),
        _in_words(place, list(parts.values())),
        place is None,
        place is None and all(_STAMP.search(file.stem) for file in files),
        tuple(file for file in names if file not in parts),
        tuple(copies.items()),
    )


def _counting(names: Sequence[list[str]]) -> int | None:
    """Which part of the names counts: an index, None for the whole name. Parts are text and digits in turn."""
    if len({tuple(name[::2]) for name in names}) != 1:
        return _LAST
    rises = {}
    for place in range(1, len(names[0]), 2):
        numbers = sorted(int(name[place]) for name in names)
        if numbers[0] != numbers[-1]:
            rises[place] = {b - a for a, b in pairwise(numbers)}
    by_one = [place for place, rise in rises.items() if rise == {1}]
    if by_one or not rises:
        return by_one[-1] if by_one else _LAST
    alike = len({tuple(map(len, name)) for name in names}) == 1
    if alike and all(_STAMP.search("".join(name)) for name in names):
        return None
    steady = [place for place, rise in rises.items() if len(rise) == 1]
    if steady or len(rises) == 1:
        return (steady or list(rises))[-1]
    return None if alike else _LAST


def _step(numbers: Sequence[int]) -> int:
    rises = Counter(b - a for a, b in pairwise(numbers) if b > a)
    least = min(rises, default=1)
    is_step = rises.total() > 1 and 2 * rises[least] > rises.total() and all(rise % least == 0 for rise in rises)
    return least if is_step else 1


def _in_words(place: int | None, names: Sequence[list[str]]) -> str:
    most = max(map(len, names), default=0) // 2
    if place is None or most < 2:
        return ""
    return "the last number in each name" if place == _LAST else f"number {place // 2 + 1} of {most} in each name"


def _copies(images: Sequence[Path]) -> dict[Path, Path]:
    """``0001 (1).jpg`` beside ``0001.jpg``; none where they are most: then it is how names count."""
    stems = {file.stem: file for file in images if _DIGITS.search(file.stem)}
    cut = {file: _COPY.sub("", file.stem, count=1) for file in images}
    copies = {file: stems[stem] for file, stem in cut.items() if stem != file.stem and stem in stems}
    return copies if 2 * len(copies) <= len(images) else {}
