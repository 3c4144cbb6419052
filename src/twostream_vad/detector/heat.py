"""Where a frame is unlike what is normal: what both streams say of places, laid back onto the frame and joined."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from ..video.views import Views

if TYPE_CHECKING:
    from torch import Tensor

Local = NDArray[np.float32]


@runtime_checkable
class Looking(Protocol):
    """A stream that knows where."""

    views: Views

    @property
    def grain(self) -> tuple[int, int]:
        """Side of what one value by place is of, and the step to the next, in crop pixels."""
        ...

    def look(self, clips: "Tensor") -> tuple[NDArray[np.float64], Local]:
        """(B, crops, 3, T, S, S) → scores (B,) and values by place (B, crops, P, P)."""
        ...


FAINT = 0.1  # what a stream counts at least, of what the hottest place of normal video reaches
Sight = tuple[tuple[int, int], float, float]  # a stream's grain, its weight, the heat of normal video's hottest places


def joint_heat(
    local: Mapping[str, Local], sights: Mapping[str, Sight], views: Views, height: int, width: int
) -> Local | None:
    """The streams' values by place, (crops, P, P) each, as one heat map (height, width); None where there are none.

    ``sights`` are, by stream, its grain, its weight in the fusion, and what the hottest place of normal video reaches
    in one snippet of a hundred: each stream counts in units of that. See `joined`.
    """
    known = {name: values for name, values in local.items() if name in sights and sights[name][1] > 0}
    if not known:
        return None
    boxes, laid = views.boxes(height, width), {}
    for name, values in known.items():
        (window, stride), _, high = sights[name]
        own = heat_map(values, boxes, height=height, width=width, size=views.size, window=window, stride=stride)
        laid[name] = own / np.float32(max(high, 1e-12))
    heat: Local = joined(laid, {name: sights[name][1] for name in known}).astype(np.float32, copy=False)
    return heat


def joined(values: Mapping[str, Any], weights: Mapping[str, float]) -> Any:
    """The streams' geometric mean by their weights, each a tenth higher, less a tenth: hot is where both say so.

    One stream sees fine edges, the other which thing is strange: a sum is as wide as the coarser one. The tenth keeps
    what only one of them sees, such as a thing that no longer moves. A stream alone stays as it is.
    """
    if len(values) == 1:
        return next(iter(values.values()))
    total, product = sum(weights.values()), 1.0
    for name, value in values.items():
        product = product * (value + FAINT) ** (weights[name] / total)
    return product - FAINT


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
