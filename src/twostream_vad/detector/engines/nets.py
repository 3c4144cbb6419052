"""The nets behind the streams: loaded from their files, computed by whichever engine."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...machine import cpus
from ...nets.edge import FRAMES, RECENT, EdgeNet, unpacked
from ...nets.graphs import EncoderGraph, JointGraph, PredictorGraph
from ...nets.hashnet import HashNet
from ...nets.i3d import I3D, load_encoder
from ...nets.stunet import STUNet
from ...retrieval.placed import PLACE
from ...storage import fill, load_tensors
from .engine import TORCH, Engine, EngineError

Net = TypeVar("Net", bound=nn.Module)


class NetPredictor:
    """A `Predictor`: a trained STUNet at work; what a residual one adds to its last frame seen is added here."""

    def __init__(self, net: STUNet, engine: Engine = TORCH) -> None:
        self.residual = net.residual
        self.compute = engine.compile(PredictorGraph(net), clip_shape(net.encoder.size))

    @classmethod
    def load(cls, path: Path, *, width: float, size: int, residual: bool, engine: Engine = TORCH) -> "NetPredictor":
        """Of a model file; CheckpointError where it is missing, broken, or of another net."""
        net = filled(lambda: STUNet(width, size, residual=residual), load_tensors(path)[0], path)
        return cls(net, engine)

    def __call__(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, 8, S, S) → (N, 3, S, S)."""
        found = self.compute(seen)
        return found + seen[:, :, -1] if self.residual else found


class NetEncoder:
    """A `ClipEncoder`: an I3D with its last ReLU at work; ``by_place`` says which features it gives."""

    def __init__(self, net: I3D, source: str = "", engine: Engine = TORCH, *, by_place: bool = False) -> None:
        self.values = net.s4_channels if by_place else net.cells**2 * net.out_channels
        self.side, self.source = net.size // PLACE if by_place else 1, source
        self.compute = engine.compile(EncoderGraph(net, by_place=by_place), clip_shape(net.size))

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        width: float,
        size: int,
        cells: int,
        by_place: bool = False,
        source: str = "",
        engine: Engine = TORCH,
    ) -> "NetEncoder":
        """Of a file of an I3D or a STUNet; CheckpointError where it is missing, broken, or of another width."""
        net = filled(lambda: I3D(width, size, cells, final_relu=True), load_encoder(path), path)
        return cls(net, source or str(path), engine, by_place=by_place)

    def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, 8, S, S) → (N · side², values)."""
        return self.compute(clips).reshape(-1, self.values)


class NetJoint:
    """A STUNet whose encoder is retrieval's too, at work, as a `Model`: each clip passes the one encoder once."""

    def __init__(self, net: STUNet, engine: Engine = TORCH) -> None:
        self.at_once = self.callers = engine.at_once
        self.size, self.values, self.side = net.encoder.size, net.encoder.s4_channels, net.encoder.size // PLACE
        self.residual = net.residual
        self._compute = engine.compile(
            JointGraph(net),
            (FRAMES, 3, self.size, self.size),
            seen=lambda clip: np.ascontiguousarray(clip.swapaxes(1, 2)),
        )

    @classmethod
    def load(cls, path: Path, *, width: float, size: int, residual: bool, engine: Engine = TORCH) -> "NetJoint":
        """Of a STUNet's model file; CheckpointError where it is missing, broken, or of another net."""
        return cls(filled(lambda: STUNet(width, size, residual=residual), load_tensors(path)[0], path), engine)

    def see(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is kept of frames (N, 3, S, S): themselves."""
        return frames.reshape(len(frames), -1)

    def tell(self, ring: Tensor, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (N, 8, V), the last two also (N, 2, 3, S, S) → as `NetEdge.tell`."""
        frames = ring.reshape(len(ring), FRAMES, 3, self.size, self.size)
        found, features = unpacked(torch.from_numpy(self._compute(frames.numpy())), self.size, self.values)
        return (found + recent[:, -1] if self.residual else found), features


class NetEdge:
    """An EdgeNet at work: frame by frame, as a `Model`, and clip by clip, as `predictor` and `encoder` see it."""

    def __init__(self, net: EdgeNet, engine: Engine = TORCH) -> None:
        size = net.size
        self.size, self.values, self.side = size, net.values, size // PLACE
        self.at_once, self.callers = 1, cpus()  # two at once in one net are slower than one in each of both nets
        if engine.precision == "int8":
            raise EngineError("an EdgeNet is not computed in int8: it is small as it is; --precision bf16")
        engine = replace(engine, threads=1)  # so small a net has more of a core to itself: frames go side by side
        self.see = engine.compile(net.encoder, (3, size, size))
        self._head = engine.compile(net.head, (FRAMES, net.encoder.values(size)), (RECENT, 3, size, size))

    @classmethod
    def load(cls, path: Path, *, width: float, size: int, values: int, engine: Engine = TORCH) -> "NetEdge":
        """Of a model file; CheckpointError where it is missing, broken, or of another net."""
        return cls(filled(lambda: EdgeNet(width, size, values), load_tensors(path)[0], path), engine)

    def tell(self, ring: Tensor, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (N, 8, V) and frames (N, 2, 3, S, S) → the next frames (N, 3, S, S), features (N, places, values)."""
        change, features = unpacked(torch.from_numpy(self._head(ring.numpy(), recent.numpy())), self.size, self.values)
        return change + recent[:, -1], features

    def look(self, clips: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """What `tell` gives of clips (N, 3, 8, S, S)."""
        frames = torch.from_numpy(clips).transpose(1, 2).contiguous()
        maps = self.see(frames.flatten(0, 1).numpy())
        return self.tell(torch.from_numpy(maps).reshape(len(clips), FRAMES, -1), frames[:, -RECENT:].contiguous())

    def predictor(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """A `Predictor`: (N, 3, 8, S, S) → (N, 3, S, S)."""
        return self.look(seen)[0].numpy()

    def encoder(self, source: str = "") -> "EdgeEncoder":
        """A `ClipEncoder` by the same net."""
        return EdgeEncoder(self, source)


class EdgeEncoder:
    """A `ClipEncoder`: features of every place by an EdgeNet."""

    def __init__(self, model: NetEdge, source: str) -> None:
        self.model, self.values, self.side, self.source = model, model.values, model.side, source

    def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, 8, S, S) → (N · side², values)."""
        return self.model.look(clips)[1].reshape(-1, self.values).numpy()


class TorchHasher:
    """A `Hasher`: a trained HashNet on the CPU, put into eval mode."""

    def __init__(self, net: HashNet) -> None:
        self.net = net.eval()

    @classmethod
    def load(cls, path: Path, *, values: int, tables: int, bits: int) -> "TorchHasher":
        """Of a model file; CheckpointError where it is missing, broken, or of another net."""
        return cls(filled(lambda: HashNet(values, tables, bits), load_tensors(path)[0], path))

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """(N, values) → (N, b, r)."""
        with torch.inference_mode():
            # Copied: torch wants memory that it may write to, and a memory map is read-only.
            codes: Tensor = self.net(torch.from_numpy(np.array(features, dtype=np.float32)))
            return codes.numpy()


def clip_shape(size: int) -> tuple[int, ...]:
    """Of a clip that an I3D or a STUNet sees."""
    return 3, 8, size, size


def filled(build: Callable[[], Net], tensors: Mapping[str, Tensor], path: Path) -> Net:
    """A net with a file's tensors. No random weights are drawn: loading changes nothing in the process."""
    with torch.device("meta"):
        net = build()
    fill(net, tensors, path, assign=True)
    return net
