"""The doctor's checks of labels against the videos they belong to, and against the pixel masks."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import Dataset
from ..datasets.errors import DatasetError
from ..datasets.label_values import LabelValueError, Size
from ..datasets.labels import open_labels
from ..datasets.layouts import natural_key
from ..datasets.masks import MaskSource, find_masks
from ..errors import TsvadError
from ..video.ranges import in_words, ranges
from .findings import Finding, counted
from .fingerprints import ends, jump
from .opencv import opencv_pictures
from .readings import Reading

Truth = NDArray[np.uint8]


def check_labels(dataset: Dataset, testing: Mapping[str, Reading], given: Path | None) -> Iterator[Finding]:
    """Labels (None: in the usual places) in number, value and with their masks, and notes on videos of one class.

    ``testing`` has each test video's reading by the video's name.
    """
    masks = None
    try:
        masks = find_masks(dataset)
    except DatasetError as error:
        yield Finding.of("mask-unreadable", "error", "", str(error))
    try:
        found = open_labels(dataset, given, lambda: {name: reading.frames for name, reading in testing.items()})
    except DatasetError as error:
        yield Finding.of("label-unreadable", "error", "", str(error))
        return
    if found is None:
        what, remedy = "no labels of the test videos", "give a file by --labels, or only scores can be had"
        yield Finding("no-labels", "note", "", what, remedy)
        return
    path, readers = found
    kind = "label-unreadable"
    if masks is not None and masks.path == path:
        kind, masks = "mask-unreadable", None  # nothing to compare
    for name, read in readers.items():
        yield from _check_video(name, read, kind, masks, testing.get(name))
    for name in sorted(testing.keys() - readers.keys(), key=natural_key):
        remedy = "add its labels, or take the video out of the test split"
        yield Finding("label-missing", "error", testing[name].name, "no labels of this video", remedy)
    for name in sorted(readers.keys() - testing.keys(), key=natural_key):
        what, remedy = f"labels of {name}, but no such test video", "add the video, or remove its labels"
        yield Finding("label-unknown", "error", f"testing/{name}", what, remedy)


def _check_video(
    name: str, read: Callable[[Size | None], Truth], kind: str, masks: MaskSource | None, reading: Reading | None
) -> Iterator[Finding]:
    """One video's labels; ``kind`` of finding where they cannot be read, ``reading`` None where there is no video."""
    labels: Truth | None = None
    try:
        labels = read(reading.size if reading is not None else None)
        length = len(labels)
    except LabelValueError as error:
        frames, length = ranges(error.wrong.tolist()), error.length
        what, remedy = f"{in_words(frames)}: {error.what}", f"write 0 or 1 there, in {error.path.name}"
        yield Finding("label-value", "error", f"testing/{name}", what, remedy, frames)
    except TsvadError as error:
        yield Finding.of(kind, "error", f"testing/{name}", str(error))
        return
    if reading is None:
        return
    yield from _count(reading, length)
    if labels is None:
        return
    if masks is not None and name in masks.names:
        yield from _against_masks(labels, masks, reading)
    if len(labels) and labels.min() == labels.max():
        word = "anomalous" if labels[0] else "normal"
        what = f"every frame is {word}: the video has no AUC of its own"
        remedy = "say how macro-AUC counts it: left out, or with the authors' padding"
        yield Finding(f"all-{word}", "note", reading.name, what, remedy)


def _fits(reading: Reading, length: int) -> bool:
    """Also where it cannot be told. A gap in the numbering is named already: counting its frames agrees with it."""
    return not reading.whole or length in (reading.frames, reading.frames + reading.missing)


def _count(reading: Reading, labels: int) -> Iterator[Finding]:
    if _fits(reading, labels):
        return
    over = labels - reading.frames
    excess = f"{counted(abs(over), 'label')} too {'many' if over > 0 else 'few'}"
    what = f"{counted(reading.frames, 'decoded frame')} but {counted(labels, 'label')}, {excess}"
    hint, remedy = _where(reading, over)
    remedy = remedy or "take the labels that belong to these frames, or extract the video again"
    yield Finding("label-count", "error", reading.name, what + (f"; {hint}" if hint else ""), remedy)


def _where(reading: Reading, over: int) -> tuple[str, str]:
    """At which end labels and frames part, as far as it can be told: a hint, and a remedy if there is one."""
    if over == reading.video.skip > 0:
        hint = f"at the start: they count the first {over} that this layout leaves out"
        return hint, f"remove the first {counted(over, 'label')}"
    if not reading.video.path.is_dir():
        return _second_decoder(reading, over)
    if 0 < over <= 3 and (frame := jump(reading.prints.pictures)) is not None:
        hint = f"the greatest jump is from frame {frame} to {frame + 1}: the missing may be there"
        return hint, f"extract the video again, or remove the labels after frame {frame} that have no frame"
    return "", ""


def _second_decoder(reading: Reading, over: int) -> tuple[str, str]:
    theirs = opencv_pictures(reading.video.path, reading.frames)[reading.video.skip :]
    if not len(theirs) or not reading.frames:
        return "OpenCV decodes none", ""
    if len(theirs) == reading.frames:
        return "OpenCV decodes as many frames", ""
    start, end = ends(reading.prints.pictures, theirs)
    places = [(n, at) for n, at in ((start, "start"), (end, "end")) if n]
    where = ", ".join(f"{abs(n)} {'more' if n > 0 else 'fewer'} at the {at}" for n, at in places)
    hint = f"OpenCV decodes {len(theirs)}: {where}"
    if len(theirs) - reading.frames != over:
        return hint, ""
    parts = " and ".join(f"{counted(abs(n), 'label')} at the {at}" for n, at in places)
    return f"{hint}, which the labels fit", f"{'remove' if over > 0 else 'add'} {parts}"


def _against_masks(labels: Truth, masks: MaskSource, reading: Reading) -> Iterator[Finding]:
    try:
        marked = masks.frame_labels(reading.video.name, reading.size)
    except TsvadError as error:
        yield Finding.of("mask-unreadable", "error", reading.name, str(error))
        return
    if len(marked) == len(labels):
        differ = np.flatnonzero(marked != labels)
        if len(differ):
            frames = ranges(differ.tolist())
            sides = f"{int(marked[differ].sum())} anomalous by the mask alone"
            what = f"{in_words(frames)}: labels and masks disagree ({counted(len(differ), 'frame')}, {sides})"
            remedy = "decide which is right, and say which one was used for a number"
            yield Finding("mask-labels", "warning", reading.name, what, remedy, frames)
    elif not _fits(reading, len(marked)):
        what = f"{counted(reading.frames, 'decoded frame')} but {counted(len(marked), 'mask')}"
        remedy = "take the masks that were drawn on these frames, or extract the video again"
        yield Finding("mask-count", "error", reading.name, what, remedy)
