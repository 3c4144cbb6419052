"""Solid shapes in metres, and the plaza's things made of them: a bag, a bicycle, a cart, a bench."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Colour = tuple[float, float, float]  # RGB, 0 to 255
Triple = tuple[float, float, float]

WHEEL = 0.33  # metres, a bicycle's radius
AXLES = (-0.53, 0.53)
RUBBER, STEEL, PLASTIC = (34.0, 34.0, 36.0), (170.0, 170.0, 172.0), (44.0, 42.0, 44.0)

NORMALS = np.array([[0, 0, -1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]], float)
TO_SUN = np.array([-0.5, 0.1, 0.86])


class Capsule(NamedTuple):
    """Two balls and all between them."""

    start: Points  # (3,)
    end: Points  # (3,)
    radii: tuple[float, float]
    colour: Colour


class Face(NamedTuple):
    """A flat four-cornered surface, seen from the side on which its corners run anticlockwise."""

    corners: Points  # (4, 3)
    colour: Colour


Shape = Capsule | Face


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


def shade(colour: Colour, factor: float) -> Colour:
    """The colour under less or more light."""
    r, g, b = colour
    return min(255.0, r * factor), min(255.0, g * factor), min(255.0, b * factor)


def carried_bag(hand: Points, heading: Points, colour: Colour) -> list[Shape]:
    """A bag that hangs from a hand (3,)."""
    strap = Capsule(hand, hand - np.array([0.0, 0.0, 0.08]), (0.02, 0.02), colour)
    return [*_bag_body(hand - np.array([0.0, 0.0, 0.42]), heading, colour), strap]


def bag_on_ground(spot: Points, heading: Points, colour: Colour) -> list[Shape]:
    """The same bag, standing on the ground."""
    return _bag_body(np.append(spot, 0.0), heading, colour)


def bicycle(spot: Points, heading: Points, rolled: float, colour: Colour) -> list[Shape]:
    """A bicycle that has ``rolled`` so many metres: wheels with spokes, frame, handlebar, saddle."""
    place = Place(spot, heading)

    def tube(start: Triple, end: Triple, radius: float, paint: Colour) -> Capsule:
        return Capsule(place(np.array(start)), place(np.array(end)), (radius, radius), paint)

    shapes: list[Shape] = []
    angles = np.linspace(0, 2 * np.pi, 15)
    for axle in AXLES:
        circle = [axle + WHEEL * np.cos(angles), 0 * angles, 0.34 + WHEEL * np.sin(angles)]
        shapes += [Capsule(a, b, (0.03, 0.03), RUBBER) for a, b in pairwise(place(np.stack(circle, axis=1)))]
        for angle in (-rolled / WHEEL, -rolled / WHEEL + np.pi / 2):
            across, up = WHEEL * np.cos(angle), WHEEL * np.sin(angle)
            spoke = tube((axle - across, 0, 0.34 - up), (axle + across, 0, 0.34 + up), 0.008, STEEL)
            shapes.append(spoke)
    rear, crank, seat = (AXLES[0], 0.0, 0.34), (0.0, 0.0, 0.34), (-0.2, 0.0, 0.86)
    front, stem, bar = (AXLES[1], 0.0, 0.34), (0.38, 0.0, 0.84), (0.42, 0.0, 1.04)
    triangles = (rear, crank, stem, seat, rear), (seat, crank), (front, stem, bar)
    shapes += [tube(a, b, 0.026, colour) for line in triangles for a, b in pairwise(line)]
    shapes.append(tube((0.42, 0.24, 1.05), (0.42, -0.24, 1.05), 0.02, PLASTIC))
    shapes.append(tube((-0.32, 0.0, 0.9), (-0.1, 0.0, 0.9), 0.05, PLASTIC))
    return shapes


def cart(spot: Points, heading: Points, colour: Colour) -> list[Shape]:
    """A delivery cart whose handle stands over ``spot``: a box on wheels, parcels on it."""
    place = Place(spot, heading)
    shapes: list[Shape] = []
    for along in (0.5, 1.35):
        for across in (-0.38, 0.38):
            hub = place(np.array([along, across, 0.13]))
            shapes.append(Capsule(hub, hub, (0.13, 0.13), PLASTIC))
    shapes += _box(place, (0.95, 0.0, 0.55), (1.3, 0.85, 0.7), colour)
    shapes += _box(place, (0.75, 0.1, 1.1), (0.6, 0.5, 0.4), (178, 136, 88))
    shapes += _box(place, (1.3, -0.1, 1.03), (0.42, 0.5, 0.26), (198, 162, 112))
    handle = place(np.array([[0.32, 0.3, 0.8], [0.05, 0.3, 1.0], [0.05, -0.3, 1.0], [0.32, -0.3, 0.8]]))
    return shapes + [Capsule(a, b, (0.02, 0.02), PLASTIC) for a, b in pairwise(handle)]


def bench(x: float, y: float) -> list[Shape]:
    """A bench that faces the camera."""
    place = Place(np.array([x, y]), np.array([1.0, 0.0]))
    legs = [_box(place, (side, 0.0, 0.2), (0.08, 0.4, 0.4), PLASTIC) for side in (-0.7, 0.7)]
    back = _box(place, (0.0, 0.25, 0.65), (1.7, 0.06, 0.35), (134, 92, 58))
    return [*back, *legs[0], *legs[1], *_box(place, (0.0, 0.0, 0.42), (1.7, 0.45, 0.07), (158, 112, 70))]


def _cube() -> Points:
    """(6, 4, 3): the faces of the cube from -0.5 to 0.5, in the order of NORMALS."""
    faces = np.empty((6, 4, 3))
    for face, normal in zip(faces, NORMALS, strict=True):
        axis, sign = int(np.flatnonzero(normal)[0]), normal.sum()
        face[:, axis] = 0.5 * sign
        face[:, (axis + 1) % 3] = 0.5 * sign * np.array([-1, 1, 1, -1])
        face[:, (axis + 2) % 3] = 0.5 * np.array([-1, -1, 1, 1])
    return faces


CUBE = _cube()


def _box(place: Place, centre: Triple, size: Triple, colour: Colour) -> list[Shape]:
    corners = place(CUBE * size + centre)
    daylight = 0.72 + 0.3 * np.maximum(0.0, NORMALS @ place.axes @ TO_SUN)
    return [Face(face, shade(colour, float(light))) for face, light in zip(corners, daylight, strict=True)]


def _bag_body(bottom: Points, heading: Points, colour: Colour) -> list[Shape]:
    place, z = Place(bottom[:2], heading), float(bottom[2])
    body = _box(place, (0.0, 0.0, z + 0.16), (0.5, 0.24, 0.32), colour)
    return body + _box(place, (0.0, 0.0, z + 0.345), (0.2, 0.06, 0.05), shade(colour, 0.6))
