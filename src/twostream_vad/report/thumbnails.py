"""Small pictures for the report: a frame, its heat map, and the two laid over each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from ..video.pictures import WIDTH, jpeg, narrowed

SAMPLES_PER_PAGE = 2500  # of 5 to 11 kB each with their heat maps, base64 included: 12 to 28 MB
HEAT_WIDTH = 64  # a heat map is smooth: the browser enlarges it
DIMMED = 0.65  # the frame under a heat map, gray and this bright; page.css shows it so too


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Pictures of every ``step``-th frame of a video: sample i is of frame i · ``step``.

    Attributes:
        step: frames from one sample to the next.
        frames: a JPEG each, as `thumbnail` makes them.
        heat: a JPEG each, as `heat_picture` makes them (black where there is no heat); or none at all.
    """

    step: int
    frames: Sequence[bytes]
    heat: Sequence[bytes] = field(default=())

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"thumbnails every {self.step} frames: the step must be 1 or more")
        if self.heat and len(self.heat) != len(self.frames):
            raise ValueError(f"{len(self.frames)} thumbnails but {len(self.heat)} heat maps: give one each, or none")


def thumbnail_step(frames: int) -> int:
    """The step at which thumbnails of ``frames`` frames, all videos together, keep the page under 30 MB."""
    return max(1, math.ceil(frames / SAMPLES_PER_PAGE))


def heat_picture(heat: NDArray[np.floating], maximum: float = 1.0, width: int = HEAT_WIDTH) -> bytes:
    """A heat map, (h, w) from 0 to ``maximum``, as a small JPEG from black over red to pale yellow (inferno).

    What is not a number counts as 0. The page lays it over the thumbnail.
    """
    _check_heat(heat, maximum)
    height = max(1, round(heat.shape[0] * width / heat.shape[1]))
    return jpeg(_coloured(heat, maximum, (width, height)))


def heat_overlay(
    image: NDArray[np.uint8], heat: NDArray[np.floating], maximum: float = 1.0, width: int = WIDTH
) -> bytes:
    """A frame under its heat map, as one JPEG.

    Args:
        image: (H, W, 3) RGB.
        heat: (h, w) from 0 to ``maximum``, stretched over the whole frame. NaN counts as 0.
        maximum: what is shown brightest, in units of ``heat``; one for many frames makes them comparable.
        width: of the JPEG, in pixels.
    """
    _check_heat(heat, maximum)
    small = narrowed(image, width)
    height, width = small.shape[:2]
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[:, :, None] * (DIMMED / 255)
    glow = _coloured(heat, maximum, (width, height)) / 255
    # "screen": black heat leaves the frame as it is
    return jpeg(np.rint(255 * (1 - (1 - gray) * (1 - glow))).astype(np.uint8))


def _check_heat(heat: NDArray[np.floating], maximum: float) -> None:
    if heat.ndim != 2 or 0 in heat.shape:
        raise ValueError(f"a heat map must have the shape (h, w), got {heat.shape}")
    if not (math.isfinite(maximum) and maximum > 0):
        raise ValueError(f"a heat map's maximum must be above 0, got {maximum}; for a map of zeros any will do")


def _coloured(heat: NDArray[np.floating], maximum: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    share = np.nan_to_num(heat.astype(np.float32) / np.float32(maximum), nan=0.0, posinf=1.0, neginf=0.0)
    shrinks = size[0] < heat.shape[1]
    resized = cv2.resize(share, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    levels = np.rint(np.clip(resized, 0, 1) * 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return np.asarray(coloured, np.uint8)
