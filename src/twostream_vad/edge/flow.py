"""One net for both streams, frame by frame: what of each frame is kept, and the clips that the streams score."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..nets.edge import FRAMES
from ..scores.stream import Clip, Later
from ..video.views import Views


class Told(NamedTuple):
    """What the head gives at one frame: the next one (crops, 3, S, S), and features (crops, places, values)."""

    predicted: Tensor
    features: Tensor


class Model(Protocol):
    """An EdgeNet, or a STUNet whose encoder is both streams', by whichever engine.

    It tells ``at_once`` threads something at the same time, others wait; ``callers`` threads keep all cores busy.
    """

    at_once: int
    callers: int

    def see(self, frames: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Frames (N, 3, S, S) → their maps (N, V)."""
        ...

    def tell(self, ring: Tensor, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, 8, V) and the last two frames (N, 2, 3, S, S) → the next ones, and features (N, places, values)."""
        ...


class Memory:
    """What of one camera's past is kept: maps, frames, and what the head told of the last snippets."""

    def __init__(self, interval: int) -> None:
        self.maps = deque[Tensor](maxlen=(FRAMES - 1) * interval + 1)  # (crops, V) each
        self.views = deque[Tensor](maxlen=interval + 1)  # (crops, 3, S, S)
        self.told = deque[Future[Told]](maxlen=interval + 1)


class Flow:
    """Makes both streams' clips of the views of frames, by a model that sees each frame once.

    Recovery's are (1, crops, 3, 2, S, S), the frame as it was predicted and as it came; retrieval's are the features,
    (1, crops, places, values). Both streams' frames are ``interval`` ticks apart.
    """

    def __init__(self, model: Model, views: Views, interval: int) -> None:
        self.model, self.views, self.interval = model, views, interval

    def start(self) -> Memory:
        """For a camera of its own."""
        return Memory(self.interval)

    def see(self, seen: Sequence[tuple[Memory, Tensor]], pool: Executor | None = None) -> list[dict[str, Clip]]:
        """The next frame, (crops, 3, S, S), of each of several cameras → stream → its clip, where it has one now.

        With a ``pool``, of as many threads as the model has callers, `tell` works there and the clips are futures.
        """
        maps = torch.from_numpy(self.model.see(torch.cat([view for _, view in seen]).numpy()))
        for (memory, view), own in zip(seen, torch.split(maps, [len(view) for _, view in seen]), strict=True):
            memory.maps.append(own)
            memory.views.append(view)
        full = [memory for memory, _ in seen if len(memory.maps) == memory.maps.maxlen]
        if full:
            ring = torch.cat([torch.stack(list(memory.maps)[:: self.interval], dim=1) for memory in full])
            recent = torch.cat([torch.stack((memory.views[0], memory.views[-1]), dim=1) for memory in full])
            crops = [len(memory.views[-1]) for memory in full]
            futures = [Future[Told]() for _ in full]
            for memory, future in zip(full, futures, strict=True):
                memory.told.append(future)
            if pool is None:
                self._tell(ring, recent, crops, futures)
            else:
                pool.submit(self._tell, ring, recent, crops, futures)
        found = [self._clips(memory) for memory, _ in seen]
        return [{name: clip if pool else clip.result() for name, clip in clips.items()} for clips in found]

    def _tell(self, ring: Tensor, recent: Tensor, crops: Sequence[int], futures: Sequence["Future[Told]"]) -> None:
        try:
            predicted, features = (torch.split(each, list(crops)) for each in self.model.tell(ring, recent))
        except Exception as error:
            for future in futures:
                future.set_exception(error)
            return
        for future, frame, own in zip(futures, predicted, features, strict=True):
            future.set_result(Told(frame, own))

    def _clips(self, memory: Memory) -> "dict[str, Later]":
        if not memory.told:
            return {}
        now, view = memory.told[-1], memory.views[-1]
        clips = {"retrieval": Later(lambda: now.result().features[None])}
        if len(memory.told) > self.interval:
            before = memory.told[0]
            clips["recovery"] = Later(lambda: torch.stack((before.result().predicted, view), dim=2)[None])
        return clips


def foretold(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """A `Predictor` of clips that begin with what was predicted: (N, 3, 1, S, S) → (N, 3, S, S)."""
    return seen[:, :, 0]


class Known:
    """A `ClipEncoder` of clips that are features: (N, places, values)."""

    def __init__(self, values: int, side: int, source: str = "") -> None:
        self.values, self.side, self.source = values, side, source

    def __call__(self, clips: NDArray[Any]) -> NDArray[np.float32]:
        """→ (N · places, values)."""
        return clips.reshape(-1, self.values)
