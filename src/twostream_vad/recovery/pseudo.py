"""Pseudo-anomalies made of normal video: ghosts and jumps (Cao et al. 2024, section IV), rushes and strays (ours)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..settings import PseudoSettings
from ..video.frames import Frame, ImageFolder
from ..video.pasting import busy_place, soft_box
from ..video.snippets import Snippet
from ..video.source import scene_of

Kind = Literal["ghosts", "jumps", "rushes", "strays"]
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
    again where least moves. ``seed`` is that of the angle, of the jumps and of the pasted part.
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
        """Frames that are anomalous: a centred share of the video, so far as a ghost has its second frame."""
        frames, given = len(self.source), self.settings
        shares = (given.ghosting, given.jumps, given.rushing, given.straying)
        length = int(frames * shares[KINDS.index(self.kind)])
        first = (frames - length) // 2
        return range(first, min(first + length, frames - GHOST_FRAMES))

    def labels(self) -> NDArray[np.uint8]:
        """1 for every spoilt frame, (frames,)."""
        labels = np.zeros(len(self), np.uint8)
        labels[self.spoilt.start : self.spoilt.stop] = 1
        return labels

    def __iter__(self) -> Iterator[Frame]:
        rng = np.random.default_rng([self.seed, KINDS.index(self.kind)])
        least, most = self.settings.angle
        degrees = int(rng.integers(least, most + 1))
        spoilt = self.spoilt
        spoil = self._spoiler(rng) if spoilt else None
        for index in range(len(self)):
            image = self.source.read(index)
            if spoil is not None and index in spoilt:
                image = spoil(index, image)
            yield Frame(index, index / self.rate, turn(image, degrees) if self.kind in TURNED else image)

    def _spoiler(self, rng: np.random.Generator) -> Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]:
        """What spoils frame by frame; a pasted part is drawn: a square of a quarter to a half of the short side."""
        read, reach = self.source.read, self.settings.reach
        if self.kind == "jumps":
            return lambda index, _: read(min(max(index + int(rng.integers(-reach, reach + 1)), 0), len(self) - 1))
        if self.kind == "ghosts":
            return lambda index, image: _mean(image, read(index + GHOST_FRAMES))
        change = self._change()
        height, width = change.shape
        side = float(rng.uniform(0.25, 0.5)) * min(height, width)
        busy = busy_place(change, rng)
        if self.kind == "rushes":
            box = soft_box(height, width, busy, (side, side))
            return lambda index, image: _mix(image, read(self._hurried(index)), box)
        quiet = _quiet_place(change, side, rng)
        box = soft_box(height, width, quiet, (side, side))
        moved = np.array([[1.0, 0.0, quiet[1] - busy[1]], [0.0, 1.0, quiet[0] - busy[0]]])

        def stray(_: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            shifted = cv2.warpAffine(image, moved, (width, height), borderMode=cv2.BORDER_REFLECT_101)
            return _mix(image, shifted.astype(np.uint8, copy=False), box)

        return stray

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
