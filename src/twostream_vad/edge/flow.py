"""EdgeNet frame by frame: what of each frame is kept, and the clips that both streams score."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..nets.edge import FRAMES
from ..video.views import Views


class Model(Protocol):
    """An EdgeNet, by whichever engine."""

    see: Callable[..., NDArray[np.float32]]
    """Frames (N, 3, S, S) → their maps (N, V)."""

    def tell(self, ring: Tensor, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, 8, V) and the last two frames (N, 2, 3, S, S) → the next ones, and features (N, places, values)."""
        ...


class Memory:
    """What of one camera's past is kept: maps, frames and predictions."""

    def __init__(self, interval: int) -> None:
        self.maps = deque[Tensor](maxlen=(FRAMES - 1) * interval + 1)  # (crops, V) each
        self.views = deque[Tensor](maxlen=interval + 1)  # (crops, 3, S, S)
        self.predicted = deque[Tensor](maxlen=interval)


class EdgeFlow:
    """Makes both streams' clips of the views of frames, each of which the encoder sees once.

    Recovery's are (1, crops, 3, 2, S, S), the frame as it was predicted and as it came; retrieval's are the features,
    (1, crops, places, values). Both streams' frames are ``interval`` ticks apart.
    """

    def __init__(self, model: Model, views: Views, interval: int) -> None:
        self.model, self.views, self.interval = model, views, interval

    def start(self) -> Memory:
        """For a camera of its own."""
        return Memory(self.interval)

    def see(self, seen: Sequence[tuple[Memory, Tensor]]) -> list[dict[str, Tensor]]:
        """The next frame, (crops, 3, S, S), of each of several cameras → stream → its clip, where it has one now."""
        maps = torch.from_numpy(self.model.see(torch.cat([view for _, view in seen]).numpy()))
        for (memory, view), own in zip(seen, torch.split(maps, [len(view) for _, view in seen]), strict=True):
            memory.maps.append(own)
            memory.views.append(view)
        found = [self._foretold(memory) for memory, _ in seen]
        full = [place for place, (memory, _) in enumerate(seen) if len(memory.maps) == memory.maps.maxlen]
        if full:
            self._tell([seen[place][0] for place in full], [found[place] for place in full])
        return found

    def _foretold(self, memory: Memory) -> dict[str, Tensor]:
        if len(memory.predicted) < self.interval:
            return {}
        return {"recovery": torch.stack((memory.predicted[0], memory.views[-1]), dim=2)[None]}

    def _tell(self, memories: Sequence[Memory], found: Sequence[dict[str, Tensor]]) -> None:
        ring = torch.cat([torch.stack(list(memory.maps)[:: self.interval], dim=1) for memory in memories])
        recent = torch.cat([torch.stack((memory.views[0], memory.views[-1]), dim=1) for memory in memories])
        crops = [len(memory.views[-1]) for memory in memories]
        predicted, features = (torch.split(each, crops) for each in self.model.tell(ring, recent))
        for memory, clips, frame, own in zip(memories, found, predicted, features, strict=True):
            memory.predicted.append(frame)
            clips["retrieval"] = own[None]


def foretold(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """A `Predictor` of clips that begin with what was predicted: (N, 3, 1, S, S) → (N, 3, S, S)."""
    return seen[:, :, 0]


class Told:
    """A `ClipEncoder` of clips that are features: (N, places, values)."""

    def __init__(self, values: int, side: int, source: str = "") -> None:
        self.values, self.side, self.source = values, side, source

    def __call__(self, clips: NDArray[Any]) -> NDArray[np.float32]:
        """→ (N · places, values)."""
        return clips.reshape(-1, self.values)
