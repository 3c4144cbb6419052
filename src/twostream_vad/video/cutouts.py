"""Things cut out of a fixed camera's picture along their outlines, and laid over another picture of it without a seam.

What stands out from the picture without them (the median over time) is a thing. With B that backdrop, I the picture and
α how much of a pixel is the thing's, the thing's own part is O = I − (1 − α) · B, and over a picture T it gives
(1 − α) · T + O: a soft outline stays soft and brings nothing of B along. Where α is 0 but I is not B, that is a shadow
or a gleam, which darkens or lightens in proportion: T · I / B. So O counts as α · O + (1 − α) · O · T / B.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the last two not included."""

LOOKS = 25  # frames that the backdrop is the median of
BAND = 64  # rows of which the median is taken at once
LEAST_STEP = 12.0  # grey levels by which a thing stands out, and
NOISE_STEPS = 6.0  # that many times the noise
HEIGHTS = (1 / 20, 1 / 3)  # of the picture's, of a thing
FILLED = 0.3  # share of its box that a thing covers, at least
RINGING = 7  # pixels: what JPEG leaves around a thing is taken along, half as far
MARGIN = 8  # pixels around a thing's box that are cut out with it
SOFT = 0.8  # standard deviation of the outline's softness, pixels


@dataclass(frozen=True)
class Cutout:
    """Over a picture T a thing gives ``colour`` + ``kept`` · T, (h, w, 3) each."""

    colour: Floats
    kept: Floats

    def turned(self) -> "Cutout":
        """Turned by a quarter, counter-clockwise."""
        return Cutout(np.rot90(self.colour), np.rot90(self.kept))

    def scaled(self, scale: float, rng: np.random.Generator, noise: float) -> "Cutout":
        """``scale`` times as large, and about as sharp and as noisy as the picture that it is cut from."""
        how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        colour = cv2.resize(self.colour, None, fx=scale, fy=scale, interpolation=how)
        kept = cv2.resize(self.kept, None, fx=scale, fy=scale, interpolation=how)
        if scale > 1:
            colour, kept = (
                _sharpened(np.asarray(colour, np.float32), scale),
                _sharpened(np.asarray(kept, np.float32), scale),
            )
            grain = rng.normal(0, noise * np.sqrt(1 - 1 / scale), (*kept.shape[:2], 1))
            colour = colour + np.clip(1 - kept, 0, 1) * grain
        return Cutout(colour.astype(np.float32, copy=False), kept.astype(np.float32, copy=False))

    def over(self, image: Image, left: int, top: int, hidden: Floats | None = None) -> Image:
        """``image`` (H, W, 3) with the thing in it, its corner there; ``hidden`` (H, W) is what stands before it."""
        height, width = image.shape[:2]
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + self.kept.shape[1], width), min(top + self.kept.shape[0], height)
        laid = image.copy()
        if x0 >= x1 or y0 >= y1:
            return laid
        own = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        under = image[y0:y1, x0:x1].astype(np.float32)
        change = self.colour[own] + (self.kept[own] - 1) * under
        if hidden is not None:
            change *= 1 - hidden[y0:y1, x0:x1, None]
        laid[y0:y1, x0:x1] = np.clip(np.rint(under + change), 0, 255)
        return laid


@dataclass(frozen=True)
class Backdrop:
    """What a fixed camera sees where nothing moves, (H, W, 3), and ``noise``, the deviation of its pixels from it."""

    image: Image
    noise: float

    @property
    def step(self) -> float:
        """Grey levels by which a thing stands out, at least."""
        return max(LEAST_STEP, NOISE_STEPS * self.noise)

    def things(self, image: Image) -> tuple[NDArray[np.int32], list[Box]]:
        """Numbers of things by pixel, (H, W), 0 for none, and the box of each; of a sensible size, inside the picture.

        What is too small, too large, too thin or cut off by an edge has a number in the picture and an empty box.
        """
        differs = cv2.absdiff(image, self.image).max(axis=2).astype(np.float32)
        mask = (cv2.GaussianBlur(differs, (0, 0), 1.0) > self.step).astype(np.uint8)
        height, width = mask.shape
        reach = max(3, round(height / 48) | 1)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED)
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        boxes: list[Box] = [(0, 0, 0, 0)] * count
        for number in range(1, count):
            x, y, w, h, area = stats[number].tolist()
            whole = x > 0 and y > 0 and x + w < width and y + h < height
            if whole and HEIGHTS[0] * height <= h <= HEIGHTS[1] * height and w <= 1.5 * h and area >= FILLED * w * h:
                boxes[number] = (x, y, x + w, y + h)
        return np.asarray(numbers, np.int32), boxes

    def cut(self, image: Image, box: Box) -> Cutout:
        """The thing that `things` found in that box of ``image``, with ``MARGIN`` pixels around the box."""
        numbers, boxes = self.things(image)
        x0, y0, x1, y1 = box
        pad = ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
        part = slice(y0, y1 + 2 * MARGIN), slice(x0, x1 + 2 * MARGIN)  # of the padded picture
        mask = np.pad(numbers == boxes.index(box), pad[:2])[part]
        seen, behind = (np.pad(side, pad, "edge")[part].astype(np.float32) for side in (image, self.image))
        alpha = self._alpha(mask, seen, behind)[:, :, None]
        wide = cv2.dilate(mask.astype(np.uint8), np.ones((RINGING, RINGING), np.uint8))
        near = cv2.GaussianBlur(wide.astype(np.float32), (0, 0), 1.0)
        own = near[:, :, None] * (seen - (1 - alpha) * behind)
        shade = np.clip(own / np.maximum(behind, 1), -0.7, 0.7)
        kept = 1 - near[:, :, None] * alpha + (1 - alpha) * shade
        return Cutout(alpha * own, kept.astype(np.float32))

    def _alpha(self, mask: NDArray[np.bool_], seen: Floats, behind: Floats) -> Floats:
        """How much of each pixel is a thing's and not its shadow's, (h, w): it differs much, or in more than light."""
        away = np.abs(seen - behind).max(axis=2)
        least = self.step
        most = max(2 * least, 0.4 * float(np.percentile(away[mask], 90)))
        ratio = cv2.GaussianBlur(seen, (0, 0), 1.0) / np.maximum(cv2.GaussianBlur(behind, (0, 0), 1.0), 1)
        if np.ptp(behind, axis=2).mean() > 3:  # in colour, a shadow is as dark in all three
            shade = (ratio.max(axis=2) < 0.95) & (ratio.min(axis=2) > 0.4) & (np.ptp(ratio, axis=2) < 0.08)
            shadow = cv2.morphologyEx(shade.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            away = np.where(shadow > 0, 0, away)
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        whole = np.clip((away - least) / (most - least), 0, 1).astype(np.float32) * mask
        whole = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, ellipse).astype(np.float32, copy=False)
        # On the outline, as much as it differs of what differs most near it: a pixel may be half of the ground.
        peak = np.maximum(cv2.dilate(away.astype(np.float32), ellipse), most)
        outline = np.clip((away - least / 2) / (peak - least / 2), 0, 1)
        core = cv2.erode((whole > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        alpha: Floats = np.where(core, whole, np.minimum(whole, outline)).astype(np.float32)
        return alpha

    def before(self, image: Image, feet: int) -> Floats:
        """How much of each pixel of ``image`` belongs to what stands nearer than ``feet``, a row: its own are lower."""
        numbers, _ = self.things(image)
        rows = np.flatnonzero(numbers.any(axis=1))
        lowest = np.zeros(int(numbers.max()) + 1, np.int64)
        for row in rows:
            lowest[np.unique(numbers[row])] = row + 1
        lowest[0] = 0
        return soft_outline(lowest[numbers] > feet)


def soft_outline(mask: NDArray[np.bool_]) -> Floats:
    """A mask (H, W) as a cover that fades out over its outline, 0 to 1."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), SOFT).astype(np.float32, copy=False)


def _sharpened(values: Floats, scale: float) -> Floats:
    """What was enlarged so much, (h, w, 3), with edges about as steep as before; none goes past what is around it."""
    steeper = values + 3 * (scale - 1) * (values - cv2.GaussianBlur(values, (0, 0), scale * SOFT))
    around = np.ones((3, 3), np.uint8)
    sharp: Floats = np.clip(steeper, cv2.erode(values, around), cv2.dilate(values, around)).astype(np.float32)
    return sharp


def find_backdrop(read: Callable[[int], Image], frames: int) -> Backdrop:
    """The median of at most ``LOOKS`` evenly spaced frames, which alone are held, and the noise around it."""
    indices = sorted({round((frames - 1) * look / (LOOKS - 1)) for look in range(LOOKS)})
    looks = np.array([read(index) for index in indices])
    image = np.empty_like(looks[0])
    middle = len(looks) // 2
    for top in range(0, len(image), BAND):
        image[top : top + BAND] = np.partition(looks[:, top : top + BAND], middle, axis=0)[middle]
    sample = np.abs(looks[:, ::4, ::4].astype(np.int16) - image[::4, ::4])
    return Backdrop(image, 1.4826 * float(np.median(sample)))
