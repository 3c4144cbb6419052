"""Pseudo-anomalies made of normal training video: ghosts and jumps (Cao et al. 2024, section IV)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..config import PseudoSettings
from ..video.frames import Frame, ImageFolder
from ..video.snippets import Snippet

Kind = Literal["ghosts", "jumps"]
KINDS: tuple[Kind, ...] = ("ghosts", "jumps")
GHOST_FRAMES = 2
"""A ghost is the mean of a frame and the one this many later."""


@dataclass(frozen=True)
class PseudoVideo:
    """A training video flipped, turned and spoilt in its middle; a frame source that reads as it goes.

    Args:
        source: frames of the training video.
        kind: ghosts (each frame is the mean of itself and one shortly after) or jumps (each frame comes from
            up to ``reach`` frames away).
        settings: angle, shares and reach.
        seed: of the angle and of the jumps.
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
        frames = len(self.source)
        share = self.settings.ghosting if self.kind == "ghosts" else self.settings.jumps
        length = int(frames * share)
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
        for index in range(len(self)):
            image = self._spoil(index, rng) if index in spoilt else self.source.read(index)
            yield Frame(index, index / self.rate, turn(image, degrees))

    def _spoil(self, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        if self.kind == "jumps":
            reach = self.settings.reach
            away = int(rng.integers(-reach, reach + 1))
            return self.source.read(min(max(index + away, 0), len(self) - 1))
        first, second = self.source.read(index), self.source.read(index + GHOST_FRAMES)
        return ((first.astype(np.uint16) + second + 1) // 2).astype(np.uint8)


def pseudo_videos(
    videos: Mapping[str, ImageFolder], settings: PseudoSettings, snippet: Snippet, *, seed: int
) -> list[PseudoVideo]:
    """Both kinds of pseudo-anomalies of ``settings.videos`` training videos a scene.

    Raises:
        ValueError: no video has two snippets.
    """
    usable = [name for name, video in videos.items() if snippet.count(len(video)) > 1]
    if not usable:
        raise ValueError(f"no training video is longer than a snippet's {snippet.span + 1} frames")
    names = pick_videos(usable, settings.videos)
    return [PseudoVideo(videos[name], kind, settings, seed + n) for kind in KINDS for n, name in enumerate(names)]


def turn(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Flips (H, W, 3) left-right and rotates it about its centre; bicubic, borders mirrored: no new edge."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(
        np.ascontiguousarray(image[:, ::-1]),
        matrix,
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return turned.astype(np.uint8, copy=False)


def pick_videos(names: Sequence[str], a_scene: int) -> list[str]:
    """``a_scene`` names of each scene, evenly spaced; the scene is the part before ``_``, or there is one."""
    scenes: dict[str, list[str]] = {}
    for name in names:
        scenes.setdefault(name.partition("_")[0] if "_" in name else "", []).append(name)
    picked = []
    for scene in scenes.values():
        count = min(a_scene, len(scene))
        picked += [scene[place * len(scene) // count] for place in range(count)]
    return picked
