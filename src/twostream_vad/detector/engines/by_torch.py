"""Nets by torch, on whatever device it has."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...nets.graphs import folded
from .engine import Compute, Precision


def compiled(graph: nn.Module, precision: Precision, device: torch.device) -> Compute:
    """The graph with its norms folded, channels last in memory."""
    net = folded(graph)
    flat = any(isinstance(module, nn.Conv2d) for module in net.modules())
    form, axes = (torch.channels_last, 4) if flat else (torch.channels_last_3d, 5)
    net = net.to(device, memory_format=form)  # type: ignore[call-overload]

    def compute(*given: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            tensors = [torch.from_numpy(each).to(device) for each in given]
            tensors = [each.contiguous(memory_format=form) if each.ndim == axes else each for each in tensors]
            found: NDArray[np.float32] = net(*tensors).float().cpu().numpy()
            return found

    return compute
