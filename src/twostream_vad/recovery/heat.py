"""Where a frame is wrong: the local error of its crops, laid back onto the frame."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray


def heat_map(
    errors: NDArray[np.float32],
    boxes: Sequence[tuple[float, float, float, float]],
    *,
    height: int,
    width: int,
    size: int,
    window: int,
    stride: int,
) -> NDArray[np.float32]:
    """Crops' local errors (crops, P, P) on their frame, (height, width); the largest counts where crops overlap.

    ``boxes`` are the crops' rectangles in the frame, x0, y0, x1, y1 in pixels; where no crop looks the heat is 0.
    In crop pixels: ``size`` is a crop's side, ``window`` that of the error window, at whose centre a value stands,
    and ``stride`` the step from one window to the next.
    """
    heat = np.zeros((height, width), np.float32)
    for error, (x0, y0, x1, y1) in zip(errors, boxes, strict=True):
        left, right = max(0, round(x0)), min(width, round(x1))
        top, bottom = max(0, round(y0)), min(height, round(y1))
        across = (np.arange(left, right) + 0.5 - x0) / (x1 - x0) * size  # crop pixels
        down = (np.arange(top, bottom) + 0.5 - y0) / (y1 - y0) * size
        # As float32 before they are spread out: the grids then cost a fifth.
        columns, rows = np.meshgrid(*(((axis - window / 2) / stride).astype(np.float32) for axis in (across, down)))
        known = np.ascontiguousarray(error, dtype=np.float32)
        spread = cv2.remap(known, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        region = heat[top:bottom, left:right]
        np.maximum(region, spread, out=region)
    return heat
