"""UBnormal's annotations: which objects are anomalous in which frames, by its track files.

A video's ``Scene3/NAME_annotations`` has masks ``NAME_0000_gt.png``, a pixel's value being the number of the object
there, normal people too, and ``NAME_tracks.txt``, rows of an anomalous object's number, first and last frame, counted
from 0, both included (Acsintoae et al., CVPR 2022; so the authors' write_frame_level_ground_truth.py and
create_tracks_for_tbdc_rbdc.py read them).
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DatasetError
from .label_values import Counts, Readers, Size, from_intervals
from .layouts import find_home, scene_folders

OBJECT_MASK = re.compile(r"(?:ab)?normal_scene_\d+_.*_(\d{4,})_gt\.png")
Tracks = NDArray[np.int64]  # rows of an object's number, first and last frame


def label_readers(dataset: Dataset, counts: Counts) -> Readers:
    """Labels of each test video: 1 where any track goes on. The readers raise DatasetError for damaged files."""
    frames = counts()
    return {
        name: partial(_labels, folder, name, frames[name]) for name, folder in _annotations(dataset) if name in frames
    }


def object_masks(dataset: Dataset) -> dict[str, Callable[[Size | None], Iterator[NDArray[np.bool_]]]]:
    """Pixel masks of the test videos that have annotations, frame by frame: True on objects while their tracks go on.

    The iterators raise DatasetError for damaged files.
    """
    return {name: partial(_masks, folder, name) for name, folder in _annotations(dataset) if folder.is_dir()}


def _annotations(dataset: Dataset) -> Iterator[tuple[str, Path]]:
    scenes = {folder.name.lower(): folder for folder in scene_folders(find_home(dataset.root, dataset.layout))}
    for video in dataset.testing:
        scene = re.search(r"_scene_(\d+)_", video.name)
        folder = scenes.get(f"scene{scene[1]}") if scene else None
        if folder is None:
            raise DatasetError(f"{dataset.root} has no scene of video {video.name}; UBnormal's lie in Scene1, Scene2 …")
        yield video.name, folder / f"{video.name}_annotations"


def _labels(folder: Path, name: str, frames: int, _: Size | None) -> NDArray[np.uint8]:
    path = folder / f"{name}_tracks.txt"
    return from_intervals(_tracks(path, name)[:, 1:].T, frames, f"{path}, video {name}", first_frame=0)


def _tracks(path: Path, name: str) -> Tracks:
    if not path.is_file():
        if name.startswith("normal_"):
            return np.zeros((0, 3), np.int64)
        raise DatasetError(f"{path} is not there: which objects are anomalous is not known; unpack the set again")
    rows = []
    try:
        for line in path.read_text("utf-8").splitlines():
            if line.strip():
                number, first, last = (int(float(field)) for field in line.split(","))
                rows.append((number, first, last))
        return np.array(rows, np.int64).reshape(-1, 3)
    except (OSError, ValueError, OverflowError):
        raise DatasetError(f"{path} is no rows of object, first and last frame; unpack the set again") from None


def _masks(folder: Path, name: str, _: Size | None) -> Iterator[NDArray[np.bool_]]:
    corrected = folder / f"{name}_new_tracks.txt"  # taken for regions where there is one, as the authors do
    tracks = _tracks(corrected if corrected.is_file() else folder / f"{name}_tracks.txt", name)
    files = {int(match[1]): path for path in folder.iterdir() if (match := OBJECT_MASK.fullmatch(path.name))}
    if sorted(files) != list(range(len(files))):
        raise DatasetError(f"{folder}: masks are not numbered from 0000 on without gaps; unpack the set again")
    for frame in range(len(files)):
        shown = [number for number, first, last in tracks.tolist() if first <= frame <= last]
        yield np.isin(_objects(files[frame]), shown)


def _objects(path: Path) -> NDArray[np.uint8]:
    """(H, W): each pixel's object, 0 for none."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data[-12:].tobytes().find(b"IEND") >= 0 else None
    except cv2.error:
        image = None
    if image is None:
        raise DatasetError(f"{path} is damaged or cut off; unpack the set again")
    if image.ndim == 3 and (image[..., :3] == image[..., :1]).all():
        image = image[..., 0]
    if image.dtype != np.uint8 or image.ndim != 2:
        raise DatasetError(f"{path} is no mask of object numbers in 8 bits of gray; unpack the set again")
    return np.asarray(image, np.uint8)
