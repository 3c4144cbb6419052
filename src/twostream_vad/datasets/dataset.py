"""A dataset as an object: its videos, by split."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..video.files import RAW_SUFFIXES
from ..video.frames import ImageFolder, VideoFile, open_source
from ..video.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Video:
    """One video: a file, or a folder of numbered images."""

    name: str
    path: Path
    skip: int = 0  # first frames left out; frame 0 is the one after them
    rate: float | None = None  # frames a second where the source does not say; None: its own
    times: Path | None = None  # of a folder of images: each frame's seconds (.npy); None: by the rate
    depth: int | None = None  # bits in use of a value in a folder of images; None: to be found
    lost: Ranges = ()  # of a folder of images: frames in whose place a neighbour's picture lies

    def open(self) -> ImageFolder | VideoFile:
        """Its frames. Raises VideoError where it cannot be read."""
        source = open_source(self.path, rate=self.rate, skip=self.skip, depth=self.depth)
        if isinstance(source, ImageFolder) and (self.times or self.lost):
            source.place(None if self.times is None else np.load(self.times, allow_pickle=False), self.lost)
        return source

    @property
    def is_silent(self) -> bool:
        """Whether it does not say how many frames it has a second: images, or a stream without a container."""
        return self.path.is_dir() or self.path.suffix.lower() in RAW_SUFFIXES


@dataclass(frozen=True, slots=True)
class Dataset:
    """Videos in natural order of their names. Either split may be empty, never both."""

    root: Path
    layout: str
    training: tuple[Video, ...]
    testing: tuple[Video, ...]
    left_out: tuple[str, ...] = ()  # files beside the videos that are none by their names, each with the reason

    @property
    def videos(self) -> list[tuple[str, Video]]:
        """Each with its split: those for training, then those for testing."""
        return [("training", video) for video in self.training] + [("testing", video) for video in self.testing]

    def at_rate(self, rate: float | None) -> "Dataset":
        """The same with ``rate`` frames a second for videos that do not say; None changes nothing."""
        if rate is None:
            return self
        training, testing = (
            tuple(replace(video, rate=rate) if video.rate is None and video.is_silent else video for video in split)
            for split in (self.training, self.testing)
        )
        return replace(self, training=training, testing=testing)
