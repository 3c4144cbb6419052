"""Extras: things of a normal video that are followed, cut out along their outlines and put where they do not belong."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..video.cutouts import MARGIN, Backdrop, Box, Floats, Image, find_backdrop

EXTRAS = ("hurries", "giants", "tumbles", "wanderers", "loiterers")
STRETCH, STRETCHES = 128, 3  # frames in a row in which things are followed, and how often in a long video
LEAST = 12  # frames for which a thing is followed at least, so that it is one
SHORTEST = 8  # frames that an extra is shown at least
CELL = 8  # pixels: of the map of where things go, and of steps by which extras are moved, so that JPEG's blocks fit
GLANCE = 8  # frames from one look at what is there to the next
TRIES = 256  # things and places among which the best is taken
CROWDED = 0.25  # share of its way on which an extra may lie over something else, at most
SIZES = (1.5, 2.2)  # how many times too large a giant is


@dataclass(frozen=True)
class Act:
    """A thing's appearance from frame ``first`` on: ``frames`` that show it, its ``boxes`` there, ``corners`` here.

    No pixel is kept: it is cut out when it is shown. ``corners`` are left and top of what is pasted, by frame.
    """

    first: int
    frames: tuple[int, ...]
    boxes: tuple[Box, ...]
    corners: tuple[tuple[int, int], ...]
    turned: bool = False
    scale: float = 1.0

    @property
    def seen(self) -> range:
        """Frames that it is in."""
        return range(self.first, self.first + len(self.frames))

    def box(self, index: int) -> Box:
        """Where it is in frame ``index``."""
        place = index - self.first
        x0, y0, x1, y1 = self.boxes[place]
        sides = (y1 - y0, x1 - x0) if self.turned else (x1 - x0, y1 - y0)
        left, top = self.corners[place]
        return left, top, left + round(sides[0] * self.scale), top + round(sides[1] * self.scale)


@dataclass(frozen=True)
class Track:
    """A thing in frames in a row from ``first`` on, by its box in each."""

    first: int
    boxes: list[Box]


@dataclass(frozen=True)
class Traffic:
    """What was seen in a video: things followed, where things go, (H / 8, W / 8) of 0 to 1, how high they are there."""

    tracks: list[Track]
    going: Floats
    size: tuple[int, int]  # height and width of the picture
    heights: Callable[[float], float] | None  # of a thing by its feet's row, if the one hangs on the other


def show(act: Act, index: int, image: Image, read: Callable[[int], Image], backdrop: Backdrop, seed: int) -> Image:
    """``image``, frame ``index``, with the extra in it, behind what stands nearer."""
    place = index - act.first
    cutout = backdrop.cut(read(act.frames[place]), act.boxes[place])
    if act.turned:
        cutout = cutout.turned()
    if act.scale != 1:
        cutout = cutout.scaled(act.scale, np.random.default_rng([seed, index]), backdrop.noise)
    left, top = act.corners[place]
    margin = round(MARGIN * act.scale)
    return cutout.over(image, left - margin, top - margin, backdrop.before(image, act.box(index)[3]))


def watch(read: Callable[[int], Image], frames: int, backdrop: Backdrop, rng: np.random.Generator) -> Traffic:
    """Follows things through a short video, or through some stretches of a long one, a frame at a time."""
    starts = list(range(0, frames, STRETCH))
    if len(starts) > STRETCHES:
        starts = sorted(rng.choice(starts, STRETCHES, replace=False).tolist())
    tracks: list[Track] = []
    seen, going = 0, np.zeros(_coarse(backdrop.image[:, :, 0]).shape, np.float32)
    live: list[Track] = []
    for index in (index for start in starts for index in range(start, min(start + STRETCH, frames))):
        numbers, boxes = backdrop.things(read(index))
        seen, going = seen + 1, going + (_coarse((numbers > 0).astype(np.float32)) > 0)
        boxes = [box for box in boxes if box[2]]
        live = _linked([track for track in live if track.first + len(track.boxes) == index], boxes, index)
        tracks += [track for track in live if len(track.boxes) == LEAST]
    kept = [track for track in tracks if _moves(track)]
    return Traffic(kept, (going / max(seen, 1)).astype(np.float32), backdrop.image.shape[:2], _heights(kept))


def plan(
    kind: str, read: Callable[[int], Image], frames: int, spoilt: range, speed: float, rng: np.random.Generator
) -> list[Act]:
    """Extras one after the other for the frames ``spoilt``; none where nothing could be followed or put anywhere."""
    backdrop = find_backdrop(read, frames)
    traffic = watch(read, frames, backdrop, rng)
    acts: list[Act] = []
    index = spoilt.start
    while traffic.tracks and index + SHORTEST <= spoilt.stop:
        length = spoilt.stop - index if kind == "loiterers" else min(STRETCH, spoilt.stop - index)
        glances = range(index, index + length, max(GLANCE, length // 32))
        crowd = np.array([_coarse((backdrop.things(read(glance))[0] > 0).astype(np.float32)) for glance in glances])
        act = _best(kind, traffic, crowd, index, length, glances.step, speed, rng)
        acts += [act] if act else []
        index += len(act.frames) if act else GLANCE
    return acts


def _best(
    kind: str,
    traffic: Traffic,
    crowd: Floats,
    first: int,
    length: int,
    step: int,
    speed: float,
    rng: np.random.Generator,
) -> Act | None:
    """Of some drawn acts, the one least in others' way, and where things go, or, of a wanderer, where none do."""
    best, least = None, np.inf
    for _ in range(TRIES):
        act = _drawn(kind, traffic, first, length, speed, rng)
        if act is None:
            continue
        filled, ways = [], []
        for glance in range(0, len(act.frames), step):
            x0, y0, x1, y1 = (side / CELL for side in act.box(first + glance))
            part = slice(max(int(y0), 0), int(np.ceil(y1))), slice(max(int(x0), 0), int(np.ceil(x1)))
            filled.append(float(crowd[glance // step][part].mean()))
            ways.append(float(traffic.going[part][-1:].mean()))
        crowded, way = float(np.mean(filled)), float(np.mean(ways)) / max(float(traffic.going.max()), 1e-6)
        cost = crowded + (3 * way if kind == "wanderers" else -2 * way) - len(act.frames) / min(length, STRETCH // 2)
        if crowded <= CROWDED and cost < least:
            best, least = act, cost
    return best


def _drawn(kind: str, traffic: Traffic, first: int, length: int, speed: float, rng: np.random.Generator) -> Act | None:
    """A thing drawn and moved by whole cells, all its way inside the picture; None where it leaves it."""
    track = traffic.tracks[int(rng.integers(len(traffic.tracks)))]
    pace = float(rng.uniform(speed, 1.5 * speed)) if kind == "hurries" else 1.0
    size = float(rng.uniform(*SIZES)) if kind == "giants" else 1.0
    if kind == "loiterers":
        places = np.full(length, int(rng.integers(len(track.boxes))))
    else:
        places = np.rint(np.arange(0, len(track.boxes) - 0.5, pace)).astype(int)[:length]
    height, width = traffic.size
    cells = rng.integers((-width // CELL, -height // CELL), (width // CELL + 1, height // CELL + 1))
    move = CELL * (cells * rng.integers(0, 2) if kind == "hurries" else cells)
    boxes = np.array(track.boxes)[places]
    size *= _perspective(traffic.heights, boxes[:, 3].mean(), boxes[:, 3].mean() + move[1])
    turned = kind == "tumbles"
    sides = (boxes[:, 2:] - boxes[:, :2]) * size
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    if turned:
        sides, middle = sides[:, ::-1], _smooth(middle)
    anchor = np.array([boxes[:, [0, 2]].mean(), boxes[:, 3].mean()])
    corners = np.rint(anchor + size * (middle - anchor) + move - sides / 2).astype(int)
    if size == 1 and not turned:
        corners = boxes[:, :2] + move
    inside = (corners >= 0).all() and (corners + sides <= (width, height)).all()
    if not inside or len(places) < SHORTEST:
        return None
    return Act(
        first,
        tuple((track.first + places).tolist()),
        tuple(tuple(box) for box in boxes.tolist()),
        tuple((left, top) for left, top in corners.tolist()),
        turned,
        size,
    )


def _linked(live: list[Track], boxes: list[Box], index: int) -> list[Track]:
    """Tracks that go on in frame ``index``, each in the one box that overlaps its last, and those that begin there."""
    shares = np.array([[_overlap(track.boxes[-1], box) for box in boxes] for track in live]).reshape(
        len(live), len(boxes)
    )
    clear = shares > 0.5
    going, taken = [], set()
    for number, track in enumerate(live):
        near = np.flatnonzero(shares[number] > 0)
        if len(near) == 1 and clear[number, near[0]] and (shares[:, near[0]] > 0).sum() == 1:
            track.boxes.append(boxes[near[0]])
            going.append(track)
            taken.add(int(near[0]))
    return going + [Track(index, [box]) for number, box in enumerate(boxes) if number not in taken]


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def _moves(track: Track) -> bool:
    """Whether it goes at least half of its width: a hole in the backdrop stays where it is."""
    boxes = np.array(track.boxes)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return bool(np.ptp(middle, axis=0).max() >= (boxes[:, 2] - boxes[:, 0]).mean() / 2)


def _heights(tracks: list[Track]) -> Callable[[float], float] | None:
    """Things' height by the row of their feet, as a line between the rows that were seen; None if that is not clear."""
    boxes = [np.median(track.boxes, axis=0) for track in tracks]
    feet, heights = np.array([(box[3], box[3] - box[1]) for box in boxes]).reshape(-1, 2).T
    if len(feet) < 8 or np.ptp(feet) == 0 or np.ptp(heights) == 0 or np.corrcoef(feet, heights)[0, 1] < 0.8:
        return None
    slope, offset = np.polyfit(feet, heights, 1)
    return lambda row: float(slope * np.clip(row, feet.min(), feet.max()) + offset)


def _perspective(heights: Callable[[float], float] | None, old: float, new: float) -> float:
    """How much larger things are whose feet are in row ``new`` than in ``old``; 1 where that is little or unknown."""
    scale = heights(new) / heights(old) if heights and heights(old) > 0 else 1.0
    return float(np.clip(scale, 0.6, 1.6)) if abs(scale - 1) > 0.15 else 1.0


def _smooth(middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over five frames, (n, 2), ends repeated."""
    padded = np.pad(middle, ((2, 2), (0, 0)), "edge")
    return np.stack([np.convolve(side, np.full(5, 0.2), "valid") for side in padded.T], axis=1)


def _coarse(mask: NDArray[np.generic]) -> Floats:
    """Means over cells of a picture (H, W); those over its edge are of what is inside."""
    rows, columns = (-side % CELL for side in mask.shape)
    whole = np.pad(mask.astype(np.float32), ((0, rows), (0, columns)), "edge")
    means: Floats = whole.reshape(whole.shape[0] // CELL, CELL, -1, CELL).mean(axis=(1, 3))
    return means
