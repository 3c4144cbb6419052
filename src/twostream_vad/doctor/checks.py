"""The doctor's checks of videos that have been read: each takes readings and yields findings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import TypeVar

import numpy as np
from scipy.ndimage import median_filter

from ..datasets.published import nearest
from ..video.ranges import in_words, ranges
from ..video.snippets import RECOVERY, RETRIEVAL
from .findings import Finding, Severity, counted
from .fingerprints import find_copies
from .readings import Reading

T = TypeVar("T")

BLACK = 4.0  # mean gray level, of 255, below which a frame is black
DARK, DARK_SHARE = 25.5, 0.95  # level, a tenth of all, that the brightest cell of this share of frames stays below
FROZEN = 5  # identical frames in a row, the first included, that make a picture that stands still; fewer are repeats
ALIKE = 0.1
"""A frame repeats the one before if it changes by less than this share of the median around it. H.264 of good
quality (crf 23) leaves a repeat less; after a poor encoder, or on a key frame, some go unseen. Frames of UCSD
Ped2, where something always moves, change by more than half of it."""
MOVES = 0.5  # share of the median change around it that a frame beside a repeat changes by
BEGINNING = 5  # frames in which capture programs repeat one before they run evenly
MOVING = 0.4  # median change of a pixel, in gray levels, below which nothing moves: only identical frames repeat
RATE_TOLERANCE = 0.01


def header_count(reading: Reading) -> Iterator[Finding]:
    """The container's header promises another number of frames than it holds."""
    decoded, declared = reading.frames + reading.video.skip, reading.source.told.declared if reading.source else 0
    if reading.whole and declared and declared != decoded:
        what = f"the header says {declared} frames, {decoded} are decoded"
        remedy = "count frames by decoding; labels that were made from the header's count do not fit"
        severity: Severity = "warning" if reading.name.startswith("testing/") else "note"  # no label counts the others
        yield Finding("header-count", severity, reading.name, what, remedy)


def black_start(reading: Reading) -> Iterator[Finding]:
    """The first frames are black, as recorders and editors leave them."""
    black = _black_first(reading)
    if black:
        frames = ((0, black - 1),)
        share = "all frames are" if black == reading.frames else f"{in_words(frames)} at the start:"
        what = f"{share} black (mean level below {BLACK:g} of 255)"
        remedy = "leave them out, and their labels with them; the net would learn a flash as normal"
        yield Finding("black-start", "warning", reading.name, what, remedy, frames)


def dark(reading: Reading) -> Iterator[Finding]:
    """Frames use under a tenth of the range: 10 or 12 bits that were taken for 16, or a lens cap.

    Judged by each frame's brightest of the cells that are kept of it; black frames do not count, and a few bright
    ones (a flash, a broken file) change nothing.
    """
    pictures = reading.prints.pictures
    brightest = pictures.max(axis=(1, 2))[pictures.mean(axis=(1, 2)) >= BLACK]
    if len(brightest) and (level := float(np.quantile(brightest, DARK_SHARE))) < DARK:
        what = f"frames are dark: {DARK_SHARE:.0%} of them are nowhere above level {level:.0f} of 255"
        remedy = "look whether levels were lost when frames were extracted or converted; with so few, little is seen"
        yield Finding("dark", "warning", reading.name, what, remedy)


def repeats(reading: Reading) -> Iterator[Finding]:
    """Frames that are the frame before again: doubled in copying, or a picture that stands still."""
    digests, changes = reading.prints.frames["digest"], reading.prints.frames["change"]
    around = median_filter(changes, size=25, mode="nearest") if len(changes) else changes
    same = (digests[1:] == digests[:-1]) & (digests[1:] != 0)
    same |= (changes[1:] < ALIKE * around[1:]) & (around[1:] > MOVING) & np.isfinite(around[1:])
    same[: _black_first(reading)] = False  # named already
    stretches = ranges((np.flatnonzero(same) + 1).tolist())
    frozen = tuple((first - 1, last) for first, last in stretches if last - first + 2 >= FROZEN)
    # Between two changes: where little moves, an encoder repeats the picture on its own.
    moves = np.append(changes >= MOVES * around, True) & (np.append(around, np.inf) > MOVING)
    doubled = tuple(
        (first, last)
        for first, last in stretches
        if last - first + 2 < FROZEN and first >= BEGINNING and moves[first - 1] and moves[last + 1]
    )
    if doubled:
        count = sum(last - first + 1 for first, last in doubled)
        what = f"{in_words(doubled)}: {'repeats' if count == 1 else 'repeat'} the frame before"
        remedy = "remove the repeats and renumber, and their labels if the video has any"
        yield Finding("repeated-frame", "warning", reading.name, what, remedy, doubled)
    if frozen:
        longest = max(last - first + 1 for first, last in frozen)
        what = f"the picture stands still: {in_words(frozen)} (up to {longest} in a row)"
        remedy = "cut the video there, or leave it out: nothing that happened then can be seen"
        yield Finding("frozen", "warning", reading.name, what, remedy, frozen)


def mixed(readings: Sequence[Reading]) -> Iterator[Finding]:
    """Videos of another size, rate, range of brightness or shape of pixels than more than half of them."""
    usual_size = _usual([reading.size for reading in readings if reading.size])
    usual_rate = _usual([reading.rate for reading in readings if reading.rate])
    for reading in readings:
        if reading.size and usual_size and reading.size != usual_size:
            (height, width), (most_height, most_width) = reading.size, usual_size
            what = f"frames are {width} x {height} pixels, most videos' {most_width} x {most_height}"
            remedy = "resize the video, or keep each camera's videos as a dataset of their own"
            yield Finding("mixed-size", "warning", reading.name, what, remedy)
        if reading.rate and usual_rate and abs(reading.rate / usual_rate - 1) > RATE_TOLERANCE:
            what = f"{reading.rate:.5g} frames a second, most videos {usual_rate:.5g}"
            file = reading.video.path.name
            remedy = f"none needed: it is resampled; or convert it (ffmpeg -i {file} -r {usual_rate:.5g} OUT)"
            yield Finding("mixed-rate", "warning", reading.name, what, remedy)
    files = [(reading, reading.source.told) for reading in readings if reading.source]
    hdr, pixel = _usual([told.hdr for _, told in files]), _usual([told.pixel for _, told in files])
    for reading, told in files:
        if hdr is not None and told.hdr != hdr:
            what = f"it is {'HDR' if told.hdr else 'SDR'}, most videos are not: the same scene has other colours in it"
            yield Finding("mixed-hdr", "warning", reading.name, what, "convert it, or make it a dataset of its own")
        if pixel is not None and told.pixel != pixel:
            what = f"its pixels are {_shape(told.pixel)} (width to height), most videos' {_shape(pixel)}"
            remedy = "scale it to most videos' shape of pixels (ffmpeg -vf scale), or make it a dataset of its own"
            yield Finding("mixed-pixels", "warning", reading.name, what, remedy)


def _usual(values: Sequence[T]) -> T | None:
    """The value of more than half of them; None where there is none."""
    value, count = Counter(values).most_common(1)[0] if values else (None, 0)
    return value if 2 * count > len(values) else None


def _shape(pixel: Fraction) -> str:
    return f"{pixel.numerator}:{pixel.denominator}"


def copies(training: Sequence[Reading], testing: Sequence[Reading]) -> Iterator[Finding]:
    """Test video that is also trained on: a finding for each pair of videos."""
    found = find_copies([r.prints.pictures for r in training], [r.prints.pictures for r in testing])
    for (ours, theirs), pair in groupby(found, key=lambda copy: (copy.training, copy.test)):
        runs = list(pair)
        here = tuple((run.training_start, run.training_start + run.frames - 1) for run in runs)
        there = tuple((run.test_start, run.test_start + run.frames - 1) for run in runs)
        least = min(run.correlation for run in runs)
        what = f"{in_words(here)}: the same as {in_words(there)} of {testing[theirs].name} (correlation {least:.3f})"
        remedy = "remove them from training; scores of that test video mean nothing until it is fitted anew"
        yield Finding("test-in-training", "error", training[ours].name, what, remedy, here)


def frame_total(layout: str, split: str, readings: Sequence[Reading]) -> Iterator[Finding]:
    """A known set's split has other numbers of videos and frames than were published."""
    videos, frames = len(readings), sum(reading.frames for reading in readings)
    known = nearest(layout, split, videos, frames) if videos else None
    if known is None or known.fits(split, videos, frames):
        return
    expected = known.splits[split]
    has = f"{expected.videos}" if expected.frames is None else f"{expected.videos} and {expected.frames}"
    what = f"{split} has {counted(videos, 'video')} and {counted(frames, 'frame')}, {known.name} as published {has}"
    if videos < expected.videos:
        remedy = "download or unpack the set again, or say with every number that it is of a part"
    elif videos > expected.videos:
        remedy = "take out the videos that are not of the set, or name another layout"
    else:
        remedy = "another decoder extracted these frames, or some are lost: extract the videos again"
    yield Finding("frame-total", "warning", "", what, remedy)


def short(reading: Reading) -> Iterator[Finding]:
    """A note: too few frames for a snippet of either stream."""
    for stream, snippet in (("recovery", RECOVERY), ("retrieval", RETRIEVAL)):
        needed = snippet.span + 1
        if reading.whole and reading.frames < needed:
            what = f"{counted(reading.frames, 'frame')}, a snippet of {stream} needs {needed}"
            yield Finding("short-video", "note", reading.name, what, f"{stream} cannot use it; that is no fault")


def _black_first(reading: Reading) -> int:
    """How many frames from the first on are black."""
    bright = (reading.prints.pictures.mean(axis=(1, 2)) >= BLACK) | (reading.prints.frames["digest"] == 0)
    return int(np.argmax(bright)) if bright.any() else reading.frames
