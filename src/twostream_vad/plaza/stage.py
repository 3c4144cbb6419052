"""Draws one video of the plaza: background, shadows, actors, sensor, and the truth about each frame."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .figures import Shape
from .scene import Actor
from .variety import PLAIN, Variety
from .view import Camera, Image, Seen, background, benches, fill, fill_shadows, outlines, props

SUPERSAMPLING = 2
REACH = 2.2  # metres that an actor and its shadow extend from its spot, at most
MARGIN = 64  # pixels by which the noise bank is larger than the frame


class Box(NamedTuple):
    """An anomalous object in one frame: its visible pixels, both ends included."""

    track: int
    kind: str
    x_min: int
    y_min: int
    x_max: int
    y_max: int


class PlazaFrame(NamedTuple):
    """One frame; it is anomalous where ``mask`` has any pixel, and then it has a box."""

    image: Image  # (H, W, 3) RGB
    mask: NDArray[np.bool_]  # (H, W)
    boxes: tuple[Box, ...]


Piece = tuple[Seen, int]  # one polygon to draw, and its anomaly's track + 1, or 0


def draw_frames(
    camera: Camera,
    actors: Sequence[Actor],
    light: Callable[[float], tuple[float, float]],
    times: Iterable[float],
    seed: int,
    rng: np.random.Generator,
    variety: Variety = PLAIN,
) -> Iterator[PlazaFrame]:
    """What the camera, of SUPERSAMPLING times the frames' width and height, gives at each of ``times``, in seconds.

    ``light`` is seconds -> gain of the image, strength of the shadows; ``seed`` the plaza's, ``rng`` the video's.
    """
    still, still_shadow = _still_layers(camera, seed, variety)
    fixed = [(away, 0, outlines(camera, shapes)) for away, shapes in props(camera) if variety.props]
    codes = list(accumulate(int(actor.kind is not None) for actor in actors))
    kinds = [actor.kind for actor in actors if actor.kind is not None]  # by track
    for time in times:
        shapes: list[Shape] = []
        figures = [*fixed]
        spots = np.array([actor.spot(time) for actor in actors])
        near = camera.sees(spots, margin=REACH)
        for actor, code, spot, wanted in zip(actors, codes, spots, near, strict=True):
            if wanted and (added := actor.shapes(time)):
                shapes += added
                code = code if actor.abnormal(time) else 0
                figures.append((camera.distance(spot), code, outlines(camera, added)))
        figures.sort(key=lambda figure: -figure[0])
        pieces = [(piece, code) for _, code, figure in figures for piece in figure]
        gain, strength = light(time)
        canvas = _shaded(still, still_shadow, camera, shapes, strength * variety.shade)
        for piece, _ in pieces:
            fill(canvas, piece.outline, piece.colour)
        mask, boxes = _truth(camera, pieces, kinds)
        yield PlazaFrame(_sense(canvas, gain, seed, rng, variety), mask, boxes)


def _shaded(still: Image, still_shadow: Image, camera: Camera, shapes: Sequence[Shape], strength: float) -> Image:
    """The empty plaza under soft shadows."""
    shadow = still_shadow.copy()
    fill_shadows(shadow, camera, shapes)
    keep = cv2.LUT(cv2.blur(shadow, (5, 5)), (255 - strength * np.arange(256)).astype(np.uint8))
    return np.asarray(cv2.multiply(still, cv2.merge([keep, keep, keep]), scale=1 / 255), np.uint8)


def _truth(camera: Camera, pieces: Sequence[Piece], kinds: Sequence[str]) -> tuple[NDArray[np.bool_], tuple[Box, ...]]:
    """What can be seen of the anomalies: ``pieces`` come the farthest first and hide one another."""
    width, height = camera.width // SUPERSAMPLING, camera.height // SUPERSAMPLING
    mask, codes = np.zeros((height, width), bool), np.zeros((camera.height, camera.width), np.uint8)
    present = sorted({code for _, code in pieces} - {0})
    for piece, code in pieces if present else ():
        fill(codes, piece.outline, (code,), smooth=False)
    boxes: list[Box] = []
    for code in present:
        seen = cv2.resize(cv2.inRange(codes, (code,), (code,)), (width, height), interpolation=cv2.INTER_AREA) > 127
        # an object of which less can be seen is not marked at all
        if np.count_nonzero(seen) >= max(4, round(20 * width * height / (320 * 240))):
            mask |= seen
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            ends = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
            boxes.append(Box(code - 1, kinds[code - 1], *ends))
    return mask, tuple(boxes)


def _sense(canvas: Image, gain: float, seed: int, rng: np.random.Generator, variety: Variety) -> Image:
    """Optics and sensor: to the frame's size, a slight blur, the light's gain, noise."""
    height, width = canvas.shape[0] // SUPERSAMPLING, canvas.shape[1] // SUPERSAMPLING
    image = cv2.GaussianBlur(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), (3, 3), 0.5)
    x, y = rng.integers(0, MARGIN, 2)
    noise = _noise_bank(width, height, seed, variety.noise)[y : y + height, x : x + width]
    return np.asarray(cv2.addWeighted(image, gain * variety.gain, noise, 1.0, variety.haze - 128.0), np.uint8)


@lru_cache(maxsize=2)
def _still_layers(camera: Camera, seed: int, variety: Variety) -> tuple[Image, Image]:
    """The empty plaza, and the shadows of what never moves."""
    shadow = np.zeros((camera.height, camera.width), np.uint8)
    for shapes in [benches(), *(shapes for _, shapes in props(camera))] if variety.props else []:
        fill_shadows(shadow, camera, shapes)
    return background(camera, seed, variety), shadow


@lru_cache(maxsize=2)
def _noise_bank(width: int, height: int, seed: int, deviation: float) -> Image:
    """Noise around 128, larger than the frame: every frame takes another part of it."""
    noise = np.random.default_rng([seed, 4]).normal(128, deviation, (height + MARGIN, width + MARGIN, 3))
    return np.clip(noise.round(), 0, 255).astype(np.uint8)
