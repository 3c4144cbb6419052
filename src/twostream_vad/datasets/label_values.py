"""What a frame label may be, and intervals of anomalous frames as labels: shared by all formats."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetError

Size = tuple[int, int]  # height and width
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


def zero_one(values: NDArray[Any], path: Path, name: str) -> NDArray[np.uint8]:
    """Labels (frames,) in any number type as 0/1; 255 counts as 1 where all values are 0 or 255.

    LabelValueError for any other value; DatasetError for no frames.
    """
    if len(values) == 0:
        raise DatasetError(f"{path}, video {name}: has no labels; every frame needs one")
    anomalous = values == 1
    if not anomalous.any():  # one 1 among them, and 255 is a fault
        anomalous = values == 255
    wrong = np.flatnonzero(~((values == 0) | anomalous))  # NaN is neither
    if len(wrong):
        raise LabelValueError(path, name, values, wrong)
    return np.asarray(anomalous, dtype=np.uint8)


def from_intervals(intervals: NDArray[Any], frames: int, what: str, first_frame: int = 1) -> NDArray[np.uint8]:
    """Labels of ``frames`` frames from (2, k) first and last ones, both included; empty where all is normal.

    They count from ``first_frame``. DatasetError that begins ``what`` where they do not lie within the video.
    """
    labels = np.zeros(frames, dtype=np.uint8)
    if intervals.size == 0:
        return labels
    pairs = intervals.reshape(2, -1) if intervals.size == 2 else intervals  # a single one is often saved as a row
    if intervals.dtype.kind not in "biuf" or pairs.ndim != 2 or len(pairs) != 2:
        raise DatasetError(
            f"{what}: intervals must be 2 x k numbers, first frames above last ones,"
            f" got {intervals.dtype} {intervals.shape}"
        )
    end = frames - 1 + first_frame
    for first, last in pairs.T:
        if not (first_frame <= first <= last <= end) or first != int(first) or last != int(last):
            raise DatasetError(
                f"{what}: interval {first:g}-{last:g} does not lie within the frames {first_frame}-{end};"
                " take the labels that belong to these videos, or extract the video again"
            )
        labels[int(first) - first_frame : int(last) - first_frame + 1] = 1
    return labels
