"""People on the plaza: clothes, gaits, poses, and the shapes that draw them."""

from dataclasses import dataclass

import numpy as np

from .things import Capsule, Colour, Place, Points, Shape, carried_bag, shade

SKIN: tuple[Colour, ...] = ((236, 196, 164), (214, 166, 130), (164, 112, 78), (112, 74, 52))
HAIR: tuple[Colour, ...] = ((38, 30, 28), (84, 56, 36), (150, 112, 66), (168, 166, 162), (64, 40, 32))
TOPS: tuple[Colour, ...] = (
    (178, 52, 48), (44, 84, 140), (232, 228, 218), (58, 64, 72), (206, 160, 62), (70, 118, 88),
    (126, 72, 116), (150, 178, 200), (96, 86, 76), (214, 120, 92),
)  # fmt: skip
BOTTOMS: tuple[Colour, ...] = ((40, 46, 62), (66, 82, 112), (52, 50, 50), (126, 108, 84), (92, 92, 96))
BAGS: tuple[Colour, ...] = ((122, 64, 34), (40, 44, 58), (146, 34, 44), (58, 92, 66))
SHOES: tuple[Colour, ...] = ((36, 32, 32), (232, 230, 226), (96, 62, 42))


@dataclass(frozen=True, slots=True)
class Look:
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


@dataclass(frozen=True, slots=True)
class Gait:
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
        r, g, b = np.clip(np.array(colours[rng.integers(len(colours))]) + rng.normal(0, 8, 3), 8, 246)
        return float(r), float(g), float(b)

    coat = bool(rng.random() < 0.25)
    return Look(
        height=float(np.clip(rng.normal(1.73, 0.09), 1.5, 1.95)),
        skin=pick(SKIN),
        hair=pick(HAIR),
        top=pick(TOPS),
        bottom=pick(BOTTOMS),
        shoes=pick(SHOES),
        bag=pick(BAGS),
        short_sleeves=not coat and bool(rng.random() < 0.5),
        coat=coat,
    )


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
    limbs = _down(np.stack([thigh, shin, 0.6 * shin + np.pi / 2, upper, fore]))
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
    pose[0] = _pair(-0.22, 0.05 * h, 0.98)
    pose[2] = np.stack([0.17 * np.cos(pedals) - 0.02, [0.1, -0.1], 0.34 + 0.17 * np.sin(pedals)], axis=1)
    pose[1] = _bend(pose[0], pose[2], 0.25 * h, np.array([1.0, 0.0, 0.3]))
    pose[3] = pose[2] + np.array([0.16, 0.0, -0.03])
    pose[4] = _pair(0.14, 0.1 * h, 0.98 + 0.25 * h)
    pose[6] = _pair(0.42, 0.22, 1.06)
    pose[5] = _bend(pose[4], pose[6], 0.165 * h, np.array([-0.4, 0.0, -1.0]))
    pose[7] = 0.26, 0.0, 0.98 + 0.37 * h
    return pose


def person(look: Look, pose: Points, spot: Points, heading: Points, *, bag: bool = False) -> list[Shape]:
    """Limbs, clothes and head of somebody at ``spot`` (2,) facing ``heading`` (2,), a unit vector."""
    h = look.height
    hips, knees, ankles, toes, shoulders, elbows, hands, heads = Place(spot, heading)(pose)
    head = heads[0]
    shapes: list[Shape] = []
    for side, light in ((0, 1.0), (1, 0.86)):
        trousers, top = shade(look.bottom, light), shade(look.top, light)
        forearm = shade(look.skin, light) if look.short_sleeves else top
        chest = 0.7 * shoulders[side] + 0.3 * shoulders[1 - side]
        shapes += [
            Capsule(ankles[side], toes[side], (0.032 * h, 0.024 * h), look.shoes),
            Capsule(knees[side], ankles[side], (0.036 * h, 0.028 * h), trousers),
            Capsule(hips[side], knees[side], (0.052 * h, 0.038 * h), trousers),
            Capsule(chest, hips[side], (0.062 * h, 0.058 * h), top),
            Capsule(shoulders[side], elbows[side], (0.034 * h, 0.028 * h), top),
            Capsule(elbows[side], hands[side], (0.027 * h, 0.022 * h), forearm),
            Capsule(hands[side], hands[side], (0.025 * h, 0.025 * h), look.skin),
        ]
        if look.coat:
            hem = 0.35 * hips[side] + 0.65 * knees[side]
            shapes.append(Capsule(hips[side], hem, (0.06 * h, 0.068 * h), top))
    ahead, up = h * np.append(heading, 0.0), np.array([0.0, 0.0, h])
    face, crown = head + 0.02 * ahead - 0.005 * up, head - 0.018 * ahead + 0.02 * up
    shapes += [
        Capsule((shoulders[0] + shoulders[1]) / 2, head, (0.035 * h, 0.035 * h), look.skin),
        Capsule(face, face - 0.025 * up, (0.054 * h, 0.044 * h), look.skin),
        Capsule(crown, crown, (0.06 * h, 0.06 * h), look.hair),
    ]
    return shapes + carried_bag(hands[0], heading, look.bag) if bag else shapes


def _pair(forward: float, left: float, up: float) -> Points:
    return np.array([[forward, left, up], [forward, -left, up]])


def _down(angles: Points) -> Points:
    """Unit vectors that hang down, swung forward by ``angles`` (...) -> (..., 3)."""
    hanging = np.zeros((*angles.shape, 3))
    hanging[..., 0], hanging[..., 2] = np.sin(angles), -np.cos(angles)
    return hanging


def _bend(start: Points, end: Points, limb: float, towards: Points) -> Points:
    """The joint between two limbs of equal length, bent ``towards`` a side; (2, 3) -> (2, 3)."""
    along = end - start
    reach = np.linalg.norm(along, axis=1, keepdims=True)
    side = towards - along * (along @ towards)[:, None] / reach**2
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    bent: Points = (start + end) / 2 + side * np.sqrt(np.maximum(0.0, limb**2 - (reach / 2) ** 2))
    return bent
