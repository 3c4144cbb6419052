"""Who is on the plaza when: walkers on their usual ways, and in the test videos what is out of place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .figures import RUN, WALK, Colour, Look, Points, Shape, bag, bicycle, cart, draw_look, person, riding, walking
from .variety import PLAIN, Variety, Way
from .view import LAWN, Camera

# Each way is walked in both directions. None crosses the lawn.
WAYS: tuple[Way, ...] = (
    ((-16.0, 6.2), (-3.0, 6.4), (3.0, 6.3), (16.0, 6.4)),
    ((-17.0, 13.9), (-3.0, 13.8), (4.0, 13.9), (17.0, 13.8)),
    ((-0.8, -7.0), (-0.9, 5.0), (-0.6, 9.5), (-1.2, 12.6), (-4.5, 13.8), (-17.0, 13.8)),
    ((-16.0, 6.8), (-2.5, 6.8), (-0.2, 8.6), (-0.2, 12.4), (1.4, 14.0), (17.0, 14.0)),
    ((-16.0, 10.6), (-4.0, 9.4), (-1.2, 6.8), (0.6, 4.0), (1.2, -7.0)),
)
LAWN_WAYS: tuple[Way, ...] = (
    ((17.0, 11.2), (6.0, 10.6), (1.8, 9.6), (-2.0, 8.8), (-15.0, 8.4)),
    ((3.2, -7.0), (3.0, 5.0), (3.4, 8.6), (3.7, 12.4), (2.0, 13.8), (-17.0, 13.9)),
)
EVENTS = {  # kind -> its ways, and its least and greatest speed, metres a second
    "bicycle": ((WAYS[2], WAYS[3]), 3.6, 4.6),  # long enough to be seen for a few seconds
    "cart": ((WAYS[0], WAYS[4]), 2.0, 2.4),
    "running": ((WAYS[2], WAYS[3]), 3.3, 4.0),
    "lawn": (LAWN_WAYS, 1.1, 1.5),
}
BAG_HEADING = np.array([0.8, -0.6])  # of a bag left behind
KINDS, FAST_KINDS = (*EVENTS, "left_bag"), ("bicycle", "running")
ALWAYS, NEVER = (-np.inf, np.inf), (0.0, 0.0)  # seconds from, until

PAINTS = ((176, 40, 44), (44, 92, 150), (222, 176, 60), (60, 120, 92))


class Path:
    """A smooth line through waypoints (n, 2), measured in metres from its start."""

    def __init__(self, waypoints: Points) -> None:
        for _ in range(3):  # Chaikin's corner cutting
            a, b = waypoints[:-1], waypoints[1:]
            cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
            waypoints = np.concatenate([waypoints[:1], cut, waypoints[-1:]])
        self.points = waypoints
        steps = np.linalg.norm(np.diff(waypoints, axis=0), axis=1)
        self.marks = np.concatenate([[0.0], np.cumsum(steps)])

    def at(self, marks: float | Points) -> Points:
        """The spots ``marks`` (...) metres along, (..., 2); before the start and past the end, the ends."""
        after = np.clip(np.searchsorted(self.marks, marks), 1, len(self.marks) - 1)
        start, end = self.marks[after - 1], self.marks[after]
        share = np.clip((marks - start) / (end - start), 0.0, 1.0)[..., None]
        spots: Points = self.points[after - 1] * (1 - share) + self.points[after] * share
        return spots

    def heading(self, mark: float) -> Points:
        """A unit vector, over about a step so that corners turn the body gently."""
        mark = float(np.clip(mark, 0.3, self.marks[-1] - 0.3))
        ahead: Points = self.at(mark + 0.3) - self.at(mark - 0.3)
        return ahead / max(1e-9, float(np.linalg.norm(ahead)))

    def middle(self, camera: Camera, *, of_lawn: bool = False) -> float:
        """The mark halfway along what the camera sees, or sees of the lawn."""
        marks = np.linspace(0, self.marks[-1], 300 if of_lawn else 200)
        spots = self.at(marks)
        seen = camera.sees(spots) & (not of_lawn or _on_lawn(spots))
        if not seen.any():
            return self.middle(camera) if of_lawn else float(self.marks[-1]) / 2
        return float(marks[seen].mean())

    def nearest(self, spot: Points) -> float:
        """The mark closest to a spot."""
        marks = np.linspace(0, self.marks[-1], 400)
        return float(marks[np.linalg.norm(self.at(marks) - spot, axis=1).argmin()])


@dataclass(frozen=True)
class Mover:
    """Somebody on a path, at ``mark`` metres of it at ``moment`` seconds; ``stop`` seconds of rest there."""

    path: Path
    look: Look
    speed: float  # metres a second
    mark: float
    moment: float
    kind: str | None = None
    colour: Colour = (60, 110, 150)
    stop: float = 0.0
    bag: tuple[float, float] = NEVER  # carried from, until
    usual: bool = False  # whatever its kind, it belongs here

    def along(self, time: float) -> float:
        """Metres of the path."""
        late = time - self.moment
        return self.mark + self.speed * float(np.sign(late)) * max(0.0, abs(late) - self.stop / 2)

    def spot(self, time: float) -> Points:
        return self.path.at(self.along(time))

    def abnormal(self, time: float) -> bool:
        return self.kind is not None and not self.usual and (self.kind != "lawn" or bool(_on_lawn(self.spot(time))))

    def shapes(self, time: float) -> list[Shape]:
        along, spot = self.along(time), self.spot(time)
        if not 0 < along < self.path.marks[-1]:  # not on the path yet, or no more
            return []
        heading = self.path.heading(along)
        if self.kind == "bicycle":
            rider = person(self.look, riding(self.look.height, -along / 0.7), spot, heading)
            return rider + bicycle(spot, heading, along, self.colour)
        gait = RUN if self.kind == "running" else WALK
        phase = 2 * np.pi * along / (gait.stride * self.look.height / 1.73)
        late = abs(time - self.moment)
        stoop = float(np.clip(1.4 - 2.2 * late / self.stop, 0, 1)) if self.stop else 0.0
        pose = walking(self.look.height, gait, phase, stoop=stoop, pushing=self.kind == "cart")
        figure = person(self.look, pose, spot, heading, carries=self.bag[0] <= time < self.bag[1])
        return figure + cart(spot + 0.42 * heading, heading, self.colour) if self.kind == "cart" else figure


@dataclass(frozen=True)
class LeftBag:
    """A bag on the ground from ``since`` until ``until``."""

    place: Points
    colour: Colour
    since: float
    until: float
    kind: str | None = "left_bag"

    def spot(self, _: float) -> Points:
        return self.place

    def abnormal(self, time: float) -> bool:
        return self.since <= time < self.until

    def shapes(self, time: float) -> list[Shape]:
        return bag(np.append(self.place, 0.0), BAG_HEADING, self.colour) if self.abnormal(time) else []


Actor = Mover | LeftBag  # something that comes and goes; times are seconds from the video's start


def draw_light(rng: np.random.Generator) -> Callable[[float], tuple[float, float]]:
    """The weather of one video, slowly changing: seconds -> gain of the image, strength of the shadows."""
    phases, periods = rng.uniform(0, 2 * np.pi, 3), rng.uniform((35, 13, 6), (80, 25, 11))

    def light(time: float) -> tuple[float, float]:
        waves = np.sin(2 * np.pi * time / periods + phases)
        sun = float(np.clip(0.6 + 0.35 * waves[0] + 0.15 * waves[1], 0, 1))
        return 0.86 + 0.13 * sun + 0.015 * float(waves[2]), 0.16 + 0.34 * sun

    return light


def draw_crowd(rng: np.random.Generator, camera: Camera, seconds: float, variety: Variety = PLAIN) -> list[Actor]:
    """Walkers on their usual ways, some in pairs, some with a bag in hand."""
    around, ways = variety.stay, variety.ways or WAYS  # some have been walking since before the video begins
    count = max(1, round(variety.people * (seconds + 2 * around) / around / 1.2))  # a fifth in pairs
    moments = np.linspace(-around, seconds + around, count) + rng.normal(0, 1.0, count)
    first = rng.integers(len(ways))
    crowd: list[Actor] = []
    for i, moment in enumerate(moments.tolist()):
        path = _draw_path(rng, ways[(first + 2 * i) % len(ways)])
        speed, mark = float(rng.uniform(1.1, 1.6)), path.middle(camera)
        if kind := next((kind for kind, share in variety.traffic if rng.random() < share), None):
            speed, paint = float(rng.uniform(*EVENTS[kind][1:])), PAINTS[rng.integers(len(PAINTS))]
            crowd.append(Mover(path, draw_look(rng), speed, mark, moment, kind, paint, usual=True))
            continue
        crowd.append(Mover(path, draw_look(rng), speed, mark, moment, bag=ALWAYS if rng.random() < 0.2 else NEVER))
        if rng.random() < 0.2:
            beside = Path(path.points + np.array([0.3, 0.55]) * rng.choice([-1, 1]))
            crowd.append(Mover(beside, draw_look(rng), speed, mark + rng.uniform(-0.2, 0.2), moment))
    return crowd


def draw_event(rng: np.random.Generator, camera: Camera, kind: str, seconds: float, moment: float) -> list[Actor]:
    """The actors of one anomaly, in the middle of the picture at ``moment``."""
    if kind == "left_bag":
        return _left_bag(rng, seconds, moment)
    ways, slow, fast = EVENTS[kind]
    path = _draw_path(rng, ways[int(rng.integers(len(ways)))])
    mark = path.middle(camera, of_lawn=kind == "lawn")
    colour = PAINTS[rng.integers(len(PAINTS))]
    return [Mover(path, draw_look(rng), float(rng.uniform(slow, fast)), mark, moment, kind, colour)]


def plan_events(seed: int, videos: int) -> list[tuple[str, ...]]:
    """The kinds of anomaly in each test video: every kind occurs, and what moves fast oftener than what does not."""
    rng = np.random.default_rng([seed, 2])
    deck = [KINDS[i] for i in rng.permutation(len(KINDS))]
    extra = [FAST_KINDS[i] for i in rng.permutation(len(FAST_KINDS))]
    count = max(len(KINDS), round(1.2 * videos))
    deck += [extra[i % len(extra)] for i in range(count - len(KINDS))]
    plan: list[list[str]] = [[] for _ in range(videos)]
    for kind in deck:  # to the emptiest video that lacks the kind
        min((kinds for kinds in plan if kind not in kinds), key=len, default=plan[0]).append(kind)
    return [tuple(kinds) for kinds in plan]


def place_events(rng: np.random.Generator, kinds: Sequence[str], seconds: float) -> list[float]:
    """The middle of each event in seconds, spread over the video with normal time before and after."""
    share = (np.arange(len(kinds)) + 0.5) / max(1, len(kinds))
    spread = 0.5 + 0.62 * (share - 0.5) + rng.uniform(-0.06, 0.06, len(kinds))
    return [float(moment) for moment in spread * seconds]


def _draw_path(rng: np.random.Generator, way: Sequence[tuple[float, float]]) -> Path:
    points = np.array(way) + rng.uniform(-0.4, 0.4, 2) + rng.uniform(-0.15, 0.15, (len(way), 2))
    return Path(points[::-1] if rng.random() < 0.5 else points)


def _left_bag(rng: np.random.Generator, seconds: float, moment: float) -> list[Actor]:
    """One puts a bag down and walks on; later another takes it away."""
    lying = min(5.0, 0.45 * seconds)
    since, until = moment - lying / 2, moment + lying / 2
    place = np.array([rng.uniform(-2.2, 0.6), rng.uniform(7.2, 10.4)])
    colour = draw_look(rng).bag
    actors: list[Actor] = []
    for time, carried in ((since, (-np.inf, since)), (until, (until, np.inf))):
        beside = place + rng.uniform((-0.5, 0.2), (-0.4, 0.3))  # where the hand reaches the bag
        x, y = beside
        path = Path(np.array([(-16.0, y + 0.6), (x - 2.0, y + 0.2), (x, y), (x + 0.6, 5.0), (0.9, -7.0)]))
        look = draw_look(rng)._replace(bag=colour)
        speed = float(rng.uniform(1.2, 1.5))
        actors.append(Mover(path, look, speed, path.nearest(beside), time, stop=1.4, bag=carried))
    return [*actors, LeftBag(place, colour, since, until)]


def _on_lawn(spots: Points) -> NDArray[np.bool_]:
    left, right, near, far = LAWN
    x, y = spots[..., 0], spots[..., 1]
    return (left < x) & (x < right) & (near < y) & (y < far)
