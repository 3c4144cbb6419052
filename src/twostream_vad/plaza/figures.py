"""The plaza's people and things: looks, gaits and poses, and the solid shapes, in metres, that draw them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[float, float, float]  # RGB, 0 to 255
Triple = tuple[float, float, float]

SKIN: tuple[Colour, ...] = ((236, 196, 164), (214, 166, 130), (164, 112, 78), (112, 74, 52))
HAIR: tuple[Colour, ...] = ((38, 30, 28), (84, 56, 36), (150, 112, 66), (168, 166, 162), (64, 40, 32))
TOPS: tuple[Colour, ...] = (
    (178, 52, 48), (44, 84, 140), (232, 228, 218), (58, 64, 72), (206, 160, 62), (70, 118, 88),
    (126, 72, 116), (150, 178, 200), (96, 86, 76), (214, 120, 92),
)  # fmt: skip
BOTTOMS: tuple[Colour, ...] = ((40, 46, 62), (66, 82, 112), (52, 50, 50), (126, 108, 84), (92, 92, 96))
BAGS: tuple[Colour, ...] = ((122, 64, 34), (40, 44, 58), (146, 34, 44), (58, 92, 66))
SHOES: tuple[Colour, ...] = ((36, 32, 32), (232, 230, 226), (96, 62, 42))
RUBBER, STEEL, PLASTIC = (34.0, 34.0, 36.0), (170.0, 170.0, 172.0), (44.0, 42.0, 44.0)

WHEEL = 0.33  # metres, a bicycle's radius
NORMALS = np.array([[0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]], float)
# the faces of the cube from -0.5 to 0.5 in that order, (6, 4, 3); bits of a corner's number are its coordinates
CORNERS = np.array((np.arange(8)[:, None] >> [2, 1, 0] & 1) - 0.5, float)
CUBE = CORNERS[[[4, 0, 2, 6], [4, 6, 7, 5], [2, 0, 1, 3], [2, 3, 7, 6], [1, 0, 4, 5], [1, 5, 7, 3]]]
TO_SUN = np.array([-0.5, 0.1, 0.86])


class Shape(NamedTuple):
    """Two balls and all between them, or a flat surface, seen from where its corners run anticlockwise."""

    points: Points  # (2, 3) or (4, 3)
    colour: Colour
    radii: tuple[float, float] | None = None  # of the balls


class Place:
    """Body axes (forward, left, up) at a spot (2,) and a heading (2,) -> world axes (right, away, up)."""

    def __init__(self, spot: Points, heading: Points) -> None:
        (x, y), (dx, dy) = spot, heading
        self.origin = np.array([x, y, 0.0])
        self.axes = np.array([[dx, dy, 0.0], [-dy, dx, 0.0], [0.0, 0.0, 1.0]])

    def __call__(self, points: Points) -> Points:
        """(..., 3) -> (..., 3)."""
        placed: Points = points @ self.axes + self.origin
        return placed

    def tube(self, line: Sequence[Triple], radius: float, colour: Colour) -> list[Shape]:
        """A round tube along a line of corners."""
        return [Shape(np.array(ends), colour, (radius, radius)) for ends in pairwise(self(np.array(line)))]

    def box(self, centre: Triple, size: Triple, colour: Colour) -> list[Shape]:
        """A box along the axes, its faces lit by the sun."""
        daylight = 0.72 + 0.3 * np.maximum(0.0, NORMALS @ self.axes @ TO_SUN)
        faces = zip(self(CUBE * size + centre), daylight.tolist(), strict=True)
        return [Shape(face, shade(colour, light)) for face, light in faces]


def shade(colour: Colour, factor: float) -> Colour:
    """The colour under less or more light."""
    r, g, b = colour
    return min(255.0, r * factor), min(255.0, g * factor), min(255.0, b * factor)


def bag(bottom: Points, heading: Points, colour: Colour) -> list[Shape]:
    """A bag that stands or hangs with its ``bottom`` (3,) there."""
    place, z = Place(bottom[:2], heading), float(bottom[2])
    body = place.box((0.0, 0.0, z + 0.16), (0.5, 0.24, 0.32), colour)
    return body + place.box((0.0, 0.0, z + 0.345), (0.2, 0.06, 0.05), shade(colour, 0.6))


def bicycle(spot: Points, heading: Points, rolled: float, colour: Colour) -> list[Shape]:
    """A bicycle that has ``rolled`` so many metres: wheels with spokes, frame, handlebar, saddle."""
    place = Place(spot, heading)
    shapes: list[Shape] = []
    rear, crank, front = (-0.53, 0.0, 0.34), (0.0, 0.0, 0.34), (0.53, 0.0, 0.34)
    for x, y, z in (rear, front):
        turns = [(WHEEL * np.cos(angle), WHEEL * np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 15).tolist()]
        shapes += place.tube([(x + dx, y, z + dz) for dx, dz in turns], 0.03, RUBBER)
        for angle in (-rolled / WHEEL, -rolled / WHEEL + np.pi / 2):
            dx, dz = WHEEL * np.cos(angle), WHEEL * np.sin(angle)
            shapes += place.tube([(x - dx, y, z - dz), (x + dx, y, z + dz)], 0.008, STEEL)
    seat, stem, bar = (-0.2, 0.0, 0.86), (0.38, 0.0, 0.84), (0.42, 0.0, 1.04)
    for line in ((rear, crank, stem, seat, rear), (seat, crank), (front, stem, bar)):
        shapes += place.tube(line, 0.026, colour)
    shapes += place.tube([(0.42, 0.24, 1.05), (0.42, -0.24, 1.05)], 0.02, PLASTIC)
    return shapes + place.tube([(-0.32, 0.0, 0.9), (-0.1, 0.0, 0.9)], 0.05, PLASTIC)


def cart(spot: Points, heading: Points, colour: Colour) -> list[Shape]:
    """A delivery cart whose handle stands over ``spot``: a box on wheels, parcels on it."""
    place = Place(spot, heading)
    hubs = [(along, across, 0.13) for along in (0.5, 1.35) for across in (-0.38, 0.38)]
    shapes = [wheel for hub in hubs for wheel in place.tube([hub, hub], 0.13, PLASTIC)]
    shapes += place.box((0.95, 0.0, 0.55), (1.3, 0.85, 0.7), colour)
    shapes += place.box((0.75, 0.1, 1.1), (0.6, 0.5, 0.4), (178, 136, 88))
    shapes += place.box((1.3, -0.1, 1.03), (0.42, 0.5, 0.26), (198, 162, 112))
    handle = [(0.32, 0.3, 0.8), (0.05, 0.3, 1.0), (0.05, -0.3, 1.0), (0.32, -0.3, 0.8)]
    return shapes + place.tube(handle, 0.02, PLASTIC)


class Look(NamedTuple):
    """A person's height in metres and clothes."""

    height: float
    skin: Colour
    hair: Colour
    top: Colour
    bottom: Colour
    shoes: Colour
    bag: Colour
    short_sleeves: bool
    coat: bool


class Gait(NamedTuple):
    """How somebody moves: metres a cycle of two steps, then angles in radians."""

    stride: float
    swing: float
    knee: float
    elbow: float
    lean: float
    bounce: float = 0.0  # of the height: how far both feet leave the ground


WALK = Gait(stride=1.45, swing=0.44, knee=0.85, elbow=0.25, lean=0.03)
RUN = Gait(stride=2.5, swing=0.82, knee=1.6, elbow=1.5, lean=0.2, bounce=0.04)


def draw_look(rng: np.random.Generator) -> Look:
    """Somebody at random."""

    def pick(colours: tuple[Colour, ...]) -> Colour:
        r, g, b = np.clip(np.array(colours[rng.integers(len(colours))]) + rng.normal(0, 8, 3), 8, 246).tolist()
        return r, g, b

    coat = bool(rng.random() < 0.25)
    height = float(np.clip(rng.normal(1.73, 0.09), 1.5, 1.95))
    skin, hair, top, bottom, shoes, bag = map(pick, (SKIN, HAIR, TOPS, BOTTOMS, SHOES, BAGS))
    return Look(height, skin, hair, top, bottom, shoes, bag, not coat and bool(rng.random() < 0.5), coat)


# A pose is an array (8, 2, 3): hips, knees, ankles, toes, shoulders, elbows, hands, head; left and right
# (the head twice); in body axes (forward, left, up) over the spot on the ground.


def walking(height: float, gait: Gait, phase: float, *, stoop: float = 0.0, pushing: bool = False) -> Points:
    """The pose at ``phase`` (radians) of a gait; ``stoop`` 1 reaches for the ground, 0 is upright."""
    angle = phase + np.array([0.0, np.pi])  # left and right leg
    thigh = gait.swing * (1 - stoop) * np.sin(angle) + 0.9 * stoop
    # a leg bends while it comes forward
    shin = thigh - 0.12 - gait.knee * (1 - stoop) * np.maximum(0.0, np.cos(angle)) - 1.5 * stoop
    lean = gait.lean + 0.9 * stoop + (0.22 if pushing else 0.0)
    upper = -0.75 * thigh * (1 - stoop) + 0.7 * stoop
    fore = upper + gait.elbow
    if pushing:
        upper, fore = np.full(2, 1.0), np.full(2, 1.35)
    swung = np.stack([thigh, shin, 0.6 * shin + np.pi / 2, upper, fore])
    limbs = np.stack([np.sin(swung), 0 * swung, -np.cos(swung)], axis=2)  # unit vectors; at angle 0 they hang down
    pose = np.zeros((8, 2, 3))
    pose[0, :, 1] = 0.05, -0.05
    pose[1] = pose[0] + 0.245 * limbs[0]
    pose[2] = pose[1] + 0.245 * limbs[1]
    pose[3] = pose[2] + 0.12 * limbs[2]
    pose[4, :, 1] = 0.105, -0.105
    pose[4] += 0.29 * np.array([np.sin(lean), 0.0, np.cos(lean)])
    pose[5] = pose[4] + 0.165 * limbs[3]
    pose[6] = pose[5] + 0.155 * limbs[4]
    pose[7] = 0.425 * np.array([np.sin(0.8 * lean), 0.0, np.cos(0.8 * lean)])
    pose[:, :, 2] += 0.035 + gait.bounce * abs(np.sin(phase)) - pose[2:4, :, 2].min()
    return height * pose


def riding(height: float, phase: float) -> Points:
    """The pose on a bicycle; ``phase`` (radians) is the pedals'."""
    h, pedals = height, np.array([phase, phase + np.pi])
    pose = np.empty((8, 2, 3))
    sides = np.array([[1, 1, 1], [1, -1, 1]])
    pose[0], pose[4] = sides * [-0.22, 0.05 * h, 0.98], sides * [0.14, 0.1 * h, 0.98 + 0.25 * h]
    pose[6] = sides * [0.42, 0.22, 1.06]
    pose[2] = np.stack([0.17 * np.cos(pedals) - 0.02, [0.1, -0.1], 0.34 + 0.17 * np.sin(pedals)], axis=1)
    pose[1] = _bend(pose[0], pose[2], 0.25 * h, np.array([1.0, 0.0, 0.3]))
    pose[3] = pose[2] + np.array([0.16, 0.0, -0.03])
    pose[5] = _bend(pose[4], pose[6], 0.165 * h, np.array([-0.4, 0.0, -1.0]))
    pose[7] = 0.26, 0.0, 0.98 + 0.37 * h
    return pose


def _bend(start: Points, end: Points, limb: float, towards: Points) -> Points:
    """The joint between two limbs of equal length, bent ``towards`` a side; (2, 3) -> (2, 3)."""
    along = end - start
    reach = np.linalg.norm(along, axis=1, keepdims=True)
    side = towards - along * (along @ towards)[:, None] / reach**2
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    bent: Points = (start + end) / 2 + side * np.sqrt(np.maximum(0.0, limb**2 - (reach / 2) ** 2))
    return bent


def person(look: Look, pose: Points, spot: Points, heading: Points, *, carries: bool = False) -> list[Shape]:
    """Limbs, clothes and head of somebody at ``spot`` (2,) facing ``heading`` (2,), a unit vector."""
    h = look.height
    shapes: list[Shape] = []

    def limb(start: Points, end: Points, first: float, second: float, colour: Colour) -> None:
        shapes.append(Shape(np.array([start, end]), colour, (first * h, second * h)))

    hips, knees, ankles, toes, shoulders, elbows, hands, (head, _) = Place(spot, heading)(pose)
    for side, light in ((0, 1.0), (1, 0.86)):
        trousers, top = shade(look.bottom, light), shade(look.top, light)
        limb(ankles[side], toes[side], 0.032, 0.024, look.shoes)
        limb(knees[side], ankles[side], 0.036, 0.028, trousers)
        limb(hips[side], knees[side], 0.052, 0.038, trousers)
        limb(0.7 * shoulders[side] + 0.3 * shoulders[1 - side], hips[side], 0.062, 0.058, top)
        limb(shoulders[side], elbows[side], 0.034, 0.028, top)
        limb(elbows[side], hands[side], 0.027, 0.022, shade(look.skin, light) if look.short_sleeves else top)
        limb(hands[side], hands[side], 0.025, 0.025, look.skin)
        if look.coat:
            limb(hips[side], 0.35 * hips[side] + 0.65 * knees[side], 0.06, 0.068, top)
    ahead, up = h * np.append(heading, 0.0), np.array([0.0, 0.0, h])
    face, crown = head + 0.02 * ahead - 0.005 * up, head - 0.018 * ahead + 0.02 * up
    limb((shoulders[0] + shoulders[1]) / 2, head, 0.035, 0.035, look.skin)
    limb(face, face - 0.025 * up, 0.054, 0.044, look.skin)
    limb(crown, crown, 0.06, 0.06, look.hair)
    if carries:
        shapes += bag(hands[0] - np.array([0.0, 0.0, 0.42]), heading, look.bag)
        shapes.append(Shape(np.array([hands[0], hands[0] - [0.0, 0.0, 0.08]]), look.bag, (0.02, 0.02)))
    return shapes
