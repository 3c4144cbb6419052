"""Clips for training: drawn anywhere in a set of videos, their resized frames kept in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .source import VideoError
from .views import Region, Views

KEPT_BYTES = 768 << 20
"""Room for the resized frames of Ped2's training video: a small set is decoded once, not once a draw."""


class Readable(Protocol):
    """What a clip is read from: its path tells one video from another; a frame is (H, W, 3) uint8 RGB."""

    @property
    def path(self) -> Path: ...

    def read(self, index: int) -> NDArray[np.uint8]: ...


class ClipReader:
    """Reads crops of clips; the frames asked for last stay in memory, up to ``kept_bytes``. Threads may share it.

    What it returns does not depend on what it has kept.
    """

    def __init__(self, views: Views, kept_bytes: int = KEPT_BYTES) -> None:
        self.views, self.kept_bytes, self._bytes = views, kept_bytes, 0
        self._kept: OrderedDict[tuple[Path, int, Region], Tensor] = OrderedDict()
        self._shapes: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def drawn(self, video: Readable, frames: Sequence[int], u: float, *, fixed: bool = False) -> Tensor:
        """One crop, as `Views.crop` draws it, of each of T frames → (3, T, size, size) float32.

        Raises:
            VideoError: frames of more than one size.
        """
        if not frames:
            raise ValueError("no frames to draw a crop from; a snippet has at least one")
        height, width = self._shapes.get(video.path) or self._shape(video.read(frames[0]), video, frames[0])
        region, offset = self.views.crop(height, width, u, fixed=fixed)
        return self.views.clip([self._picture(video, frame, region) for frame in frames], offset)

    def _picture(self, video: Readable, frame: int, region: Region) -> Tensor:
        key = (video.path, frame, region)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        image = video.read(frame)
        self._shape(image, video, frame)
        picture = self.views.resized(image, region)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._bytes += picture.nbytes
            while self._bytes > self.kept_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return picture

    def _shape(self, image: NDArray[np.uint8], video: Readable, frame: int) -> tuple[int, int]:
        shape = image.shape[0], image.shape[1]
        if self._shapes.setdefault(video.path, shape) != shape:
            height, width = self._shapes[video.path]
            raise VideoError(
                f"{video.path}: frame {frame} is {shape[1]} x {shape[0]} pixels, others {width} x {height}; a video's "
                "frames must be of one size: put each size into a folder of its own, or resize"
            )
        return shape
