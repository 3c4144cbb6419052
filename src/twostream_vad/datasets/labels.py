"""Frame labels: every format that the datasets come with becomes video name -> 0/1 per frame."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.frames import count_frames, is_image
from .arrays import npz_names, read_npy, read_npz
from .dataset import Dataset
from .errors import DatasetError
from .label_text import TEXT_SUFFIXES, open_text, video_name
from .label_values import Counts, Labels, Readers, Size, from_intervals, zero_one
from .layouts import children, find_split, homes, match_names, natural_key, renamed, scene_folders
from .masks import MaskSource, find_masks, open_masks
from .matlab import read_mat
from .ubnormal import label_readers

__all__ = ["Counts", "Labels", "Readers", "check_lengths", "find_labels", "open_labels", "read_labels"]
FORMS = "an .npz, .npy, .mat, .txt or .csv, or a folder of labels or masks"


def read_labels(path: Path, counts: Counts | None = None) -> Labels:
    """Labels from one file or folder.

    - ``.npz``: video -> (frames,) of 0/1 in any number type (the authors'), or masks as in ``open_masks``.
    - ``.npy``, or a folder of them: (frames,) of 0/1, or masks (frames, H, W); the video is the file's name.
    - ``.txt``, ``.csv``, or a folder of them: 0/1 a line; or columns of frame and label, and of the video where the
      file has several; or UCF-Crime's NAME.mp4 CLASS FIRST LAST, counted from 1, both included, -1 for none.
    - ``.mat``: ``volLabel``, one video's masks (Avenue); or ``gt``, a cell a video in natural order, each
      2 x k first and last anomalous frames, counted from 1, both included. MATLAB 7.3 takes h5py.
    - a folder of masks that ``open_masks`` reads.

    0/255 is taken as 0/1. ``counts`` gives the frames of each test video; it is called for intervals alone.
    DatasetError where the file is unreadable, holds Python objects, or a value that is not 0 or 1.
    """
    return {name: read(None) for name, read in _open(Path(path), counts)[1].items()}


def find_labels(dataset: Dataset, given: Path | None = None, counts: Counts | None = None) -> Labels | None:
    """The labels in ``given`` or the dataset's usual places, under its test videos' names; None where there are none.

    Frame labels are taken before pixel masks, which say the same at a greater cost. Labels that fit no test video keep
    their names, for ``check_lengths``. ``counts`` None counts frames by decoding, where the labels are intervals.
    DatasetError where two files could be the labels, or those found are damaged.
    """
    if not dataset.testing:
        return None
    decoded = counts or (lambda: {video.name: count_frames(video.open()) for video in dataset.testing})
    found = open_labels(dataset, given, decoded)
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
            return place, _files(nested, counts)
    if dataset.layout == "ubnormal" and scene_folders(places[-1]):
        return places[-1] / "*_tracks.txt", label_readers(dataset, counts)
    if (masks := find_masks(dataset)) is not None:
        return _from_masks(masks)
    for place in places:
        if (path := _only([child for child in children(place) if child.suffix.lower() == ".mat"])) is not None:
            return _open(path, counts)
    return None


def _open(path: Path, counts: Counts | None) -> tuple[Path, Readers]:
    if path.is_dir():
        files = _label_files(path)
        return (path, _files(files, counts)) if files else _from_masks(open_masks(path))
    if not path.exists():
        raise DatasetError(f"label file {path} does not exist; give {FORMS}")
    kind = path.suffix.lower()
    if kind == ".npy" or kind in TEXT_SUFFIXES:
        return path, _files([path], counts)
    if kind == ".mat":
        return _from_mat(path, counts)
    if kind != ".npz":
        raise DatasetError(f"{path} is no label file: give {FORMS}")
    names = npz_names(path)
    if not names:
        raise DatasetError(f"{path} holds no labels; it must have an array for each test video")
    return path, {name: partial(_frame_labels, partial(read_npz, path, name), path, name) for name in names}


def _label_files(folder: Path) -> list[Path]:
    """Its .npy files, or its text files where it has neither arrays nor images: a README lies beside those."""
    found = children(folder)
    if arrays := [child for child in found if child.suffix.lower() == ".npy"]:
        return arrays
    return [] if any(map(is_image, found)) else [child for child in found if child.suffix.lower() in TEXT_SUFFIXES]


def _from_masks(masks: MaskSource) -> tuple[Path, Readers]:
    return masks.path, {name: partial(masks.frame_labels, name) for name in masks.names}


def _files(paths: list[Path], counts: Counts | None) -> Readers:
    """Labels of one or of several videos a file."""
    readers, files = Readers(), dict[str, Path]()
    for path in paths:
        if path.suffix.lower() == ".npy":
            name = video_name(path.stem)
            found: Readers = {name: partial(_frame_labels, partial(read_npy, path), path, name)}
        else:
            found = open_text(path, counts)
        for name in found:
            if (other := files.setdefault(name, path)) != path:
                raise DatasetError(f"{other} and {path} are both labels of video {name}; remove one")
        readers |= found
    return readers


def _frame_labels(read: Callable[[], NDArray[Any]], path: Path, name: str, _: Size | None) -> NDArray[np.uint8]:
    """One video's array, labels or masks, as (frames,) of 0/1."""
    values, what = read(), f"{path}, video {name}"
    if values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)  # MATLAB's and many a script's row or column
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 3):
        raise DatasetError(
            f"{what}: labels must be 0/1 of shape (frames,) or masks (frames, H, W), got {values.dtype} {values.shape}"
        )
    if values.ndim == 3 and len(values):  # packed bits too: their padding is 0
        return np.fromiter((frame.any() for frame in values), dtype=np.uint8, count=len(values))
    return zero_one(values.reshape(-1), path, name)


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
        name: partial(_from_cell, np.asarray(cell), frames[name], f"{path}, video {name}")
        for name, cell in zip(names, cells.ravel(), strict=True)
    }


def _from_cell(intervals: NDArray[Any], frames: int, what: str, _: Size | None) -> NDArray[np.uint8]:
    return from_intervals(intervals, frames, what)


def _frame_labels_in(place: Path) -> Path | None:
    """The file or folder of frame labels right in ``place`` or in its testing split."""
    found = children(place)
    archives = [path for path in found if path.suffix.lower() == ".npz"]
    texts = [path for path in found if path.suffix.lower() in TEXT_SUFFIXES]
    # Of texts only names that nothing else has: a gt.txt may be boxes or notes.
    for files, named in ((archives, r"^labels$|(?<![a-z])gt(?![a-z])"), (texts, r"^labels$|^temporal_anomaly_annot")):
        if (file := _only([path for path in files if re.search(named, path.stem.lower())])) is not None:
            return file
    folders = [path for path in found if path.name.lower() == "labels"]
    if (test := find_split(place, "testing")) is not None:
        folders.append(test / "test_frame_mask")
    return next((folder for folder in folders if folder.is_dir() and _label_files(folder)), None)


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
