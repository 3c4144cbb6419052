"""Small pictures for the report: frames, and heat maps that a page lays over them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..retrieval.exemplars import Match
from ..video.pictures import jpeg, marked

SAMPLES_PER_PAGE = 2500  # of 5 to 11 kB each with their heat maps, base64 included: 12 to 28 MB
BRIGHTEST = 2.0  # heat, in units of what the hottest place of normal video reaches in one snippet of a hundred
HEAT_WIDTH = 64  # a heat map is smooth: the browser enlarges it


class Thumbnails(NamedTuple):
    """Pictures of every ``step``-th frame of a video: sample i is of frame i · ``step``."""

    step: int
    frames: Sequence[bytes]  # a JPEG each, as `thumbnail` makes them
    heat: Sequence[bytes] = ()  # a JPEG each, as `heat_picture` makes them (black where there is no heat); or none


def thumbnail_step(frames: int) -> int:
    """The step at which thumbnails of ``frames`` frames, all videos together, keep the page under 30 MB."""
    return max(1, math.ceil(frames / SAMPLES_PER_PAGE))


def with_place(match: Match | None, picture: bytes, height: int, width: int) -> tuple[bytes, Sequence[bytes]]:
    """A JPEG of a frame of height x width pixels and the strip of its nearest normal event, the place marked on both.

    Not marked where retrieval knows no places; no strip where there is none.
    """
    strip = () if match is None or match.exemplar is None else match.exemplar.strip
    if match is None or match.place is None:
        return picture, strip
    box = match.place.box(height, width)
    return marked(picture, box), tuple(marked(each, box) for each in strip)


def heat_picture(heat: NDArray[np.floating], maximum: float = 1.0) -> bytes:
    """A heat map, (h, w) from 0 to ``maximum``, as a small JPEG from black over red to pale yellow (inferno).

    What is not a number counts as 0. The page lays it over the frame in gray ("screen": black leaves it as it is).
    """
    return jpeg(_coloured(heat, maximum))


def lit(image: NDArray[np.uint8], heat: NDArray[np.floating] | None, maximum: float = BRIGHTEST) -> bytes:
    """A frame (H, W, 3) in gray with its heat map over it, as the page shows both, as one JPEG; without heat in colour.

    Both are laid together by "screen": black leaves a frame as it is, and nothing gets darker.
    """
    if heat is None:
        return jpeg(image)
    gray = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    light = cv2.resize(_coloured(heat, maximum), (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    dark = (255 - gray.astype(np.uint16)) * (255 - light.astype(np.uint16)) // 255
    return jpeg((255 - dark).astype(np.uint8))


def _coloured(heat: NDArray[np.floating], maximum: float) -> NDArray[np.uint8]:
    size = HEAT_WIDTH, max(1, round(heat.shape[0] * HEAT_WIDTH / heat.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):  # a detector whose normal errors are all 0 has no maximum
        share = np.nan_to_num(heat.astype(np.float32) / np.float32(maximum), nan=0.0, posinf=1.0, neginf=0.0)
    shrinks = heat.shape[1] > HEAT_WIDTH
    resized = cv2.resize(share, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    levels = np.rint(np.clip(resized, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8)
