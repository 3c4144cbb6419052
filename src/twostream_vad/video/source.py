"""What every source of frames gives, and the error that names what is wrong with one."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

DEFAULT_RATE = 25.0


class VideoError(TsvadError):
    """A video that cannot be read: one line with the file, the frame at which it breaks, and a remedy."""


class ChangedVideoError(VideoError):
    """A video that does not give, ``what`` says how, the frames that were counted when it was prepared."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}; its frames changed since they were counted: run `tsvad prepare` again")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video."""

    index: int  # 0 for the first frame that the source gives
    time: float  # seconds since the video began; frames that were skipped count
    image: NDArray[np.uint8]  # (H, W, 3) RGB
    lost: bool = False  # missing or damaged; the picture is a neighbour's, and nothing may follow from it


class FrameSource(Protocol):
    """Frames in order of display. Iterating again begins anew; no more than a few frames are held.

    The name is a folder's, or a file's without its suffix; the rate is frames a second.
    """

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    @property
    def rate(self) -> float: ...

    def __iter__(self) -> Iterator[Frame]: ...


def scene_of(name: str) -> str:
    """The camera that took a video: its name's part before the first ``_``; names without one share the scene ""."""
    return name.partition("_")[0] if "_" in name else ""


def check_rate(rate: float) -> float:
    """``rate`` itself; VideoError where it is no number of frames a second."""
    if not (isfinite(rate) and rate > 0):
        raise VideoError(f"rate must be above 0 frames a second, got {rate}")
    return rate


def check_skip(skip: int) -> int:
    """``skip`` itself; VideoError where it is no number of frames."""
    if skip < 0:
        raise VideoError(f"skip must be 0 or more frames, got {skip}")
    return skip
