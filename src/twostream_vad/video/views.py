"""What the nets see of a frame: normalised, resized, cropped. The same for training, files and live video."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import TsvadError

# Kinetics-400 mean and deviation of every channel, of values in [0, 1].
MEAN = 0.45
STD = 0.225

Choice = TypeVar("Choice")


class ViewError(TsvadError):
    """Regions that do not fit the frames; the message says which."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the original frame, in its pixels; (x, y) is the upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.x < 0 or self.y < 0 or self.width < 1 or self.height < 1:
            raise ViewError(f"{self} is no rectangle inside a frame: x, y from 0, width and height from 1")


@dataclass(frozen=True)
class Views:
    """Square crops of a frame whose short side was resized to ``size``.

    A frame is tested on three crops along its long side, a square one on one crop. With regions, each of them
    is cut out first and then treated like a frame of its own; without any the whole frame is looked at. With ``fewest``
    there are as few crops as show all of it: of a frame less than twice as wide as high, two.
    """

    size: int = 256
    regions: tuple[Region, ...] = ()
    fewest: bool = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be 1 pixel or more, got {self.size}")

    def scored(self, image: NDArray[np.uint8]) -> Tensor:
        """The test crops of one frame: (H, W, 3) uint8 RGB -> (crops, 3, size, size) float32.

        Crops come region by region, each from left to right (or top to bottom).
        """
        height, width = _height_width(image)
        return self.looked_at(_tensor(image), height, width)

    def looked_at(self, image: Tensor, height: int, width: int) -> Tensor:
        """As `scored`, of a tensor."""
        crops = []
        for region in self._regions(height, width):
            picture = self._resized(image, region)
            crops += [_cut(picture, offset, self.size) for offset in self._offsets(region)]
        return torch.stack(crops)

    def crop(self, height: int, width: int, u: float, *, fixed: bool = False) -> tuple[Region, int]:
        """A region of a frame of height x width pixels, and an offset along its resized long side, drawn by ``u``.

        With n regions and u in [0, 1), floor(u n) is the region and the remainder, u n - floor(u n), takes the place of
        u inside it. ``fixed`` chooses among the test crops instead of all offsets.
        """
        if not 0 <= u < 1:
            raise ValueError(f"u must lie in [0, 1), got {u}")
        region, rest = _pick(self._regions(height, width), u)
        room = max(self._resized_shape(region)) - self.size
        return region, _pick(self._offsets(region), rest)[0] if fixed else round(room * rest)

    def clip(self, pictures: Sequence[Tensor], offset: int) -> Tensor:
        """The crop at ``offset`` of T resized frames (3, h, w) -> (3, T, size, size) float32."""
        clip = torch.empty(3, len(pictures), self.size, self.size)
        for t, picture in enumerate(pictures):
            clip[:, t] = _cut(picture, offset, self.size)
        return clip

    def count(self, height: int, width: int) -> int:
        """Test crops of a frame of height x width pixels."""
        return sum(len(self._offsets(region)) for region in self._regions(height, width))

    def boxes(self, height: int, width: int) -> list[tuple[float, float, float, float]]:
        """Where each crop of ``scored`` lies in a frame of height x width pixels: (x0, y0, x1, y1) in these pixels.

        The corners are continuous, the frame's being (0, 0, width, height).
        """
        boxes = []
        for region in self._regions(height, width):
            rows, columns = self._resized_shape(region)
            for offset in self._offsets(region):
                left, top = (offset, 0) if columns > rows else (0, offset)
                # Multiplied before divided: the last crop then ends at the frame's edge exactly.
                x0, x1 = (region.x + region.width * x / columns for x in (left, left + self.size))
                y0, y1 = (region.y + region.height * y / rows for y in (top, top + self.size))
                boxes.append((x0, y0, x1, y1))
        return boxes

    def _regions(self, height: int, width: int) -> tuple[Region, ...]:
        for region in self.regions:
            if region.x + region.width > width or region.y + region.height > height:
                raise ViewError(
                    f"{region} reaches outside the frame of {width} x {height} pixels (width x height); "
                    f"set the regions for this camera"
                )
        return self.regions or (Region(0, 0, width, height),)

    def _resized_shape(self, region: Region) -> tuple[int, int]:
        """(height, width) after resizing; the long side is rounded down."""
        short, long = sorted((region.height, region.width))
        longer = self.size * long // short
        return (self.size, longer) if region.width >= region.height else (longer, self.size)

    def _offsets(self, region: Region) -> tuple[int, ...]:
        room = max(self._resized_shape(region)) - self.size
        if room == 0:
            return (0,)
        return tuple(_spread(room, -(-room // self.size) + 1)) if self.fewest else (0, room // 2, room)

    def resized(self, image: NDArray[np.uint8], region: Region) -> Tensor:
        """(H, W, 3) uint8 -> (3, h, w) float32, the region normalised first and resized second."""
        return self._resized(_tensor(image), region)

    def _resized(self, image: Tensor, region: Region) -> Tensor:
        pixels = image[region.y : region.y + region.height, region.x : region.x + region.width]
        # The channels stay last in memory: the resize is three times as fast there.
        values = pixels.permute(2, 0, 1)[None].to(torch.float32)
        values = values.mul_(1 / (255 * STD)).sub_(MEAN / STD)
        return interpolate(values, self._resized_shape(region), mode="bilinear", align_corners=False)[0]


def corridor_grid(
    height: int = 1080, width: int = 1920, size: int = 480, columns: int = 5, rows: int = 3
) -> tuple[Region, ...]:
    """Square regions spread evenly over a frame, row by row, from edge to edge: IITB Corridor's, none hand-picked."""
    if columns < 1 or rows < 1:
        raise ValueError(f"a grid needs 1 column and 1 row or more, got {columns} x {rows}")
    if size > min(height, width):
        raise ValueError(f"regions of {size} pixels do not fit a frame of {width} x {height}")
    xs, ys = _spread(width - size, columns), _spread(height - size, rows)
    return tuple(Region(x, y, size, size) for y in ys for x in xs)


def _spread(room: int, count: int) -> list[int]:
    """``count`` whole numbers evenly from 0 to ``room``; a single one in the middle."""
    return [round(room * i / (count - 1)) for i in range(count)] if count > 1 else [room // 2]


def _cut(picture: Tensor, offset: int, size: int) -> Tensor:
    """(3, h, w) -> (3, size, size) at ``offset`` along the long side."""
    if picture.shape[2] > picture.shape[1]:
        return picture[:, :, offset : offset + size]
    return picture[:, offset : offset + size]


def _pick(choices: Sequence[Choice], u: float) -> tuple[Choice, float]:
    """The choice that ``u`` in [0, 1) falls on, and how far into its share, again from 0 to 1."""
    place = u * len(choices)
    index = min(int(place), len(choices) - 1)  # rounding may lift u n to n
    return choices[index], place - index


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    """Shares the array's memory, or a copy's: neither read-only nor mirrored arrays suit torch."""
    return torch.from_numpy(image if image.flags.writeable and min(image.strides) >= 0 else image.copy())


def _height_width(image: NDArray[np.uint8]) -> tuple[int, int]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"a frame is (H, W, 3) uint8, got shape {image.shape} of {image.dtype}")
    return image.shape[0], image.shape[1]
