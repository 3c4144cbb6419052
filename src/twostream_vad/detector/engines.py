"""The nets behind the streams, computed by torch; another engine is one more class of each kind."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ..nets.device import pick_device
from ..nets.hashnet import HashNet
from ..nets.i3d import I3D, load_encoder
from ..nets.stunet import STUNet
from ..retrieval.placed import PLACE
from ..storage import fill, load_tensors

Net = TypeVar("Net", bound=nn.Module)
Device = torch.device | None  # where a net computes; None: CUDA where there is one


class TorchPredictor:
    """A `Predictor`: a trained STUNet, put into eval mode."""

    def __init__(self, net: STUNet, device: Device = None) -> None:
        self.device = device or pick_device()
        self.net = _ready(net, self.device)

    @classmethod
    def load(cls, path: Path, *, width: float, size: int, residual: bool, device: Device = None) -> "TorchPredictor":
        """Of a model file; CheckpointError where it is missing, broken, or of another net."""
        return cls(_filled(lambda: STUNet(width, size, residual=residual), load_tensors(path)[0], path), device)

    def __call__(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, 8, S, S) → (N, 3, S, S)."""
        return _computed(self.net, seen, self.device)[:, :, 0].cpu().numpy()


class TorchEncoder:
    """A `ClipEncoder`: an I3D with its last ReLU, put into eval mode; ``by_place`` says which features it gives."""

    def __init__(self, net: I3D, source: str = "", device: Device = None, *, by_place: bool = False) -> None:
        self.device, self.source = device or pick_device(), source
        self.values = net.s4_channels if by_place else net.cells**2 * net.out_channels
        self.side, self.net = net.size // PLACE if by_place else 1, _ready(net, self.device)

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
        device: Device = None,
    ) -> "TorchEncoder":
        """Of a file of an I3D or a STUNet; CheckpointError where it is missing, broken, or of another width."""
        net = _filled(lambda: I3D(width, size, cells, final_relu=True), load_encoder(path), path)
        return cls(net, source or str(path), device, by_place=by_place)

    def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3, 8, S, S) → (N · side², values)."""
        if self.side == 1:
            return _computed(self.net, clips, self.device).float().reshape(-1, self.values).cpu().numpy()
        found = _computed(self.net.places, clips, self.device).float().reshape(-1, self.values)
        # As the hash net begins: what kind of thing lies there counts, not how strong its contrast is.
        return F.layer_norm(found, (self.values,)).cpu().numpy()


class TorchHasher:
    """A `Hasher`: a trained HashNet on the CPU, put into eval mode."""

    def __init__(self, net: HashNet) -> None:
        self.net = net.eval()

    @classmethod
    def load(cls, path: Path, *, values: int, tables: int, bits: int) -> "TorchHasher":
        """Of a model file; CheckpointError where it is missing, broken, or of another net."""
        return cls(_filled(lambda: HashNet(values, tables, bits), load_tensors(path)[0], path))

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """(N, values) → (N, b, r)."""
        with torch.inference_mode():
            # Copied: torch wants memory that it may write to, and a memory map is read-only.
            codes: Tensor = self.net(torch.from_numpy(np.array(features, dtype=np.float32)))
            return codes.numpy()


def _filled(build: Callable[[], Net], tensors: Mapping[str, Tensor], path: Path) -> Net:
    """A net with a file's tensors. No random weights are drawn: loading changes nothing in the process."""
    with torch.device("meta"):
        net = build()
    fill(net, tensors, path, assign=True)
    return net


def _ready(net: Net, device: torch.device) -> Net:
    ready: Net = net.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return ready


def _computed(net: Callable[[Tensor], Tensor], clips: NDArray[np.float32], device: torch.device) -> Tensor:
    with torch.inference_mode():
        given = torch.from_numpy(clips).to(device).contiguous(memory_format=torch.channels_last_3d)
        return net(given)
