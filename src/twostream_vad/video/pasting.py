"""A part of a picture that shows another time: what pseudo-anomalies and the encoder's own task are made of."""

import cv2
import numpy as np
from numpy.typing import NDArray

EDGE = 1 / 6
"""Share of half a box's side over which it fades into what is around it: no hard seam gives it away."""


def soft_box(height: int, width: int, centre: tuple[float, float], sides: tuple[float, float]) -> NDArray[np.float32]:
    """How much of the pasted picture shows at each pixel, (height, width) of 0 to 1.

    ``centre`` is row and column of the box's middle, ``sides`` its height and width; it may reach over the edge.
    """
    down = np.abs(np.arange(height) - centre[0]) / (sides[0] / 2)
    across = np.abs(np.arange(width) - centre[1]) / (sides[1] / 2)
    inside = 1 - np.maximum(down[:, None], across[None, :])
    shown: NDArray[np.float32] = np.clip(inside / EDGE, 0, 1).astype(np.float32)
    return shown


def busy_place(change: NDArray[np.float32], rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a pixel (H, W), the likelier the more its surroundings change.

    The chance grows with the square of the mean change within a tenth of the short side: moving things are
    found, sensor noise is not. Where nothing changes, any pixel is as likely.
    """
    reach = max(1, min(change.shape) // 10)
    weight = cv2.blur(change.astype(np.float64), (reach, reach)).ravel() ** 2
    total = weight.sum()
    place = rng.choice(len(weight), p=weight / total) if total > 0 else rng.integers(len(weight))
    row, column = divmod(int(place), change.shape[1])
    return row, column
