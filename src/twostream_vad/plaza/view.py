"""The plaza's camera: perspective, drawing shapes and their shadows, and the still background."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .figures import PLASTIC, Colour, Place, Points, Shape, Triple
from .variety import PLAIN, Pose, Variety

Image = NDArray[np.uint8]

LAWN = (1.8, 12.0, 8.6, 12.4)  # metres: left, right, near, far
WALL = 16.0  # metres from the plaza's near edge to the building
# a metre of height throws its shadow 0.55 m to the right and 0.22 m towards the camera
SHADOW = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.55, -0.22, 0.0]])
SUBPIXEL_BITS = 4
FARTHEST = 1e6  # metres, where a ray meets nothing
NEAREST = 0.3  # metres before the camera: what is nearer, or behind it, is drawn there
HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 6)


@dataclass(frozen=True)
class Camera:
    """A pinhole before and above the plaza that looks ahead and down; the world is (right, away, up) in metres."""

    width: int
    height: int
    pose: Pose = PLAIN.pose

    @property
    def focal(self) -> float:
        """In pixels; a frame of any shape shows no more than 4:3 would."""
        return self.pose.zoom * max(3.5 * self.width, 14 / 3 * self.height)

    def distance(self, spot: Points) -> float:
        """Metres along the ground from below the camera to a spot (2,)."""
        return float(np.hypot(spot[0] - self.pose.right, spot[1] + self.pose.back))

    def project(self, points: Points) -> tuple[Points, Points]:
        """World points (..., 3) -> pixels (..., 2) and their distances along the optical axis (...)."""
        pose = self.pose
        x, y, up = points[..., 0] - pose.right, points[..., 1] + pose.back, points[..., 2] - pose.up
        right, away = x * np.cos(pose.turn) - y * np.sin(pose.turn), x * np.sin(pose.turn) + y * np.cos(pose.turn)
        depth = np.maximum(NEAREST, away * np.cos(pose.pitch) - up * np.sin(pose.pitch))
        down = -away * np.sin(pose.pitch) - up * np.cos(pose.pitch)
        scale = self.focal / depth
        return np.stack([self.width / 2 + right * scale, self.height / 2 + down * scale], axis=-1), depth

    def rays(self) -> Points:
        """The direction of every pixel's ray in the world, (height, width, 3)."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        (sin, cos), turn = (np.sin(self.pose.pitch), np.cos(self.pose.pitch)), self.pose.turn
        u, v = np.meshgrid(x, y)
        ahead = cos - v * sin
        across, away = u * np.cos(turn) + ahead * np.sin(turn), ahead * np.cos(turn) - u * np.sin(turn)
        return np.stack([across, away, -sin - v * cos], axis=2)

    def sees(self, spots: Points, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which spots of the ground (n, 2) lie in the frame, or at most ``margin`` metres outside."""
        pixels, depth = self.project(np.column_stack([spots, np.zeros(len(spots))]))
        room = margin * (self.focal / depth)[:, None]
        inside = (pixels >= -room) & (pixels < np.array([self.width, self.height]) + room)
        return np.asarray(inside.all(axis=-1) & (depth > NEAREST))


class Seen(NamedTuple):
    """A shape as the camera sees it: a convex polygon (n, 2) in fractions of a pixel."""

    outline: NDArray[np.int32]
    colour: Colour
    depth: float  # along the optical axis


def outlines(camera: Camera, shapes: Sequence[Shape], *, shadow: bool = False) -> list[Seen]:
    """What is seen of the shapes, or of their shadows on the ground, each by itself, the farthest first.

    Faces that look away are left out; they throw shadows all the same.
    """
    seen: list[Seen] = []
    for flat in (False, True):
        chosen = [shape for shape in shapes if (shape.radii is None) is flat]
        if not chosen:
            continue
        points = np.array([shape.points for shape in chosen])
        corners, depths = camera.project(points @ SHADOW if shadow else points)
        shown = np.ones(len(chosen), bool)
        if not flat:
            corners = _hulls(corners, np.array([shape.radii for shape in chosen]) * camera.focal / depths)
        elif not shadow:
            shown = np.linalg.det(corners[:, 1:3] - corners[:, :1]) < 0  # clockwise, for pixels count downwards
        # cv2 counts from pixel centres; the clip keeps what is far outside the frame from overflowing
        polygons = np.rint(np.clip((corners - 0.5) * 2**SUBPIXEL_BITS, -(2**20), 2**20)).astype(np.int32)
        rows = zip(polygons, (shape.colour for shape in chosen), depths.mean(axis=1).tolist(), strict=True)
        seen += [Seen(*row) for row, show in zip(rows, shown, strict=True) if show]
    return sorted(seen, key=lambda seen: -seen.depth)


def _hulls(ends: Points, radii: Points) -> Points:
    """Circles around ends (n, 2, 2) of radii (n, 2), and what lies between them -> polygons (n, 12, 2)."""
    along = ends[:, 1] - ends[:, 0]
    turn = np.arctan2(along[:, 1], along[:, 0])[:, None] + HALF_TURN  # (n, 6)
    arc = np.stack([np.cos(turn), np.sin(turn)], axis=2)  # round the second end; the first has its reflection
    second = ends[:, 1, None] + radii[:, 1, None, None] * arc
    first = ends[:, 0, None] - radii[:, 0, None, None] * arc
    return np.concatenate([second, first], axis=1)


def fill(canvas: Image, polygon: NDArray[np.int32], colour: Sequence[float], *, smooth: bool = True) -> None:
    """Draw one convex polygon on (H, W) or (H, W, 3)."""
    cv2.fillConvexPoly(canvas, polygon, colour, cv2.LINE_AA if smooth else cv2.LINE_8, SUBPIXEL_BITS)


def fill_shadows(canvas: Image, camera: Camera, shapes: Sequence[Shape]) -> None:
    """Draw what the shapes shade on the ground, 255 on (H, W)."""
    for seen in outlines(camera, shapes, shadow=True):
        fill(canvas, seen.outline, (255,), smooth=False)


def props(camera: Camera) -> list[tuple[float, list[Shape]]]:
    """What stands on the plaza and can hide people, and how far from the camera: a lamp post, a tree."""
    iron = (58.0, 62.0, 66.0)
    foot, knob, top, globe = (np.array([-5.4, 12.3, up]) for up in (0.0, 0.5, 4.0, 4.3))
    lamp = [
        Shape(np.array([foot, knob]), iron, (0.13, 0.09)),
        Shape(np.array([foot, top]), iron, (0.06, 0.05)),
        Shape(np.array([top, globe]), (236, 226, 196), (0.16, 0.2)),
    ]
    trunk = np.array([5.0, 11.9, 0.0])
    tree = [Shape(np.array([trunk, trunk + np.array([0.1, 0, 2.6])]), (92, 70, 52), (0.16, 0.11))]
    rng = np.random.default_rng(7)
    for _ in range(26):
        leaf = trunk + np.array([0.1, 0.0, 3.5]) + rng.normal(0, 1, 3) * [0.6, 0.5, 0.45]
        light = 0.8 + 0.12 * (leaf[2] - 3.5) - 0.12 * (leaf[0] - trunk[0]) + rng.normal(0, 0.06)
        radius = float(rng.uniform(0.3, 0.5))
        tree.append(Shape(np.array([leaf, leaf]), (86 * light, 128 * light, 62 * light), (radius, radius)))
    return [(camera.distance(foot), lamp), (camera.distance(trunk), tree)]


def benches() -> list[Shape]:
    """Benches along the wall: part of the background, for nobody walks behind them."""
    shapes: list[Shape] = []
    for x in (-6.9, -1.6, 1.7):
        place = Place(np.array([x, WALL - 0.5]), np.array([1.0, 0.0]))  # they face the camera
        shapes += place.box((0.0, 0.25, 0.65), (1.7, 0.06, 0.35), (134, 92, 58))
        for side in (-0.7, 0.7):
            shapes += place.box((side, 0.0, 0.2), (0.08, 0.4, 0.4), PLASTIC)
        shapes += place.box((0.0, 0.0, 0.42), (1.7, 0.45, 0.07), (158, 112, 70))
    return shapes


def background(camera: Camera, seed: int, variety: Variety) -> Image:
    """The empty plaza in full light, (height, width, 3) RGB."""
    rng = np.random.default_rng([seed, 3])
    fine, pose = replace(camera, width=2 * camera.width, height=2 * camera.height), camera.pose
    rays = fine.rays()
    ground_reach = np.where(rays[..., 2] < -1e-6, -pose.up / np.minimum(rays[..., 2], -1e-6), FARTHEST)
    wall_reach = np.where(rays[..., 1] > 1e-6, (WALL + pose.back) / np.maximum(rays[..., 1], 1e-6), FARTHEST)
    on_wall = ground_reach > wall_reach
    reach = np.minimum(ground_reach, wall_reach)
    right, away = rays[..., 0] * reach + pose.right, rays[..., 1] * reach - pose.back
    wall = _wall(right, rays[..., 2] * reach + pose.up, rng) * variety.wall
    colours = np.where(on_wall[..., None], wall, _ground(right, away, rng, variety))
    image = np.clip(colours, 0, 255).astype(np.uint8)
    for seen in outlines(fine, benches() if variety.props else []):
        fill(image, seen.outline, seen.colour)
    return np.asarray(cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.uint8)


def _over(base: Points | Triple, place: NDArray[np.bool_], colour: Points | Triple) -> Points:
    """The ``colour``, (3,) or (H, W, 3), at a ``place`` (H, W) and elsewhere the ``base``."""
    return np.where(place[..., None], colour, base)


def _ground(x: Points, y: Points, rng: np.random.Generator, variety: Variety) -> Points:
    """Paving, a lawn with a kerb and a flower bed; (H, W) metres -> (H, W, 3)."""
    tones = rng.normal(0, 1, (61, 61))
    j = np.floor(y / variety.tile)
    column = x / variety.tile + 0.5 * (j % 2)
    joint = np.minimum(_to_edge(column), _to_edge(y / variety.tile)) < 0.025
    tone = 1 + 0.035 * _pick(tones, column, j) + 0.02 * _pick(tones, x * 25, y * 25) - 0.16 * joint
    tone *= 1 + 0.03 * _clouded(tones, x, y) - 0.2 * np.exp(-(WALL - y) / 0.35)  # dirt along the wall
    band = ((y > 7.95) & (y < 8.25)) | ((y > 12.7) & (y < 13.0))
    paving = _over((176, 168, 156), band, (150, 134, 122)) * tone[..., None]
    left, right, near, far = LAWN
    blade = 1 + 0.09 * _pick(tones, x * 16, y * 12) + 0.07 * _clouded(tones, x, y) + 0.04 * np.sign(np.sin(x * 3.1))
    grass = np.array([98, 132, 66]) * blade[..., None]
    bed = (y > near + 0.25) & (y < near + 0.75)
    pick = _pick(tones, x * 9 + 5, y * 9)
    flowers = _over(_over((70, 104, 54), pick < -1.1, (236, 206, 92)), pick > 1.1, (206, 70, 92))
    grass = _over(grass, bed, flowers * (0.9 + 0.1 * blade[..., None]))
    inside = np.minimum(np.minimum(x - left, right - x), np.minimum(y - near, far - y))
    kerbed = _over(grass, inside < 0.16, np.array([200, 194, 184]) * tone[..., None])
    ground = _over(paving, (inside > 0) & variety.lawn, kerbed)
    for _ in range(variety.patches):
        (left, near), (wide, deep), turn = rng.uniform((-8, -2), (8, 14)), rng.uniform(0.3, 4, 2), rng.uniform(0, np.pi)
        along, across = (x - left) * np.cos(turn) + (y - near) * np.sin(turn), (y - near) * np.cos(turn)
        across = across - (x - left) * np.sin(turn)
        patch = rng.uniform(50, 210) * rng.uniform(0.85, 1.15, 3) * tone[..., None]
        ground = _over(ground, (abs(along) < wide) & (abs(across) < deep), patch)
    return ground * variety.ground


def _wall(x: Points, z: Points, rng: np.random.Generator) -> Points:
    """A brick front with shop windows and doors; (H, W) metres -> (H, W, 3)."""
    tones = rng.normal(0, 1, (61, 61))
    row = np.floor(z / 0.12)
    brick = 1 + 0.07 * _pick(tones, x / 0.3 + 0.5 * (row % 2), row) - 0.1 * (_to_edge(z / 0.12) < 0.09)
    base = np.array([136, 130, 124]) * (1 + 0.02 * _pick(tones, x * 9, z * 9))[..., None]
    wall = _over(np.array([158, 104, 84]) * brick[..., None], z < 0.5, base)
    bay, inside = np.floor(x / 3.2), x / 3.2 - np.floor(x / 3.2)
    door = bay % 3 == 1
    half = np.where(door, 0.18, 0.36)
    opening = (abs(inside - 0.5) < half) & (z > np.where(door, 0.0, 0.75)) & (z < 2.6)
    frame = opening & ((abs(inside - 0.5) > half - 0.02) | (z > 2.52) | (_to_edge(inside * 4) < 0.03))
    sky = np.clip(0.25 + 0.2 * z + 0.12 * np.sin(3 * x + z), 0, 1)[..., None]
    glass = np.array([46, 58, 70]) * (1 - sky) + np.array([132, 152, 168]) * sky
    wall = _over(_over(wall, opening, _over(glass, door, (70, 50, 40))), frame, (222, 216, 204))
    awning = (z > 2.65) & (z < 3.15) & (abs(inside - 0.5) < 0.44)
    return _over(wall, awning, _over((220, 214, 200), np.floor(x / 0.27) % 2 == 0, (62, 96, 92)))


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
