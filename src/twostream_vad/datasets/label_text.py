"""Frame labels as text: 0/1 a line, tables of frame and label, and UCF-Crime's intervals."""

import re
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..video.frames import VIDEO_SUFFIXES
from .errors import DatasetError
from .label_values import Counts, Readers, Size, from_intervals, zero_one
from .layouts import match_names

TEXT_SUFFIXES = frozenset({".txt", ".csv"})
MAX_TEXT, MAX_LINE = 2**26, 2**12  # bytes, characters; a million frames with a video's name each take 20 MB
COLUMNS = {
    "frame": frozenset({"frame", "frames", "frame_id", "frame_index", "frame_number", "frame_no", "index"}),
    "label": frozenset({"label", "labels", "gt", "ground_truth", "anomaly", "anomalous", "is_anomaly", "abnormal"}),
    "video": frozenset({"video", "video_name", "video_id", "name", "file", "filename", "clip"}),
}
FORMS = "0 or 1 a line, frame and label (and video) a line, or UCF-Crime's NAME.mp4 CLASS FIRST LAST FIRST LAST"
SHOWN = 5


def open_text(path: Path, counts: Counts | None) -> Readers:
    """What reads each video's labels in one ``.txt`` or ``.csv`` file; see `read_labels` for the forms.

    A file of one video is read when its labels are asked for, one of several now. DatasetError where it is no text
    or of no such form; for UCF-Crime's intervals also without ``counts``.
    """
    first = next(_rows(path), (0, []))[1]
    if _is_ucf(first):
        return _ucf(path, counts)
    if "video" in _columns(path, first):
        return {name: partial(_read, labels) for name, labels in _table(path).items()}
    return {video_name(path.name): partial(_read, lambda: next(iter(_table(path).values()))())}


def video_name(file: str) -> str:
    """A video's name from its file's or its label file's: ``a/01.mp4``, ``01.txt`` and ``01.mp4.txt`` are 01."""
    name = Path(file.replace("\\", "/")).name
    while Path(name).suffix.lower() in VIDEO_SUFFIXES | TEXT_SUFFIXES:
        name = Path(name).stem
    return name


def _read(labels: Callable[[], NDArray[np.uint8]], _: Size | None) -> NDArray[np.uint8]:
    return labels()


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each line's number, from 1, and its fields: between commas, semicolons or tabs where it has any, else spaces."""
    try:
        if path.stat().st_size > MAX_TEXT:
            raise DatasetError(f"{path} has over {MAX_TEXT >> 20} MiB, too much for labels; give the label file")
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if len(line) > MAX_LINE:
                    raise DatasetError(f"{path}, line {number}: is too long for labels; it must have {FORMS}")
                if text := line.strip():
                    mark = re.search(r"[,;\t]", text)
                    parts = text.split(mark[0]) if mark else text.split()
                    yield number, [part.strip().strip("\"'") for part in parts]
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; check that it is there and readable") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is no text; labels in text are {FORMS}") from None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _columns(path: Path, first: list[str]) -> dict[str, int]:
    """Where ``frame``, ``label`` and ``video`` stand, by the first line: a header's names, else the order."""
    if not first:
        raise DatasetError(f"{path} has no labels; it must have {FORMS}")
    if _number(first[-1]) is not None:  # no header
        order = {1: ("label",), 2: ("frame", "label"), 3: ("video", "frame", "label")}.get(len(first))
        if order is None:
            raise DatasetError(f"{path}, line 1: {len(first)} fields are no labels; it must have {FORMS}")
        return {name: place for place, name in enumerate(order)}
    heads = [re.sub(r"[\s-]+", "_", head.lower()) for head in first]
    found = {name: next((i for i, h in enumerate(heads) if h in known), -1) for name, known in COLUMNS.items()}
    found = {name: place for name, place in found.items() if place >= 0}
    if "label" not in found:  # by the order, then
        free = [place for place in range(len(heads)) if place not in found.values()]
        if "frame" not in found and len(free) > 1:
            found["frame"] = free.pop(0)
        if not free:
            raise DatasetError(f"{path} has no column of labels; name it label in the first line")
        found["label"] = free[0]
    return found


def _table(path: Path) -> dict[str, Callable[[], NDArray[np.uint8]]]:
    """Video -> what checks its labels, of a file of 0/1 a line or of columns; never empty."""
    columns: dict[str, int] = {}
    width, kept = 0, dict[str, dict[str, "array[float]"]]()  # video -> column -> numbers
    for line, fields in _rows(path):
        if not columns:
            columns, width = _columns(path, fields), len(fields)
            if _number(fields[columns["label"]]) is None:
                continue  # the header
        if len(fields) != width:
            raise DatasetError(f"{path}, line {line}: {len(fields)} fields, the first line {width}; write it again")
        own = kept.setdefault(video_name(fields[columns["video"]] if "video" in columns else path.name), {})
        for column in columns.keys() - {"video"}:
            value = _number(fields[columns[column]])
            if value is None:
                text = fields[columns[column]][:40]
                raise DatasetError(f"{path}, line {line}: {column} {text!r} is no number; write it again")
            own.setdefault(column, array("d")).append(value)
    if not kept:
        raise DatasetError(f"{path} has no labels; it must have {FORMS}")
    return {name: partial(_checked, own, path, name) for name, own in kept.items()}


def _checked(columns: dict[str, "array[float]"], path: Path, name: str) -> NDArray[np.uint8]:
    labels = np.frombuffer(columns["label"])
    if "frame" in columns:
        labels = labels[_order(np.frombuffer(columns["frame"]), f"{path}, video {name}")]
    return zero_one(labels, path, name)


def _order(frames: NDArray[np.float64], what: str) -> NDArray[np.intp]:
    """In which order the rows are the video's frames: numbers count from 0 or from 1, the first one tells."""
    order = np.argsort(frames, kind="stable")
    frames = frames[order]
    odd = frames[(frames != np.floor(frames)) | (np.abs(frames) > 2**53)]  # NaN is odd too
    if len(odd):
        raise DatasetError(f"{what}: frame {odd[0]:g} is no frame's number; count frames from 0 or 1")
    if frames[0] not in (0, 1):
        raise DatasetError(f"{what}: the first frame is {frames[0]:.0f}; label every frame, counted from 0 or 1")
    steps = np.diff(frames)
    if (steps == 0).any():
        raise DatasetError(f"{what}: frame {frames[:-1][steps == 0][0]:.0f} has two labels; remove one")
    if len(gaps := np.flatnonzero(steps > 1)):
        ends = [(frames[gap] + 1, frames[gap + 1] - 1) for gap in gaps[:SHOWN]]
        shown = ", ".join(f"{first:.0f}" if first == last else f"{first:.0f}-{last:.0f}" for first, last in ends)
        more = f" and {len(gaps) - SHOWN} more gaps" if len(gaps) > SHOWN else ""
        raise DatasetError(f"{what}: no labels of frames {shown}{more}; label every frame")
    return order


def _is_ucf(fields: list[str]) -> bool:
    """A video and its class, which are no numbers, then pairs of numbers."""
    numbers = [_number(field) is not None for field in fields]
    return len(fields) >= 4 and not any(numbers[:2]) and all(numbers[2:])


def _ucf(path: Path, counts: Counts | None) -> Readers:
    """UCF-Crime: first and last frames counted from 1, both included, -1 for none.

    So does the authors' own ``Evaluate_Anomaly_Detector.m``: ``GT(st_fr:end_fr)=1`` (Sultani et al., CVPR 2018).
    """
    if counts is None:
        raise DatasetError(f"{path} holds intervals, which do not say how long a video is; pass the frame counts")
    pairs: dict[str, NDArray[np.float64]] = {}
    for line, fields in _rows(path):
        if not _is_ucf(fields) or len(fields) % 2:
            raise DatasetError(f"{path}, line {line}: is not NAME.mp4 CLASS FIRST LAST, -1 for none; write it again")
        if (name := video_name(fields[0])) in pairs:
            raise DatasetError(f"{path}, line {line}: video {name} is there twice; remove one line")
        ends = np.array([float(text) for text in fields[2:]]).reshape(-1, 2)
        pairs[name] = ends[(ends != -1).any(axis=1)].T
    known = counts()
    names = match_names(pairs, known)
    return {
        name: partial(_interval_labels, own, known.get(names[name]), f"{path}, video {name}")
        for name, own in pairs.items()
    }


def _interval_labels(pairs: NDArray[np.float64], frames: int | None, what: str, _: Size | None) -> NDArray[np.uint8]:
    """``frames`` None: no such video, which whoever compares names tells; its labels have no length."""
    return np.zeros(0, np.uint8) if frames is None else from_intervals(pairs, frames, what)
