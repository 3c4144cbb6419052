"""The line that every frame goes along: clock → tick → view → each stream's clip. Files and cameras alike."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsvadError
from ..scores.stream import ClipBuffer, Stream
from ..video.ticks import Clock, Resampler
from ..video.views import Views

Image = NDArray[np.uint8]


def score_of(name: str, stream: Stream, clips: Tensor | None) -> float:
    """A stream's score of one clip; NaN of None. TsvadError where it is no number."""
    if clips is None:
        return math.nan
    found = float(stream.score(clips)[0])
    if not math.isfinite(found):
        raise TsvadError(f"{name} scores {found}; its net holds no numbers: copy the detector again, or fit again")
    return found


class Feed:
    """Frames in, clips out; holds the views of the longest snippet and no more.

    The streams have learned ``rate`` ticks a second; ``source_rate`` frames a second come, as far as is known before.
    The first ``scored`` snippets of a stream are left out: their scores are known.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        rate: float,
        source_rate: float | None = None,
        scored: Mapping[str, int] | None = None,
    ) -> None:
        self.streams, self.clock = streams, Clock(source_rate or rate)
        self.resampler: Resampler[tuple[Image, bool]] = Resampler(rate)
        self.time = 0.0  # seconds of the last frame since the first, on the feed's own clock
        self.clips: dict[str, Tensor | None] = dict.fromkeys(streams)  # the last
        self._buffers = {name: ClipBuffer(stream.snippet, batch=1) for name, stream in streams.items()}
        self._scored = dict(scored or {})
        self._shape: tuple[int, ...] | None = None
        self._tick, self._lost = 0, -math.inf  # the last lost one

    def push(self, image: Image, stamp: float | None, *, lost: bool = False) -> list[dict[str, Tensor | None]]:
        """Takes a frame (H, W, 3), uint8 RGB, and its time in seconds from any origin, None where it is not known.

        Gives for each tick that is decided now the clip, (1, crops, 3, T, S, S), of every stream that has a new one:
        None for a snippet in whose span a frame is ``lost``, of which only the size is looked at. Raises TsvadError for
        what is no such image, or not as large as the ones before.
        """
        self._check(image)
        self.time = self.clock.read(stamp)
        return [self._tell(*taken) for taken in self.resampler.push(self.time, (image, lost), self.clock.step)]

    def _tell(self, image: Image, lost: bool) -> dict[str, Tensor | None]:
        seen: dict[Views, Tensor] = {}  # streams that look alike share a view
        found = {}
        self._lost = self._tick if lost else self._lost
        for name, stream in self.streams.items():
            if self._tick < self._scored.get(name, 0):
                continue  # a snippet that begins here is scored already
            if stream.views not in seen:
                seen[stream.views] = stream.views.scored(image)
            clips = self._buffers[name].push(seen[stream.views])
            if clips is not None:
                found[name] = None if self._tick - self._lost <= stream.snippet.span else clips
        self._tick += 1
        self.clips |= found
        return found

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
