"""The doctor's checks of labels against the videos they belong to, and against the pixel masks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.arrays import npz_names, read_npy, read_npz
from ..datasets.errors import DatasetError
from ..datasets.labels import Labels, find_labels, frame_label_place, read_frame_labels, read_labels
from ..datasets.layouts import Dataset, children, find_home, match_names, natural_key
from ..datasets.masks import MaskSource, find_masks
from ..errors import TsvadError
from .findings import Finding, counted, in_words, ranges
from .fingerprints import ends, jump
from .readings import Reading, opencv_pictures


@dataclass(slots=True)
class _Found:
    """Labels as they are on disk: ``labels`` those that are sound, ``lengths`` of all that can be counted."""

    labels: Labels = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    masks: MaskSource | None = None  # to compare with; None where the labels are made from them
    any: bool = True


def check_labels(dataset: Dataset, testing: Mapping[str, Reading], given: Path | None) -> Iterator[Finding]:
    """Labels in number and value, with their masks, and notes on videos of one class only.

    Args:
        testing: each test video's reading by the video's name.
        given: the label file; None for the dataset's usual places.
    """
    found = _Found()
    try:
        _gather(found, dataset, testing, given)
    except DatasetError as error:
        yield from found.findings
        yield Finding.of("label-unreadable", "error", "", str(error))
        return
    if not found.any:
        what, remedy = "no labels of the test videos", "give a file by --labels, or only scores can be had"
        yield Finding("no-labels", "note", "", what, remedy)
        return
    yield from found.findings
    yield from _names(found, testing)
    for name in sorted(found.lengths.keys() & testing.keys(), key=natural_key):
        yield from _count(testing[name], found.lengths[name])
    if found.masks is not None:
        yield from _against_masks(found, found.masks, testing)
    yield from _one_class(found, testing)


def _gather(found: _Found, dataset: Dataset, testing: Mapping[str, Reading], given: Path | None) -> None:
    homes = dict.fromkeys((dataset.root, find_home(dataset.root, dataset.layout)))
    place = given or next(filter(None, map(frame_label_place, homes)), None)
    masks = _masks(found, dataset)
    if place is not None:
        found.masks = masks
        arrays = _arrays(place)
        counts = {name: reading.frames for name, reading in testing.items()}
        labels = {} if arrays else read_labels(place, lambda: counts)
        names = match_names([*arrays, *labels], testing)
        for key, read in arrays.items():
            _take(found, names[key], "label", partial(_array, found, names[key], place, read))
    elif masks is not None and dataset.layout != "corridor":
        for name in masks.names:
            size = testing[name].size if name in testing else None
            _take(found, name, "mask", partial(masks.frame_labels, name, size))
        return
    else:
        labels = find_labels(dataset) or {}
        found.any, names = bool(labels), {name: name for name in labels}
    for key, values in labels.items():
        _take(found, names[key], "label", partial(np.asarray, values))


def _masks(found: _Found, dataset: Dataset) -> MaskSource | None:
    try:
        return find_masks(dataset)
    except DatasetError as error:
        found.findings.append(Finding.of("mask-unreadable", "error", "", str(error)))
        return None


def _arrays(place: Path) -> dict[str, Callable[[], NDArray[Any]]]:
    """The arrays that can be read one by one, so that one bad array hides no other."""
    if place.is_dir():
        return {path.stem: partial(read_npy, path) for path in children(place) if path.suffix.lower() == ".npy"}
    if place.suffix.lower() == ".npz":
        return {name: partial(read_npz, place, name) for name in npz_names(place)}
    return {}


def _take(found: _Found, name: str, what: str, read: Callable[[], NDArray[np.uint8] | None]) -> None:
    """A video's labels, or a finding that these labels or masks cannot be read."""
    try:
        values = read()
    except TsvadError as error:
        found.broken.add(name)
        found.findings.append(Finding.of(f"{what}-unreadable", "error", f"testing/{name}", str(error)))
        return
    if values is not None:
        found.labels[name] = values
        found.lengths[name] = len(values)


def _array(found: _Found, name: str, place: Path, read: Callable[[], NDArray[Any]]) -> NDArray[np.uint8] | None:
    """Labels out of a file; None, with a finding, where some are neither 0 nor 1."""
    values = read()
    flat = values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values
    if flat.ndim == 1 and flat.dtype.kind in "biuf":
        found.lengths[name] = len(flat)
        wrong = np.flatnonzero(~((flat == 0) | (flat == 1)))  # NaN is neither
        if len(wrong):
            frames = ranges(wrong.tolist())
            what = f"{in_words(frames)}: label {flat[wrong[0]]} is neither 0 (normal) nor 1 (anomalous)"
            remedy = f"write 0 or 1 there, in {place.name}"
            found.findings.append(Finding("label-value", "error", f"testing/{name}", what, remedy, frames))
            return None
    return read_frame_labels(values, place, name)


def _names(found: _Found, testing: Mapping[str, Reading]) -> Iterator[Finding]:
    labelled = found.lengths.keys() | found.broken
    for name in sorted(testing.keys() - labelled, key=natural_key):
        remedy = "add its labels, or take the video out of the test split"
        yield Finding("label-missing", "error", testing[name].name, "no labels of this video", remedy)
    for name in sorted(labelled - testing.keys(), key=natural_key):
        what, remedy = f"labels of {name}, but no such test video", "add the video, or remove its labels"
        yield Finding("label-unknown", "error", f"testing/{name}", what, remedy)


def _count(reading: Reading, labels: int) -> Iterator[Finding]:
    # A gap in the numbering is named already; labels that count the missing frames agree with it.
    if not reading.whole or labels in (reading.frames, reading.frames + reading.missing):
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
    theirs = opencv_pictures(reading.video.path)[reading.video.skip :]
    if not len(theirs) or not reading.frames:
        return "OpenCV decodes none", ""
    if len(theirs) == reading.frames:
        return "OpenCV decodes as many frames", ""
    start, end = ends(reading.prints.pictures, theirs)
    places = [f"{abs(n)} {'more' if n > 0 else 'fewer'} at the {at}" for n, at in ((start, "start"), (end, "end")) if n]
    hint = f"OpenCV decodes {len(theirs)}: {', '.join(places)}"
    if len(theirs) - reading.frames != over:
        return hint, ""
    do = "remove" if over > 0 else "add"
    parts = [f"{counted(abs(n), 'label')} at the {at}" for n, at in ((start, "start"), (end, "end")) if n]
    return f"{hint}, which the labels fit", f"{do} {' and '.join(parts)}"


def _against_masks(found: _Found, masks: MaskSource, testing: Mapping[str, Reading]) -> Iterator[Finding]:
    for name in sorted(found.labels.keys() & set(masks.names) & testing.keys(), key=natural_key):
        labels, reading = found.labels[name], testing[name]
        try:
            marked = masks.frame_labels(name, reading.size)
        except TsvadError as error:
            yield Finding.of("mask-unreadable", "error", reading.name, str(error))
            continue
        if len(marked) != len(labels):
            if reading.whole and len(marked) not in (reading.frames, reading.frames + reading.missing):
                what = f"{counted(reading.frames, 'decoded frame')} but {counted(len(marked), 'mask')}"
                remedy = "take the masks that were drawn on these frames, or extract the video again"
                yield Finding("mask-count", "error", reading.name, what, remedy)
            continue
        differ = np.flatnonzero(marked != labels)
        if len(differ):
            frames = ranges(differ.tolist())
            sides = f"{int(marked[differ].sum())} anomalous by the mask alone"
            what = f"{in_words(frames)}: labels and masks disagree ({counted(len(differ), 'frame')}, {sides})"
            remedy = "decide which is right, and say which one was used for a number"
            yield Finding("mask-labels", "warning", reading.name, what, remedy, frames)


def _one_class(found: _Found, testing: Mapping[str, Reading]) -> Iterator[Finding]:
    for name in sorted(found.labels.keys() & testing.keys(), key=natural_key):
        values = found.labels[name]
        if len(values) and values.min() == values.max():
            kind, word = ("all-anomalous", "anomalous") if values[0] else ("all-normal", "normal")
            what = f"every frame is {word}: the video has no AUC of its own"
            remedy = "say how macro-AUC counts it: left out, or with the authors' padding"
            yield Finding(kind, "note", testing[name].name, what, remedy)
