"""The plaza's camera: perspective, the still background, and drawing shapes with their shadows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .things import Capsule, Colour, Face, Points, Shape, bench

Image = NDArray[np.uint8]

LAWN = (1.8, 12.0, 8.6, 12.4)  # metres: left, right, near, far
WALL = 16.0  # metres from the plaza's near edge to the building
# a metre of height throws its shadow 0.55 m to the right and 0.22 m towards the camera
SHADOW = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.55, -0.22, 0.0]])
SUBPIXEL_BITS = 4
HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 6)

S = TypeVar("S", Capsule, Face)


@dataclass(frozen=True)
class Camera:
    """A pinhole before and above the plaza that looks ahead and down; the world is (right, away, up) in metres."""

    width: int
    height: int

    UP = 30.0  # metres above ground: high, so that a body hides little of the ground behind it
    BACK = 30.0  # metres before the plaza's near edge: far, so that near people look little larger than far ones
    PITCH = 0.66  # radians below the horizon

    @property
    def focal(self) -> float:
        """In pixels; a frame of any shape shows no more than 4:3 would."""
        return max(3.5 * self.width, 14 / 3 * self.height)

    @classmethod
    def distance(cls, spot: Points) -> float:
        """Metres along the ground from below the camera to a spot (2,)."""
        return float(np.hypot(spot[0], spot[1] + cls.BACK))

    def project(self, points: Points) -> tuple[Points, Points]:
        """World points (..., 3) -> pixels (..., 2) and their distances along the optical axis (...)."""
        right, away, up = points[..., 0], points[..., 1] + self.BACK, points[..., 2] - self.UP
        depth = np.maximum(0.3, away * np.cos(self.PITCH) - up * np.sin(self.PITCH))
        down = -away * np.sin(self.PITCH) - up * np.cos(self.PITCH)
        scale = self.focal / depth
        pixels = np.empty((*depth.shape, 2))
        pixels[..., 0], pixels[..., 1] = self.width / 2 + right * scale, self.height / 2 + down * scale
        return pixels, depth

    def rays(self) -> Points:
        """The direction of every pixel's ray in the world, (height, width, 3)."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        sin, cos = np.sin(self.PITCH), np.cos(self.PITCH)
        u, v = np.meshgrid(x, y)
        return np.stack([u, cos - v * sin, -sin - v * cos], axis=2)

    def sees(self, spots: Points, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which spots of the ground (..., 2) lie in the frame, or at most ``margin`` metres outside."""
        ground = np.concatenate([spots, np.zeros((*spots.shape[:-1], 1))], axis=-1)
        pixels, depth = self.project(ground)
        room = margin * (self.focal / depth)[..., None]
        inside = (pixels >= -room) & (pixels < np.array([self.width, self.height]) + room)
        return np.asarray(inside.all(axis=-1))


class Seen(NamedTuple):
    """A shape as the camera sees it: a convex polygon (n, 2) in fractions of a pixel."""

    outline: NDArray[np.int32]
    depth: float  # along the optical axis
    colour: Colour
    shape: int  # which of the shapes


def outlines(camera: Camera, shapes: Sequence[Shape]) -> list[Seen]:
    """What is seen of the shapes, each by itself, in no order; faces that look away are left out."""
    seen: list[Seen] = []
    rounds, capsules = _of(Capsule, shapes)
    if capsules:
        starts, ends = np.array([c.start for c in capsules]), np.array([c.end for c in capsules])
        polygons, depths = _capsules(camera, starts, ends, np.array([c.radii for c in capsules]))
        seen += [Seen(*row) for row in zip(polygons, depths, (c.colour for c in capsules), rounds, strict=True)]
    flats, faces = _of(Face, shapes)
    if faces:
        corners = np.array([face.corners for face in faces])
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        towards = ((np.array([0.0, -camera.BACK, camera.UP]) - corners[:, 0]) * normals).sum(axis=1) > 0
        pixels, distances = camera.project(corners)
        polygons, depths = _fixed_point(pixels), distances.mean(axis=1).tolist()
        colours = [face.colour for face in faces]
        rows = zip(polygons, depths, colours, flats, towards, strict=True)
        seen += [Seen(*row) for *row, visible in rows if visible]
    return seen


def shadow_outlines(camera: Camera, shapes: Sequence[Shape]) -> list[NDArray[np.int32]]:
    """What the shapes shade on the ground, as polygons."""
    polygons: list[NDArray[np.int32]] = []
    _, capsules = _of(Capsule, shapes)
    if capsules:
        starts = _on_ground(np.array([c.start for c in capsules]))
        ends = _on_ground(np.array([c.end for c in capsules]))
        polygons += list(_capsules(camera, starts, ends, np.array([c.radii for c in capsules]))[0])
    _, faces = _of(Face, shapes)
    if faces:
        polygons += list(_fixed_point(camera.project(_on_ground(np.array([f.corners for f in faces])))[0]))
    return polygons


def fill(canvas: Image, polygon: NDArray[np.int32], colour: Sequence[float], *, smooth: bool = True) -> None:
    """Draw one convex polygon on (H, W) or (H, W, 3)."""
    cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_AA if smooth else cv2.LINE_8, SUBPIXEL_BITS)


def props() -> list[tuple[float, list[Shape]]]:
    """What stands on the plaza and can hide people, and how far from the camera: a lamp post, a tree."""
    iron = (58, 62, 66)
    foot, top = np.array([-5.4, 12.3, 0.0]), np.array([-5.4, 12.3, 4.0])
    lamp: list[Shape] = [
        Capsule(foot, foot + np.array([0, 0, 0.5]), (0.13, 0.09), iron),
        Capsule(foot, top, (0.06, 0.05), iron),
        Capsule(top, top + np.array([0, 0, 0.3]), (0.16, 0.2), (236, 226, 196)),
    ]
    trunk = np.array([5.0, 11.9, 0.0])
    tree: list[Shape] = [Capsule(trunk, trunk + np.array([0.1, 0, 2.6]), (0.16, 0.11), (92, 70, 52))]
    rng = np.random.default_rng(7)
    for _ in range(26):
        leaf = trunk + np.array([0.1, 0.0, 3.5]) + rng.normal(0, 1, 3) * [0.6, 0.5, 0.45]
        light = 0.8 + 0.12 * (leaf[2] - 3.5) - 0.12 * (leaf[0] - trunk[0]) + rng.normal(0, 0.06)
        radius = float(rng.uniform(0.3, 0.5))
        tree.append(Capsule(leaf, leaf, (radius, radius), (86 * light, 128 * light, 62 * light)))
    return [(Camera.distance(foot), lamp), (Camera.distance(trunk), tree)]


def benches() -> list[Shape]:
    """Benches along the wall: part of the background, for nobody walks behind them."""
    return [shape for x in (-6.9, -1.6, 1.7) for shape in bench(x, WALL - 0.5)]


def background(camera: Camera, seed: int) -> Image:
    """The empty plaza in full light, (height, width, 3) RGB."""
    rng = np.random.default_rng([seed, 3])
    fine = Camera(2 * camera.width, 2 * camera.height)
    rays = fine.rays()
    ground_reach = np.where(rays[..., 2] < -1e-6, -fine.UP / np.minimum(rays[..., 2], -1e-6), np.inf)
    wall_reach = (WALL + fine.BACK) / rays[..., 1]
    on_wall = ground_reach > wall_reach
    reach = np.minimum(ground_reach, wall_reach)
    right, away, up = (rays[..., 0] * reach, rays[..., 1] * reach - fine.BACK, rays[..., 2] * reach + fine.UP)
    colours = np.where(on_wall[..., None], _wall(right, up, rng), _ground(right, away, rng))
    image = np.clip(colours, 0, 255).astype(np.uint8)
    for seen in sorted(outlines(fine, benches()), key=lambda seen: -seen.depth):
        fill(image, seen.outline, seen.colour)
    return np.asarray(cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.uint8)


def _ground(x: Points, y: Points, rng: np.random.Generator) -> Points:
    """Paving, a lawn with a kerb and a flower bed; (H, W) metres -> (H, W, 3)."""
    tones = rng.normal(0, 1, (61, 61))
    i, j = np.floor(x / 0.8 + 0.5 * (np.floor(y / 0.8) % 2)), np.floor(y / 0.8)
    joint = np.minimum(_to_edge(x / 0.8 + 0.5 * (j % 2)), _to_edge(y / 0.8)) < 0.025
    tone = 1 + 0.035 * _pick(tones, i, j) + 0.02 * _pick(tones, x * 25, y * 25) - 0.16 * joint
    tone *= 1 + 0.03 * _clouded(tones, x, y) - 0.2 * np.exp(-(WALL - y) / 0.35)  # dirt along the wall
    band = ((y > 7.95) & (y < 8.25)) | ((y > 12.7) & (y < 13.0))
    paving = np.where(band[..., None], np.array([150, 134, 122]), np.array([176, 168, 156])) * tone[..., None]
    left, right, near, far = LAWN
    blade = 1 + 0.09 * _pick(tones, x * 16, y * 12) + 0.07 * _clouded(tones, x, y) + 0.04 * np.sign(np.sin(x * 3.1))
    grass = np.array([98, 132, 66]) * blade[..., None]
    bed = (y > near + 0.25) & (y < near + 0.75)
    pick = _pick(tones, x * 9 + 5, y * 9)[..., None]
    flowers = np.where(pick > 1.1, [206, 70, 92], np.where(pick < -1.1, [236, 206, 92], np.array([70, 104, 54])))
    grass = np.where(bed[..., None], flowers * (0.9 + 0.1 * blade[..., None]), grass)
    inside = np.minimum(np.minimum(x - left, right - x), np.minimum(y - near, far - y))
    kerbed = np.where((inside < 0.16)[..., None], np.array([200, 194, 184]) * tone[..., None], grass)
    return np.where((inside > 0)[..., None], kerbed, paving)


def _wall(x: Points, z: Points, rng: np.random.Generator) -> Points:
    """A brick front with shop windows and doors; (H, W) metres -> (H, W, 3)."""
    tones = rng.normal(0, 1, (61, 61))
    row = np.floor(z / 0.12)
    column = x / 0.3 + 0.5 * (row % 2)
    brick = 1 + 0.07 * _pick(tones, np.floor(column), row) - 0.1 * (_to_edge(z / 0.12) < 0.09)
    wall = np.array([158, 104, 84]) * brick[..., None]
    wall = np.where(
        (z < 0.5)[..., None],
        np.array([136, 130, 124]) * (1 + 0.02 * _pick(tones, x * 9, z * 9))[..., None],
        wall,
    )
    bay, inside = np.floor(x / 3.2), x / 3.2 - np.floor(x / 3.2)
    door = bay % 3 == 1
    half = np.where(door, 0.18, 0.36)
    opening = (abs(inside - 0.5) < half) & (z > np.where(door, 0.0, 0.75)) & (z < 2.6)
    frame = opening & ((abs(inside - 0.5) > half - 0.02) | (z > 2.52) | (_to_edge(inside * 4) < 0.03))
    sky = np.clip(0.25 + 0.2 * z + 0.12 * np.sin(3 * x + z), 0, 1)[..., None]
    glass = np.array([46, 58, 70]) * (1 - sky) + np.array([132, 152, 168]) * sky
    wall = np.where(opening[..., None], np.where(door[..., None], np.array([70, 50, 40]), glass), wall)
    wall = np.where(frame[..., None], np.array([222, 216, 204]), wall)
    awning = (z > 2.65) & (z < 3.15) & (abs(inside - 0.5) < 0.44)
    stripe = np.where((np.floor(x / 0.27) % 2 == 0)[..., None], np.array([62, 96, 92]), np.array([220, 214, 200]))
    return np.where(awning[..., None], stripe, wall)


def _pick(table: Points, i: Points, j: Points) -> Points:
    picked: Points = table[np.floor(i).astype(int) % len(table), np.floor(j).astype(int) % len(table)]
    return picked


def _clouded(table: Points, x: Points, y: Points) -> Points:
    """Smooth spots of about a metre, without a seam where the table begins again."""
    size = len(table)
    grown = np.asarray(cv2.GaussianBlur(np.tile(table, (3, 3)), (0, 0), 2), float)[size:-size, size:-size]
    return _pick(grown / grown.std(), x * 4, y * 4)


def _to_edge(x: Points) -> Points:
    """The distance to the nearest whole number."""
    return np.abs(x - np.round(x))


def _of(kind: type[S], shapes: Sequence[Shape]) -> tuple[list[int], list[S]]:
    """The shapes of one kind, and which they are."""
    found = [(index, shape) for index, shape in enumerate(shapes) if isinstance(shape, kind)]
    return [index for index, _ in found], [shape for _, shape in found]


def _on_ground(points: Points) -> Points:
    """(..., 3) -> the same points' shadows."""
    shadows: Points = points @ SHADOW
    return shadows


def _fixed_point(pixels: Points) -> NDArray[np.int32]:
    # cv2 counts from pixel centres; the clip keeps what is far outside the frame from overflowing
    return np.asarray(np.rint(np.clip((pixels - 0.5) * 2**SUBPIXEL_BITS, -(2**20), 2**20)), np.int32)


def _capsules(camera: Camera, starts: Points, ends: Points, radii: Points) -> tuple[NDArray[np.int32], list[float]]:
    """Ends (n, 3), radii (n, 2) -> polygons (n, 12, 2) and depths (n,), for all at once."""
    pixels, depths = camera.project(np.stack([starts, ends], axis=1))  # (n, 2, 2), (n, 2)
    scaled = radii * camera.focal / depths
    along = pixels[:, 1] - pixels[:, 0]
    turn = np.arctan2(along[:, 1], along[:, 0])[:, None] + HALF_TURN  # (n, 6)
    arc = np.stack([np.cos(turn), np.sin(turn)], axis=2)  # round the second end; the first has its reflection
    second = pixels[:, 1, None] + scaled[:, 1, None, None] * arc
    first = pixels[:, 0, None] - scaled[:, 0, None, None] * arc
    return _fixed_point(np.concatenate([second, first], axis=1)), depths.mean(axis=1).tolist()
