"""Frame labels: every format that the datasets come with becomes video name -> 0/1 per frame."""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.frames import count_frames
from .arrays import npz_names, read_mat, read_npy, read_npz
from .errors import DatasetError
from .layouts import Dataset, children, find_split, homes, match_names, natural_key, renamed
from .masks import MaskSource, Size, find_masks, open_masks

Labels = dict[str, NDArray[np.uint8]]  # video name -> (frames,) of 0 (normal) and 1 (anomalous)
# Video name -> what reads its labels, given the size of its frames where that is known: masks are checked by it.
Readers = dict[str, Callable[[Size | None], NDArray[np.uint8]]]
Counts = Callable[[], Mapping[str, int]]  # test videos' frames by name, counted when asked for: few files need them


class LabelValueError(DatasetError):
    """Labels that are neither 0 nor 1: of ``length`` frames those ``wrong``; ``what`` says it without the place."""

    def __init__(self, path: Path, name: str, values: NDArray[Any], wrong: NDArray[np.intp]) -> None:
        self.path, self.length, self.wrong = path, len(values), wrong
        self.what = f"label {values[wrong[0]]} is neither 0 (normal) nor 1 (anomalous)"
        super().__init__(f"{path}, video {name}, frame {wrong[0]}: {self.what}")


def read_labels(path: Path, counts: Counts | None = None) -> Labels:
    """Labels from one file or folder.

    - ``.npz``: video -> (frames,) of 0/1 in any number type (the authors'), or masks as in ``open_masks``.
    - ``.npy``, or a folder of them: (frames,) of 0/1, or masks (frames, H, W); the video is the file's name.
    - ``.mat``: ``volLabel``, one video's masks (Avenue); or ``gt``, a cell a video in natural order, each
      2 x k first and last anomalous frames, counted from 1, both included.
    - a folder of masks that ``open_masks`` reads.

    ``counts`` gives the frames of each test video; it is called for the intervals of ``gt`` alone. DatasetError where
    the file is unreadable, holds Python objects, or a value that is not 0 or 1.
    """
    return {name: read(None) for name, read in _open(Path(path), counts)[1].items()}


def find_labels(dataset: Dataset, given: Path | None = None) -> Labels | None:
    """The labels in ``given`` or the dataset's usual places, under its test videos' names; None where there are none.

    Frame labels are taken before pixel masks, which say the same at a greater cost. Labels that fit no test video keep
    their names, for ``check_lengths``. DatasetError where two files could be the labels, or those found are damaged.
    """
    if not dataset.testing:
        return None
    found = open_labels(dataset, given, lambda: {video.name: count_frames(video.open()) for video in dataset.testing})
    return None if found is None else {name: read(None) for name, read in found[1].items()}


def open_labels(dataset: Dataset, given: Path | None, counts: Counts) -> tuple[Path, Readers] | None:
    """As `find_labels`: where they lie, and what reads each video's labels; so one bad array hides no other."""
    found = _usual(dataset, counts) if given is None else _open(given, counts)
    return None if found is None else (found[0], renamed(found[1], dataset))


def check_lengths(labels: Mapping[str, NDArray[np.uint8]], counts: Mapping[str, int], source: Path | str) -> None:
    """Every test video must have a label for every frame, counted by decoding: a container's header is often wrong.

    DatasetError names ``source``, each video whose numbers differ or that has no labels, and labels without a video.
    """
    faults = [
        f"video {name} has {counts[name]} decoded frames but {len(labels[name])} labels"
        for name in sorted(counts.keys() & labels.keys(), key=natural_key)
        if counts[name] != len(labels[name])
    ]
    faults += [f"video {name} has no labels" for name in sorted(counts.keys() - labels.keys(), key=natural_key)]
    faults += [f"labels {name} have no video" for name in sorted(labels.keys() - counts.keys(), key=natural_key)]
    if faults:
        shown = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
        raise DatasetError(
            f"labels of {source} do not fit the test videos: {shown}."
            " Take the labels that belong to these videos, or extract the videos again"
        )


def _usual(dataset: Dataset, counts: Counts) -> tuple[Path, Readers] | None:
    """What lies in the dataset's usual places."""
    places = homes(dataset)
    for place in places:
        if (path := _frame_labels_in(place)) is not None:
            return _open(path, counts)
        if dataset.layout == "corridor" and (nested := _nested_npys(place, dataset)):
            return place, _npys(nested)
    if (masks := find_masks(dataset)) is not None:
        return _from_masks(masks)
    for place in places:
        if (path := _only([child for child in children(place) if child.suffix.lower() == ".mat"])) is not None:
            return _open(path, counts)
    return None


def _open(path: Path, counts: Counts | None) -> tuple[Path, Readers]:
    arrays = [child for child in children(path) if child.suffix.lower() == ".npy"] if path.is_dir() else []
    if path.is_dir() and not arrays:
        return _from_masks(open_masks(path))
    if not path.exists():
        raise DatasetError(f"label file {path} does not exist; give an .npz, .npy, .mat or a folder of masks")
    if arrays or path.suffix.lower() == ".npy":
        return path, _npys(arrays or [path])
    if path.suffix.lower() == ".mat":
        return _from_mat(path, counts)
    if path.suffix.lower() != ".npz":
        raise DatasetError(f"{path} is no label file: give an .npz, .npy, .mat or a folder of masks")
    names = npz_names(path)
    if not names:
        raise DatasetError(f"{path} holds no labels; it must have an array for each test video")
    return path, {name: partial(_frame_labels, partial(read_npz, path, name), path, name) for name in names}


def _from_masks(masks: MaskSource) -> tuple[Path, Readers]:
    return masks.path, {name: partial(masks.frame_labels, name) for name in masks.names}


def _npys(paths: Iterable[Path]) -> Readers:
    files: dict[str, Path] = {}
    for path in paths:
        if (other := files.setdefault(path.stem, path)) != path:
            raise DatasetError(f"{other} and {path} are both labels of video {path.stem}; remove one")
    return {name: partial(_frame_labels, partial(read_npy, path), path, name) for name, path in files.items()}


def _frame_labels(read: Callable[[], NDArray[Any]], path: Path, name: str, _: Size | None) -> NDArray[np.uint8]:
    """One video's array, labels or masks, as (frames,) of 0/1."""
    values, what = read(), f"{path}, video {name}"
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)  # MATLAB's and many a script's row or column
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 3):
        raise DatasetError(
            f"{what}: labels must be 0/1 of shape (frames,) or masks (frames, H, W), got {values.dtype} {values.shape}"
        )
    if len(values) == 0:
        raise DatasetError(f"{what}: has no labels; every frame needs one")
    if values.ndim == 3:  # packed bits too: their padding is 0
        return np.fromiter((frame.any() for frame in values), dtype=np.uint8, count=len(values))
    wrong = np.flatnonzero(~((values == 0) | (values == 1)))  # NaN is neither
    if len(wrong):
        raise LabelValueError(path, name, values, wrong)
    return np.asarray(values, dtype=np.uint8)


def _from_mat(path: Path, counts: Counts | None) -> tuple[Path, Readers]:
    variables = read_mat(path)
    if "volLabel" in variables:
        return _from_masks(open_masks(path))
    cells = variables.get("gt")
    if cells is None or cells.dtype != object:
        found = ", ".join(variables) or "nothing"
        raise DatasetError(f"{path} has neither volLabel (masks) nor a cell array gt (intervals); it has {found}")
    if counts is None:
        raise DatasetError(f"{path} holds intervals, which do not say how long a video is; pass the frame counts")
    frames = counts()
    names = sorted(frames, key=natural_key)
    if cells.size != len(names):
        raise DatasetError(f"{path} has intervals of {cells.size} videos but there are {len(names)} test videos")
    return path, {
        name: partial(_from_intervals, np.asarray(cell), frames[name], f"{path}, video {name}")
        for name, cell in zip(names, cells.ravel(), strict=True)
    }


def _from_intervals(intervals: NDArray[Any], frames: int, what: str, _: Size | None) -> NDArray[np.uint8]:
    """(2, k) first and last frames, counted from 1, both included; empty where all is normal."""
    labels = np.zeros(frames, dtype=np.uint8)
    if intervals.size == 0:
        return labels
    pairs = intervals.reshape(2, -1) if intervals.size == 2 else intervals  # a single one is often saved as a row
    if intervals.dtype.kind not in "biuf" or len(pairs) != 2:
        raise DatasetError(
            f"{what}: intervals must be 2 x k numbers, first frames above last ones,"
            f" got {intervals.dtype} {intervals.shape}"
        )
    for first, last in pairs.T:
        if not (1 <= first <= last <= frames) or first != int(first) or last != int(last):
            raise DatasetError(f"{what}: interval {first}-{last} does not lie within the frames 1-{frames}")
        labels[int(first) - 1 : int(last)] = 1
    return labels


def _frame_labels_in(place: Path) -> Path | None:
    """The file or folder of frame labels right in ``place`` or in its testing split."""
    found = children(place)
    archives = [path for path in found if path.suffix.lower() == ".npz"]
    named = re.compile(r"^labels$|(?<![a-z])gt(?![a-z])")
    if (file := _only([path for path in archives if named.search(path.stem.lower())])) is not None:
        return file
    folders = [path for path in found if path.name.lower() == "labels"]
    if (test := find_split(place, "testing")) is not None:
        folders.append(test / "test_frame_mask")
    return next((folder for folder in folders if folder.is_dir() and any(folder.glob("*.npy"))), None)


def _nested_npys(place: Path, dataset: Dataset) -> list[Path]:
    """Corridor's labels: NAME.npy somewhere in the archive's annotation folders, which differ by release."""
    wanted = {video.name for video in dataset.testing}
    files = sorted(path for path in place.rglob("*.npy") if not path.name.startswith("."))
    matched = match_names([path.stem for path in files], wanted)
    return [path for path in files if matched[path.stem] in wanted]


def _only(paths: list[Path]) -> Path | None:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise DatasetError(
            f"{paths[0].parent} has several files that could be the labels: {names}; say which, or keep only one there"
        )
    return paths[0] if paths else None
