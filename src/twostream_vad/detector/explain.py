"""What there is to see of a frame: the picture, where it is unlike its prediction, the nearest normal event."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..recovery.heat import heat_map
from ..recovery.stream import RecoveryStream
from ..retrieval.exemplars import Match
from ..retrieval.stream import RetrievalStream
from ..scores.stream import Stream
from .feed import Feed, Image
from .parts import Parts

Clips = Mapping[str, Tensor | None]  # stream → its last clip, (1, crops, 3, T, S, S)


@dataclass(frozen=True)
class Explanation:
    """One frame, explained. ``heat`` (H, W) and ``nearest`` are None until their stream has seen a snippet."""

    frame: int
    image: Image
    heat: NDArray[np.float32] | None
    nearest: Match | None


def explain(
    detector: Parts, frames: Iterator[tuple[Image, float | None, bool]], rate: float | None, wanted: Iterable[int]
) -> Iterator[Explanation]:
    """Explains the wanted frames, in their order of time; nets look at the snippets that end there and at no others."""
    left = sorted(set(wanted))
    feed = Feed({name: _Unscored(stream) for name, stream in detector.streams.items()}, detector.rate, rate)
    for index, (image, stamp, lost) in enumerate(frames):
        if not left:
            return
        feed.push(image, stamp, lost=lost)
        if index == left[0]:
            left.pop(0)
            yield Explanation(index, image, heat(detector, feed.clips, image), nearest(detector, feed.clips))


def heat(detector: Parts, clips: Clips, image: Image) -> NDArray[np.float32] | None:
    """Where the last frame of context recovery's clip errs, in the coordinates of the image (H, W, 3)."""
    stream, clip = detector.streams.get("recovery"), clips.get("recovery")
    if not isinstance(stream, RecoveryStream) or clip is None:
        return None
    height, width = image.shape[:2]
    errors, boxes = stream.look(clip)[1][0], stream.views.boxes(height, width)
    size, window, stride = stream.views.size, stream.how.window, stream.stride
    return heat_map(errors, boxes, height=height, width=width, size=size, window=window, stride=stride)


def nearest(detector: Parts, clips: Clips) -> Match | None:
    """The normal event nearest to retrieval's clip, in its crop that is farthest from normal."""
    stream, clip, exemplars = detector.streams.get("retrieval"), clips.get("retrieval"), detector.exemplars
    if not isinstance(stream, RetrievalStream) or clip is None or exemplars is None:
        return None
    return exemplars.farthest(stream.tables, stream.hasher(stream.encoding.encode(clip)[0]))


class _Unscored:
    """A stream's geometry alone: its clips are gathered and no net looks at them."""

    def __init__(self, stream: Stream) -> None:
        self.snippet, self.views = stream.snippet, stream.views

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        return np.zeros(len(clips))
