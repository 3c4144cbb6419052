"""A detector at work on a live camera: a frame goes in, its score comes out."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..scores.causal import CausalStream
from ..scores.fusion import fuse_now
from .feed import Feed, Image, Tick, scores_of, tell
from .parts import Parts

if TYPE_CHECKING:
    from ..retrieval.exemplars import Match


@dataclass(frozen=True)
class FrameScore:
    """What a detector says of frame ``index``, ``time`` seconds after the first on the watcher's monotone clock.

    ``fused`` is the causal score on the scale of normal video (0 ordinary, 1 what 1 % of normal reaches, times the
    weights), NaN until a stream has seen its first snippet, and behind lost frames until it has seen another;
    ``streams`` are each one's own; ``alarm`` says whether ``fused`` is at the threshold or above; ``raw`` has each
    stream's new raw scores, one a tick that is decided now, NaN where frames are lost.
    """

    index: int
    time: float
    fused: float
    streams: Mapping[str, float]
    alarm: bool
    raw: Mapping[str, tuple[float, ...]]
    _watcher: "Watcher" = field(repr=False, compare=False)

    def heat(self) -> NDArray[np.float32] | None:
        """Where the frame is unlike its prediction, (H, W); None before the first. TsvadError after the next push."""
        from .explain import heat

        image = self._watcher._present(self.index)
        return heat(self._watcher.detector, self._watcher.feed.clips, image)

    def nearest(self) -> "Match | None":
        """The normal event nearest to the last snippet; None before the first. TsvadError after the next push."""
        from .explain import nearest

        self._watcher._present(self.index)
        return nearest(self._watcher.detector, self._watcher.feed.clips)


class Watcher:
    """Scores frames as they come. Every frame costs the same, in time and memory, for as long as it runs.

    Any number of watchers may share a detector. ``rate``: frames a second of the camera, as far as is known.
    """

    def __init__(self, detector: Parts, rate: float | None = None) -> None:
        self.detector, self.frames = detector, 0
        self.feed = Feed(detector.streams, detector.rate, rate, flow=detector.flow)
        self._causal = {
            name: CausalStream(stream.snippet, detector.scales[name]) for name, stream in detector.streams.items()
        }
        self._image: Image | None = None

    @property
    def corrected(self) -> int:
        """Time stamps that were missing, went back or leapt, and were put right."""
        return self.feed.clock.corrected

    def push(self, image: Image, time: float | None = None, *, lost: bool = False) -> FrameScore:
        """The next frame's score; ``image`` is (H, W, 3) uint8 RGB, all of one size, else TsvadError.

        ``time`` is seconds from any origin, such as a stream's time stamps; None: a usual step after the one before.
        A ``lost`` frame, missing or damaged, has no score, nor has any snippet in whose span it lies.
        """
        return scored([self.take(image, time, lost=lost)])[0]

    def take(self, image: Image, time: float | None = None, *, lost: bool = False) -> "Taken":
        """Takes a frame as `push` does, for `scored`, before the next one is taken."""
        return Taken(self, image, deque(self.feed.due(image, time, lost=lost)))

    def _score(self, image: Image, raw: Mapping[str, Sequence[float]]) -> FrameScore:
        for name, scores in raw.items():
            for score in scores:
                self._causal[name].push(score)
        streams = {name: stream.score for name, stream in self._causal.items()}
        fused = fuse_now(streams, self.detector.weights)
        alarm = not math.isnan(fused) and fused >= self.detector.threshold
        index, self.frames, self._image = self.frames, self.frames + 1, image
        told_raw = {name: tuple(scores) for name, scores in raw.items() if scores}
        return FrameScore(index, self.feed.time, fused, streams, alarm, told_raw, self)

    def _present(self, index: int) -> Image:
        if index != self.frames - 1 or self._image is None:
            raise TsvadError(f"frame {index} is gone, the watcher is at {self.frames - 1}: ask before the next push")
        return self._image


@dataclass(frozen=True)
class Taken:
    """A frame that a watcher has taken and not yet scored: the ticks that are due."""

    watcher: Watcher
    image: Image
    due: deque[Tick]


def scored(taken: Sequence[Taken]) -> list[FrameScore]:
    """Scores of frames of several watchers of one detector, in common batches: those that each would have alone."""
    raw: list[dict[str, list[float]]] = [{} for _ in taken]
    streams = taken[0].watcher.detector.streams if taken else {}
    while now := [place for place, each in enumerate(taken) if each.due]:
        told = tell([(taken[place].watcher.feed, *taken[place].due.popleft()) for place in now])
        for name, stream in streams.items():
            have = [(place, clips[name]) for place, clips in zip(now, told, strict=True) if name in clips]
            scores = scores_of(name, stream, [clip for _, clip in have])
            for (place, _), score in zip(have, scores, strict=True):
                raw[place].setdefault(name, []).append(score)
    return [each.watcher._score(each.image, own) for each, own in zip(taken, raw, strict=True)]
