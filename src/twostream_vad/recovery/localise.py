"""Where a frame is wrong: the local error of its crops, laid back onto the frame."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .error import absolute_error_map, local_error, squared_error_map
from .stream import RecoveryStream, chosen


def crop_errors(stream: RecoveryStream, clips: Tensor) -> NDArray[np.float32]:
    """Local error of every crop of clips (B, crops, 3, 9, S, S), for the chosen window: (B, crops, P, P).

    The largest value of a crop is its MLE, up to the place of λ's maximum.

    Raises:
        ValueError: no window is chosen yet.
    """
    settings = stream.settings
    if not isinstance(settings.window, int):
        raise ValueError("no window is chosen yet: run `tsvad recovery select-window` first")
    l1, channel_l2, _ = chosen(settings)
    predicted, true = stream.predict(clips.flatten(0, 1))
    with torch.inference_mode():
        error = squared_error_map(predicted, true, channel_l2=channel_l2) + l1 * absolute_error_map(predicted, true)
        local = local_error(error, settings.window, settings.window_stride)
        crops: Tensor = local.reshape(*clips.shape[:2], *local.shape[-2:])
        return crops.cpu().numpy()


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
    """Crops' local errors in the frame's own coordinates; the largest counts where crops overlap.

    Args:
        errors: of one frame, (crops, P, P).
        boxes: each crop's rectangle in the frame, x0, y0, x1, y1 in pixels.
        height: of the frame.
        width: of the frame.
        size: side of a crop in crop pixels.
        window: side of the error window in crop pixels; a value stands at its window's centre.
        stride: crop pixels from one window to the next.

    Returns:
        (height, width); 0 where no crop looks.
    """
    heat = np.zeros((height, width), np.float32)
    for error, (x0, y0, x1, y1) in zip(errors, boxes, strict=True):
        left, right = max(0, round(x0)), min(width, round(x1))
        top, bottom = max(0, round(y0)), min(height, round(y1))
        across = (np.arange(left, right) + 0.5 - x0) / (x1 - x0) * size  # crop pixels
        down = (np.arange(top, bottom) + 0.5 - y0) / (y1 - y0) * size
        columns, rows = np.meshgrid((across - window / 2) / stride, (down - window / 2) / stride)
        spread = cv2.remap(
            np.ascontiguousarray(error, dtype=np.float32),
            columns.astype(np.float32),
            rows.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        region = heat[top:bottom, left:right]
        np.maximum(region, spread, out=region)
    return heat
