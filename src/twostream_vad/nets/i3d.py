"""I3D ResNet-50 8×8, encoder of both streams (Carreira & Zisserman 2017; layers as in PySlowFast)."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..storage import CheckpointError, load_tensors

EPS, MOMENTUM = 1e-5, 0.1
# Stage → the temporal kernel of conv a, block by block.
STAGE_BLOCKS = {2: (3, 3, 3), 3: (3, 1, 3, 1), 4: (3, 1, 3, 1, 3, 1), 5: (1, 3, 1)}


def channels(base: int, width: float) -> int:
    """``base`` channels of the paper's net at a width multiplier, a multiple of 4 and at least 4."""
    return max(4, int(base * width / 4 + 0.5) * 4)


class EncoderMaps(NamedTuple):
    """What the decoder's skips see; T' is half of the snippet's frames, S the input's side."""

    pool: Tensor  # (B, 256w, T', S/4, S/4)
    s3: Tensor  # (B, 512w, T', S/8, S/8)
    s4: Tensor  # (B, 1024w, T', S/16, S/16)
    s5: Tensor  # (B, 2048w, T', S/32, S/32)


class I3D(nn.Module):
    """Encoder from a snippet to feature maps and to pooled features of cells × cells positions.

    ``width`` multiplies every channel count; 1 is the paper's net. ``size`` is the side of the square input in pixels.
    The last block of s5 ends in its ReLU in knowledge retrieval, not in context recovery.

    Raises:
        ValueError: a size that is no multiple of 32, or too small for ``cells``.
    """

    def __init__(self, width: float = 1.0, size: int = 256, cells: int = 2, *, final_relu: bool = True) -> None:
        super().__init__()
        if size % 32 or size < 32 * cells:
            raise ValueError(f"size {size} must be a multiple of 32, and at least {32 * cells} for {cells} cells")
        inner, outer = channels(64, width), channels(256, width)
        self.stem = Stem(channels(64, width))
        self.s2 = stage(2, channels(64, width), inner, outer, stride=1)
        self.pool = nn.MaxPool3d((2, 1, 1), stride=(2, 1, 1))
        self.s3 = stage(3, outer, channels(128, width), channels(512, width), stride=2)
        self.s4 = stage(4, channels(512, width), channels(256, width), channels(1024, width), stride=2)
        self.s5 = stage(5, channels(1024, width), channels(512, width), channels(2048, width), stride=2)
        self.s4_channels, self.out_channels = channels(1024, width), channels(2048, width)
        window = size // 32 - cells + 1  # 7 at the paper's 256
        self.head = nn.AvgPool3d((4, window, window), stride=1)
        self.cells, self.size = cells, size
        last = self.s5[-1]
        assert isinstance(last, Bottleneck)
        last.final_relu = final_relu

    def maps(self, x: Tensor) -> EncoderMaps:
        """(B, 3, 8, S, S) → the maps at four depths."""
        pool = self.pool(self.s2(self.stem(x)))  # (B, 256, 4, S/4, S/4)
        s3 = self.s3(pool)  # (B, 512, 4, S/8, S/8)
        s4 = self.s4(s3)  # (B, 1024, 4, S/16, S/16)
        s5 = self.s5(s4)  # (B, 2048, 4, S/32, S/32)
        return EncoderMaps(pool, s3, s4, s5)

    def places(self, x: Tensor) -> Tensor:
        """(B, 3, 8, S, S) → features of every place: s4, mean over time, channel last, (B, S/16, S/16, 1024w)."""
        return of_places(self.s4(self.s3(self.pool(self.s2(self.stem(x))))))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 8, S, S) → pooled features, channel last: (B, 1, cells, cells, 2048w)."""
        pooled: Tensor = self.head(self.maps(x).s5)  # (B, 2048, 1, 2, 2)
        return pooled.permute(0, 2, 3, 4, 1)


def of_places(s4: Tensor) -> Tensor:
    """The map s4 (B, C, T', P, P) → features of every place, (B, P, P, C)."""
    return s4.mean(2).permute(0, 2, 3, 1)


class Stem(nn.Module):
    """s1: 5×7×7 convolution, norm, ReLU, spatial max pool."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, out, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False)
        self.norm = nn.BatchNorm3d(out, eps=EPS, momentum=MOMENTUM)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 8, S, S) → (B, 64, 8, S/4, S/4)."""
        pooled: Tensor = self.pool(torch.relu_(self.norm(self.conv(x))))
        return pooled


class Bottleneck(nn.Module):
    """A residual block: (k,1,1), then (1,3,3), then 1×1×1 convolutions, each with its norm."""

    def __init__(self, inp: int, inner: int, out: int, *, temporal: int, stride: int, project: bool) -> None:
        super().__init__()
        self.a = nn.Conv3d(inp, inner, (temporal, 1, 1), padding=(temporal // 2, 0, 0), bias=False)
        self.a_norm = nn.BatchNorm3d(inner, eps=EPS, momentum=MOMENTUM)
        self.b = nn.Conv3d(inner, inner, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False)
        self.b_norm = nn.BatchNorm3d(inner, eps=EPS, momentum=MOMENTUM)
        self.c = nn.Conv3d(inner, out, 1, bias=False)
        self.c_norm = nn.BatchNorm3d(out, eps=EPS, momentum=MOMENTUM)
        self.shortcut = nn.Conv3d(inp, out, 1, stride=(1, stride, stride), bias=False) if project else None
        self.shortcut_norm = nn.BatchNorm3d(out, eps=EPS, momentum=MOMENTUM) if project else None
        self.final_relu = True

    def forward(self, x: Tensor) -> Tensor:
        """(B, inp, T, H, W) → (B, out, T, H / stride, W / stride)."""
        kept = x
        if self.shortcut is not None and self.shortcut_norm is not None:
            kept = self.shortcut_norm(self.shortcut(x))
        x = torch.relu_(self.a_norm(self.a(x)))
        x = torch.relu_(self.b_norm(self.b(x)))
        x = self.c_norm(self.c(x)) + kept
        return torch.relu_(x) if self.final_relu else x


def stage(number: int, inp: int, inner: int, out: int, *, stride: int) -> nn.Sequential:
    """The blocks of s2 … s5; the first one strides and projects its shortcut."""
    first, *others = STAGE_BLOCKS[number]
    return nn.Sequential(
        Bottleneck(inp, inner, out, temporal=first, stride=stride, project=True),
        *(Bottleneck(out, inner, out, temporal=temporal, stride=1, project=False) for temporal in others),
    )


def init_from_scratch(net: nn.Module) -> None:
    """Convolutions Kaiming normal, norms at weight 1 and bias 0 (He et al. 2015)."""
    for module in net.modules():
        if isinstance(module, nn.Conv3d):
            draw(module.weight)
        elif isinstance(module, nn.BatchNorm3d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def draw(weight: Tensor) -> None:
    """Kaiming normal; nothing on the meta device, where drawing would load torch's compiler for seconds."""
    if not weight.is_meta:
        nn.init.kaiming_normal_(weight)


def width_of(tensors: Mapping[str, Tensor]) -> float:
    """The width of the net that these tensors are of: what its last convolution has of 2048 channels; without it 1."""
    return len(tensors.get("s5.0.c.weight", ())) / 2048 or 1.0


def load_encoder(path: Path) -> dict[str, Tensor]:
    """The encoder's tensors out of a safetensors file of an I3D or, less their ``encoder.``, of a STUNet, of any width.

    CheckpointError for no safetensors file, or that of another net.
    """
    if path.is_file() and path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: no safetensors file; run: tsvad weights import {path} --out X.safetensors")
    tensors = load_tensors(path)[0]
    if any(name.startswith("encoder.") for name in tensors):
        tensors = {n.removeprefix("encoder."): t for n, t in tensors.items() if n.startswith("encoder.")}
    if "stem.conv.weight" not in tensors:
        first = ", ".join(list(tensors)[:10]) or "none"
        raise CheckpointError(f"{path}: holds no encoder; its tensors: {first}; give an I3D's or a STUNet's")
    return tensors
