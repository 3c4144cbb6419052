"""What there is to see of a frame: the picture, where it is unlike its prediction, the nearest normal event."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..retrieval.exemplars import Match
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import RetrievalStream
from ..scores.stream import Clip, made
from .feed import Feed, Image
from .heat import Looking, Sight, joint_heat
from .parts import Parts

Clips = Mapping[str, Clip | None]  # stream → its last clip


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
    feed = Feed(detector.streams, detector.rate, rate, flow=detector.flow)
    for index, (image, stamp, lost) in enumerate(frames):
        if not left:
            return
        feed.push(image, stamp, lost=lost)
        if index == left[0]:
            left.pop(0)
            yield Explanation(index, image, heat(detector, feed.clips, image), nearest(detector, feed.clips))


def heat(detector: Parts, clips: Clips, image: Image) -> NDArray[np.float32] | None:
    """Where the streams' last clips are unlike normal ones, in the coordinates of the image (H, W, 3)."""
    height, width = image.shape[:2]
    sights: dict[str, Sight] = {}
    local: dict[str, NDArray[np.float32]] = {}
    for name, stream in detector.streams.items():
        clip, scale = clips.get(name), detector.heat.get(name)
        if isinstance(stream, Looking) and clip is not None and scale is not None:
            sights[name], local[name] = (
                (stream.grain, detector.weights[name], scale.high),
                stream.look(made(clip))[1][0],
            )
            views = stream.views
    return joint_heat(local, sights, views, height, width) if local else None


def nearest(detector: Parts, clips: Clips) -> Match | None:
    """The normal event nearest to retrieval's clip, in its crop, or its place, that is farthest from normal."""
    stream, clip, exemplars = detector.streams.get("retrieval"), clips.get("retrieval"), detector.exemplars
    if not isinstance(stream, RetrievalStream | PlacedStream) or clip is None or exemplars is None:
        return None
    return stream.nearest(stream.encoding.encode(made(clip))[0], exemplars)
