"""Zones: polygons of a camera's picture that are left out, or that alone are watched."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..recovery.stream import RecoveryStream
from ..retrieval.placed import PLACE, PlacedStream
from ..scores.stream import Stream
from ..video.views import Views

Point = tuple[float, float]
"""Across and down, as shares of the picture's width and height."""


@dataclass(frozen=True)
class Zone:
    """A polygon of three corners or more; where any zone is watched ``alone``, all outside of such zones is left out.

    TsvadError for what is no polygon inside the picture.
    """

    name: str
    points: tuple[Point, ...]
    use: Literal["leave out", "alone"] = "leave out"

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise TsvadError(f"zone {self.name}: a polygon has three corners or more, got {len(self.points)}")
        if not all(math.isfinite(value) and 0 <= value <= 1 for point in self.points for value in point):
            raise TsvadError(f"zone {self.name}: corners are shares of width and height, from 0 to 1")

    def covers(self, height: int, width: int) -> NDArray[np.bool_]:
        """Its pixels, (height, width)."""
        corners = np.round(np.array(self.points) * (width, height)).astype(np.int32)
        drawn = np.zeros((height, width), np.uint8)
        return cv2.fillPoly(drawn, [corners], 1).astype(np.bool_)

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside, or on the edge."""
        corners = np.array(self.points, np.float32)
        return cv2.pointPolygonTest(corners, (float(point[0]), float(point[1])), False) >= 0


def watched(zones: Sequence[Zone], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels that count, (height, width); TsvadError where there are none."""
    alone = [zone.covers(height, width) for zone in zones if zone.use == "alone"]
    seen = np.any(alone, axis=0) if alone else np.ones((height, width), np.bool_)
    for zone in zones:
        if zone.use == "leave out":
            seen &= ~zone.covers(height, width)
    if not seen.any():
        raise TsvadError("the zones leave nothing of the picture: leave out less")
    return seen


def within(streams: Mapping[str, Stream], seen: NDArray[np.bool_]) -> dict[str, Stream]:
    """The streams, of which only these pixels, (height, width), count: their errors, and places half of which they are.

    Nets and tables are shared. TsvadError where a stream knows no places, as in the paper's form, which judges whole
    crops.
    """
    found: dict[str, Stream] = {}
    for name, stream in streams.items():
        shown = crops_of(seen, stream.views)
        other = copy.copy(stream)
        if isinstance(other, RecoveryStream):
            import torch

            other.seen = torch.from_numpy(shown)[:, None]
        elif isinstance(other, PlacedStream):
            places = shown.reshape(len(shown), shown.shape[1] // PLACE, PLACE, -1, PLACE).mean((2, 4)) >= 0.5
            other.seen = places
        else:
            raise TsvadError(
                "zones want a detector that knows places, and this one judges whole crops: fit with --set "
                "retrieval.by_place=true, or with the recipe camera"
            )
        found[name] = other
    return found


def crops_of(seen: NDArray[np.bool_], views: Views) -> NDArray[np.bool_]:
    """The pixels of the test crops that show these, (height, width) → (crops, S, S)."""
    drawn = np.repeat(seen[:, :, None].astype(np.uint8) * 255, 3, axis=2)
    low, high = (float(views.scored(np.full_like(drawn, value)).mean()) for value in (0, 255))
    shown: NDArray[np.bool_] = (views.scored(drawn)[:, 0] >= (low + high) / 2).numpy()
    return shown
