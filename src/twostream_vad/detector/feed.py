"""The line that every frame goes along: clock → tick → view → each stream's clip. Files and cameras alike."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsvadError
from ..scores.stream import Clip, ClipBuffer, Stream, made
from ..video.ticks import Clock, Resampler
from ..video.views import Views

if TYPE_CHECKING:
    from ..edge.flow import Flow

Image = NDArray[np.uint8]
Tick = tuple[Image, bool]
"""An image, and whether it is lost."""


def score_of(name: str, stream: Stream, clips: Clip | None) -> float:
    """A stream's score of one clip; NaN of None. TsvadError where it is no number."""
    return scores_of(name, stream, [clips])[0]


def scores_of(name: str, stream: Stream, clips: Sequence[Clip | None]) -> list[float]:
    """A stream's scores of several cameras' clips, those of one shape together; see `score_of`."""
    found = [math.nan] * len(clips)
    alike: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
    for place, clip in enumerate(clips):
        if clip is not None:
            alike.setdefault(tuple(made(clip).shape), []).append((place, made(clip)))
    for together in alike.values():
        own = [clip for _, clip in together]
        scores = stream.score(own[0] if len(own) == 1 else torch.cat(own))
        for (place, _), score in zip(together, scores.tolist(), strict=True):
            if not math.isfinite(score):
                raise TsvadError(
                    f"{name} scores {score}; its net holds no numbers: copy the detector again, or fit again"
                )
            found[place] = score
    return found


class Feed:
    """Frames in, clips out; holds the views of the longest snippet and no more.

    The streams have learned ``rate`` ticks a second; ``source_rate`` frames a second come, as far as is known before.
    The first ``scored`` snippets of a stream are left out: their scores are known. Clips are made by ``flow``, where
    one net serves both streams, else they are the views of a snippet; with a ``pool`` the net works in its threads.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        rate: float,
        source_rate: float | None = None,
        scored: Mapping[str, int] | None = None,
        flow: "Flow | None" = None,
        pool: Executor | None = None,
    ) -> None:
        self.streams, self.clock = streams, Clock(source_rate or rate)
        self.resampler: Resampler[tuple[Image, bool]] = Resampler(rate)
        self.time = 0.0  # seconds of the last frame since the first, on the feed's own clock
        self.clips: dict[str, Clip | None] = dict.fromkeys(streams)  # the last
        self._buffers = {name: ClipBuffer(stream.snippet, batch=1) for name, stream in streams.items()}
        self._scored = dict(scored or {})
        self._flow, self._memory, self._pool = flow, flow.start() if flow else None, pool
        self._shape: tuple[int, ...] | None = None
        self._tick, self._lost = 0, -math.inf  # the last lost one

    def push(self, image: Image, stamp: float | None, *, lost: bool = False) -> list[dict[str, Clip | None]]:
        """Takes a frame (H, W, 3), uint8 RGB, and its time in seconds from any origin, None where it is not known.

        Gives for each tick that is decided now the clip, (1, crops, 3, T, S, S) or what ``flow`` makes, of every stream
        that has a new one: None for a snippet in whose span a frame is ``lost``, of which only the size is looked at.
        Raises TsvadError for what is no such image, or not as large as the ones before.
        """
        return [tell([(self, *taken)])[0] for taken in self.due(image, stamp, lost=lost)]

    def due(self, image: Image, stamp: float | None, *, lost: bool = False) -> list[Tick]:
        """Takes a frame as `push` does; gives the ticks that are decided now, for `tell` in their order."""
        self._check(image)
        self.time = self.clock.read(stamp)
        return self.resampler.push(self.time, (image, lost), self.clock.step)

    def _told(self, clips: Mapping[str, Clip], lost: bool) -> dict[str, Clip | None]:
        self._lost = self._tick if lost else self._lost
        told = {
            name: None if self._tick - self._lost <= self.streams[name].snippet.span else clip
            for name, clip in clips.items()
        }
        self._tick += 1
        self.clips |= told
        return told

    def _snippets(self, image: Image) -> dict[str, Clip]:
        seen: dict[Views, Tensor] = {}  # streams that look alike share a view
        found: dict[str, Clip] = {}
        for name, stream in self.streams.items():
            if self._tick < self._scored.get(name, 0):
                continue  # a snippet that begins here is scored already
            if stream.views not in seen:
                seen[stream.views] = stream.views.scored(image)
            if (clip := self._buffers[name].push(seen[stream.views])) is not None:
                found[name] = clip
        return found

    def _flowing(self, clips: Mapping[str, Clip]) -> dict[str, Clip]:
        """Those of the clips that ``flow`` has made which are not scored already."""
        begins = {name: self._tick - self.streams[name].snippet.span for name in clips}
        return {name: clip for name, clip in clips.items() if begins[name] >= self._scored.get(name, 0)}

    @property
    def _known(self) -> bool:
        """Whether all is scored already that this tick may be of use for."""
        return self._tick < min(self._scored.get(name, 0) for name in self.streams)

    def _check(self, image: Image) -> None:
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            what = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise TsvadError(f"a frame must be a uint8 array (H, W, 3), RGB, got {what}")
        if self._shape not in (None, image.shape):
            raise TsvadError(
                f"a frame of {image.shape[1]} x {image.shape[0]} pixels came after frames of another size: "
                "a camera that changes its size needs a new watcher"
            )
        self._shape = image.shape


def tell(ticks: Sequence[tuple[Feed, Image, bool]]) -> list[dict[str, Clip | None]]:
    """The next tick of each of several feeds of one detector → its clips, as `Feed.push` gives them.

    A tick is an image, and whether it is lost. An EdgeNet sees the frames of all feeds at once.
    """
    found: list[Mapping[str, Clip]] = [{} for _ in ticks]
    flow, pool = (ticks[0][0]._flow, ticks[0][0]._pool) if ticks else (None, None)
    flowing = []
    for place, (feed, image, _) in enumerate(ticks):
        if flow is None or feed._memory is None:
            found[place] = feed._snippets(image)
        elif not feed._known:
            flowing.append((place, feed, (feed._memory, flow.views.scored(image))))
    if flow is not None and flowing:
        for (place, feed, _), clips in zip(flowing, flow.see([seen for *_, seen in flowing], pool), strict=True):
            found[place] = feed._flowing(clips)
    return [feed._told(clips, lost) for (feed, _, lost), clips in zip(ticks, found, strict=True)]
