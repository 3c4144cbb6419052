"""Where nets compute."""

import torch


def pick_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A forward pass in ``precision``: float32, bfloat16, or ``auto``: bfloat16 on a CPU that computes in it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16(device, precision))


def in_bfloat16(device: torch.device, precision: str) -> bool:
    """Whether a forward pass of such a ``precision`` is one in bfloat16."""
    if precision != "auto":
        return precision == "bfloat16"
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
