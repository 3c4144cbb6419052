"""Pseudo-anomalies made of normal video: ghosts and jumps (Cao et al. 2024, section IV), and ours."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..settings import PseudoSettings
from ..video.cutouts import Box, find_backdrop
from ..video.frames import Frame, ImageFolder
from ..video.pasting import busy_place, soft_box
from ..video.snippets import Snippet
from ..video.source import scene_of
from .extras import EXTRAS, Act, plan, show

Kind = Literal["ghosts", "jumps", "rushes", "strays", "hurries", "giants", "tumbles", "wanderers", "loiterers"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TURNED = ("ghosts", "jumps")  # flipped and turned, as in the paper, to be unlike the video that they are made of
GHOST_FRAMES = 2  # a ghost is the mean of a frame and the one this many later
LOOKS = 16  # pairs of frames that tell where in a video something moves
TRIES = 64  # places among which the quietest is taken


@dataclass(frozen=True)
class PseudoVideo:
    """A normal video spoilt in its middle, the paper's kinds flipped and turned too; a source that reads as it goes.

    Ghosts: each frame is the mean of itself and one shortly after. Jumps: each comes from up to ``reach`` frames away.
    Rushes: a part of the picture, where something moves, plays ``speed`` times too fast. Strays: such a part is shown
    again where least moves. The others are extras (`extras.py`): things cut out along their outlines. Where nothing
    could be followed, or put anywhere, a hurry is a rush and every other extra a stray. ``seed`` is that of all draws.
    """

    source: ImageFolder
    kind: Kind
    settings: PseudoSettings
    seed: int

    @property
    def name(self) -> str:
        """The training video's name and the kind."""
        return f"{self.source.name}-{self.kind}"

    @property
    def path(self) -> Path:
        """Where the training video lies."""
        return self.source.path

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.source.rate

    def __len__(self) -> int:
        return len(self.source)

    @property
    def spoilt(self) -> range:
        """Frames that may be anomalous: a centred share of the video, so far as a ghost has its second frame."""
        frames, given = len(self.source), self.settings
        shares = {"ghosts": given.ghosting, "jumps": given.jumps, "rushes": given.rushing, "strays": given.straying}
        length = int(frames * shares.get(self.kind, given.extras))
        first = (frames - length) // 2
        return range(first, min(first + length, frames - GHOST_FRAMES))

    def labels(self) -> NDArray[np.uint8]:
        """1 for every frame that has an anomaly, (frames,): every spoilt one, or those in which an extra is seen."""
        labels = np.zeros(len(self), np.uint8)
        for part in [act.seen for act in self.acts] or [self.spoilt]:
            labels[part.start : part.stop] = 1
        return labels

    def box(self, index: int) -> Box | None:
        """Where frame ``index`` is anomalous: x0, y0, x1, y1, the last two not included; None where it is normal."""
        if self.acts:
            return next((act.box(index) for act in self.acts if index in act.seen), None)
        if index not in self.spoilt:
            return None
        height, width = self.source.read(index).shape[:2]
        if self._way in ("ghosts", "jumps"):
            return 0, 0, width, height
        side, _, (row, column) = self._square
        x0, y0 = (max(0, math.floor(middle - side / 2) + 1) for middle in (column, row))
        return x0, y0, min(width, math.ceil(column + side / 2)), min(height, math.ceil(row + side / 2))

    def __iter__(self) -> Iterator[Frame]:
        degrees, rng = self._draws()
        spoilt = self.spoilt
        spoil = self._spoiler(rng) if spoilt else None
        for index in range(len(self)):
            image = self.source.read(index)
            if spoil is not None and index in spoilt:
                image = spoil(index, image)
            yield Frame(index, index / self.rate, turn(image, degrees) if self.kind in TURNED else image)

    def _draws(self) -> tuple[int, np.random.Generator]:
        """The angle in degrees, and what draws everything else."""
        rng = np.random.default_rng([self.seed, KINDS.index(self.kind)])
        least, most = self.settings.angle
        return int(rng.integers(least, most + 1)), rng

    def _spoiler(self, rng: np.random.Generator) -> Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]:
        """What spoils frame by frame."""
        read, reach = self.source.read, self.settings.reach
        if self.kind == "jumps":
            return lambda index, _: read(min(max(index + int(rng.integers(-reach, reach + 1)), 0), len(self) - 1))
        if self.kind == "ghosts":
            return lambda index, image: _mean(image, read(index + GHOST_FRAMES))
        if self.acts:
            return self._extra()
        side, busy, shown = self._square
        height, width = read(0).shape[:2]
        box = soft_box(height, width, shown, (side, side))
        if self._way == "rushes":
            return lambda index, image: _mix(image, read(self._hurried(index)), box)
        moved = np.array([[1.0, 0.0, shown[1] - busy[1]], [0.0, 1.0, shown[0] - busy[0]]])

        def stray(_: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            shifted = cv2.warpAffine(image, moved, (width, height), borderMode=cv2.BORDER_REFLECT_101)
            return _mix(image, shifted.astype(np.uint8, copy=False), box)

        return stray

    def _extra(self) -> Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]:
        """Lays the extra of the frame, if there is one, over it."""
        read, acts = self.source.read, self.acts
        backdrop = find_backdrop(read, len(self))

        def lay(index: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            act = next((act for act in acts if index in act.seen), None)
            return image if act is None else show(act, index, image, read, backdrop, self.seed)

        return lay

    @property
    def _way(self) -> str:
        """The kind, or what stands for an extra where there is none."""
        if self.kind not in EXTRAS or self.acts:
            return self.kind
        return "rushes" if self.kind == "hurries" else "strays"

    @cached_property
    def acts(self) -> list[Act]:
        """What extras do, by boxes alone: no pixels are kept."""
        if self.kind not in EXTRAS or not self.spoilt:
            return []
        return plan(self.kind, self.source.read, len(self), self.spoilt, self.settings.speed, self._draws()[1])

    @cached_property
    def _square(self) -> tuple[float, tuple[int, int], tuple[float, float]]:
        """Side of a pasted part, a quarter to a half of the short side; its middle where it is from, and where it is.

        Both are the same place in a rush.
        """
        _, rng = self._draws()
        change = self._change()
        side = float(rng.uniform(0.25, 0.5)) * min(change.shape)
        busy = busy_place(change, rng)
        return side, busy, busy if self._way == "rushes" else _quiet_place(change, side, rng)

    def _change(self) -> NDArray[np.float32]:
        """How much changes at each pixel from frame to frame, (H, W), by a few looks at the video."""
        last = len(self) - 2
        firsts = sorted({round(last * look / (LOOKS - 1)) for look in range(LOOKS)})
        looks = [cv2.absdiff(self.source.read(first), self.source.read(first + 1)) for first in firsts]
        change: NDArray[np.float32] = np.mean([look.mean(2, dtype=np.float32) for look in looks], axis=0)
        return change

    def _hurried(self, index: int) -> int:
        """The frame that a rushing part shows: the video from its start, to and fro where it is too short."""
        last = len(self) - 1
        place = self.settings.speed * (index - self.spoilt.start) % (2 * last)
        return place if place <= last else 2 * last - place


def _quiet_place(change: NDArray[np.float32], side: float, rng: np.random.Generator) -> tuple[float, float]:
    """Row and column of the middle of that square, of some drawn ones, in which least changes."""
    height, width = change.shape
    rows = rng.uniform(side / 2, height - side / 2, TRIES)
    columns = rng.uniform(side / 2, width - side / 2, TRIES)
    inside = cv2.blur(change, (max(1, round(side)), max(1, round(side))))
    quietest = int(np.argmin(inside[rows.astype(int), columns.astype(int)]))
    return float(rows[quietest]), float(columns[quietest])


def _mean(image: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return ((image.astype(np.uint16) + second + 1) // 2).astype(np.uint8)


def _mix(image: NDArray[np.uint8], part: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``part`` over ``image``, (H, W, 3), as much as ``box`` (H, W) says."""
    mixed = image + box[:, :, None] * (part.astype(np.float32) - image)
    return np.rint(mixed).astype(np.uint8)


def pseudo_videos(
    videos: Mapping[str, ImageFolder], settings: PseudoSettings, snippet: Snippet, *, seed: int
) -> list[PseudoVideo]:
    """Every kind in ``settings.kinds``, of ``settings.videos`` videos a scene; TsvadError if none has two snippets."""
    usable = [name for name, video in videos.items() if snippet.count(len(video)) > 1]
    if not usable:
        raise TsvadError(f"no training video is longer than a snippet's {snippet.span + 1} frames")
    names = pick_videos(usable, settings.videos)
    return [
        PseudoVideo(videos[name], kind, settings, seed + n) for kind in settings.kinds for n, name in enumerate(names)
    ]


def turn(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Flips (H, W, 3) left-right and rotates it about its centre; bicubic, borders mirrored: no new edge."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    flipped, size = np.ascontiguousarray(image[:, ::-1]), (width, height)
    turned = cv2.warpAffine(flipped, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return turned.astype(np.uint8, copy=False)


def pick_videos(names: Sequence[str], a_scene: int) -> list[str]:
    """``a_scene`` names of each scene, evenly spaced; the scene is the part before ``_``, or there is one."""
    scenes: dict[str, list[str]] = {}
    for name in names:
        scenes.setdefault(scene_of(name), []).append(name)
    picked = []
    for scene in scenes.values():
        count = min(a_scene, len(scene))
        picked += [scene[place * len(scene) // count] for place in range(count)]
    return picked
