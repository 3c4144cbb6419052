"""Draws one video of the plaza: background, shadows, actors, sensor, and the truth about each frame."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .scene import Actor, Light
from .things import Colour, Shape
from .view import Camera, Image, background, benches, fill, outlines, props, shadow_outlines

SUPERSAMPLING = 2
NOISE = 1.5  # standard deviation of the sensor's noise, of 255
REACH = 2.2  # metres that an actor and its shadow extend from its spot, at most
MARGIN = 64  # pixels by which the noise bank is larger than the frame


@dataclass(frozen=True, slots=True)
class Box:
    """An anomalous object in one frame: its visible pixels, both ends included."""

    track: int
    kind: str
    x_min: int
    y_min: int
    x_max: int
    y_max: int


@dataclass(frozen=True, slots=True)
class PlazaFrame:
    """One frame; it is anomalous where ``mask`` has any pixel, and then it has a box."""

    image: Image  # (H, W, 3) RGB
    mask: NDArray[np.bool_]  # (H, W)
    boxes: tuple[Box, ...]


class _Piece(NamedTuple):
    """One polygon to draw: the farthest actor's farthest first; ``code`` is its anomaly's track + 1, or 0."""

    order: tuple[float, float]
    outline: NDArray[np.int32]
    colour: Colour
    code: int


class Renderer:
    """The still layers, the actors and the light of one video.

    Args:
        size: width and height of the frames.
        seed: the plaza's own, for what all its videos share.
        rng: the video's, for its noise.
    """

    def __init__(
        self,
        size: tuple[int, int],
        actors: Sequence[Actor],
        light: Light,
        seed: int,
        rng: np.random.Generator,
    ) -> None:
        self.width, self.height = size
        self.light, self.actors, self.rng = light, actors, rng
        self.camera = Camera(SUPERSAMPLING * self.width, SUPERSAMPLING * self.height)
        self.still, self.still_shadow = _still_layers(self.camera, seed)
        self.noise = _noise_bank(self.width, self.height, seed)
        self.props = [piece for away, shapes in props() for piece in self._pieces(shapes, [(away, 0)] * len(shapes))]
        self.kinds = [actor.kind for actor in actors if actor.kind is not None]  # by track
        tracks = itertools.count(1)
        self.codes = [0 if actor.kind is None else next(tracks) for actor in actors]

    def frame(self, time: float) -> PlazaFrame:
        """What the camera gives at ``time`` seconds; the noise depends on the order of the calls."""
        shapes: list[Shape] = []
        owners: list[tuple[float, int]] = []
        spots = np.array([actor.spot(time) for actor in self.actors])
        near = self.camera.sees(spots, margin=REACH)
        for actor, code, spot, wanted in zip(self.actors, self.codes, spots, near, strict=True):
            if wanted:
                added = actor.shapes(time)
                shapes += added
                owners += [(Camera.distance(spot), code if actor.abnormal(time) else 0)] * len(added)
        gain, strength = self.light.at(time)
        canvas = self._ground(shapes, strength)
        pieces = sorted([*self.props, *self._pieces(shapes, owners)], key=lambda piece: piece.order)
        for piece in pieces:
            fill(canvas, piece.outline, piece.colour)
        mask, boxes = self._truth(pieces)
        return PlazaFrame(self._sense(canvas, gain), mask, boxes)

    def _pieces(self, shapes: Sequence[Shape], owners: Sequence[tuple[float, int]]) -> list[_Piece]:
        """The shapes' polygons; ``owners`` gives each shape's actor: its distance, and its code."""
        pieces: list[_Piece] = []
        for outline, depth, colour, index in outlines(self.camera, shapes):
            distance, code = owners[index]
            pieces.append(_Piece((-distance, -depth), outline, colour, code))
        return pieces

    def _ground(self, shapes: Sequence[Shape], strength: float) -> Image:
        """The empty plaza under soft shadows."""
        shadow = self.still_shadow.copy()
        for polygon in shadow_outlines(self.camera, shapes):
            fill(shadow, polygon, (255,), smooth=False)
        soft = cv2.blur(shadow, (5, 5))
        keep = cv2.LUT(soft, (255 - strength * np.arange(256)).astype(np.uint8))
        return np.asarray(cv2.multiply(self.still, cv2.merge([keep, keep, keep]), scale=1 / 255), np.uint8)

    def _truth(self, pieces: Sequence[_Piece]) -> tuple[NDArray[np.bool_], tuple[Box, ...]]:
        """What can be seen of the anomalies: ``pieces`` come the farthest first and hide one another."""
        mask = np.zeros((self.height, self.width), bool)
        present = sorted({piece.code for piece in pieces} - {0})
        if not present:
            return mask, ()
        codes = np.zeros((self.camera.height, self.camera.width), np.uint8)
        for piece in pieces:
            fill(codes, piece.outline, (piece.code,), smooth=False)
        boxes: list[Box] = []
        for code in present:
            full = cv2.inRange(codes, (code,), (code,))
            seen = cv2.resize(full, (self.width, self.height), interpolation=cv2.INTER_AREA) > 127
            if np.count_nonzero(seen) < self._least_pixels():
                continue
            mask |= seen
            rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
            ends = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
            boxes.append(Box(code - 1, self.kinds[code - 1], *ends))
        return mask, tuple(boxes)

    def _least_pixels(self) -> int:
        """An object of which less can be seen (20 pixels at 320 x 240) is not marked at all."""
        return max(4, round(20 * self.width * self.height / (320 * 240)))

    def _sense(self, canvas: Image, gain: float) -> Image:
        """Optics and sensor: to the frame's size, a slight blur, the light's gain, noise."""
        image = cv2.resize(canvas, (self.width, self.height), interpolation=cv2.INTER_AREA)
        image = cv2.GaussianBlur(image, (3, 3), 0.5)
        x, y = self.rng.integers(0, MARGIN, 2)
        noise = self.noise[y : y + self.height, x : x + self.width]
        return np.asarray(cv2.addWeighted(image, gain, noise, 1.0, -128.0), np.uint8)


@lru_cache(maxsize=2)
def _still_layers(camera: Camera, seed: int) -> tuple[Image, Image]:
    """The empty plaza, and the shadows of what never moves."""
    shadow = np.zeros((camera.height, camera.width), np.uint8)
    for shapes in [benches(), *(shapes for _, shapes in props())]:
        for polygon in shadow_outlines(camera, shapes):
            fill(shadow, polygon, (255,), smooth=False)
    return background(camera, seed), shadow


@lru_cache(maxsize=2)
def _noise_bank(width: int, height: int, seed: int) -> Image:
    """Noise around 128, larger than the frame: every frame takes another part of it."""
    noise = np.random.default_rng([seed, 4]).normal(128, NOISE, (height + MARGIN, width + MARGIN, 3))
    return np.clip(noise.round(), 0, 255).astype(np.uint8)
