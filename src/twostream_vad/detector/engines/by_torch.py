"""Nets by torch, on whatever device it has."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...nets.graphs import folded
from .engine import Compute, Precision


def compiled(graph: nn.Module, precision: Precision, device: torch.device) -> Compute:
    """The graph with its norms folded, channels last in memory."""
    net = folded(graph).to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def compute(clips: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            given = torch.from_numpy(clips).to(device).contiguous(memory_format=torch.channels_last_3d)
            found: NDArray[np.float32] = net(given).float().cpu().numpy()
            return found

    return compute
