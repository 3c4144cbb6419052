"""EdgeNet: both streams in one small net that every frame passes once. Not in the paper.

A 2-D encoder sees each frame; a head sees the maps of the last eight, kept from one frame to the next (as in TSM
online, Lin et al. 2019, and MoViNet's stream buffers, Kondratyuk et al. 2021), and gives the next frame and features
of every place. It learns from a fitted STUNet and I3D (`edge.distil`).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .i3d import EPS, MOMENTUM, channels

FRAMES = 8  # whose maps the head sees
GRAIN = (4, 8, 16)  # pixels a cell of the encoder's maps
KEPT = (16, 32, 64)  # their channels at width 1
RECENT = 2  # frames that the head sees as they are: the one before, and the last


class FrameEncoder(nn.Module):
    """One frame → its maps at three depths, packed into one row: 0.09 GFLOP and 28,672 values of 128 pixels a side."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        first, second, third, fourth = (channels(base, width) for base in (16, 32, 64, 96))
        self.kept = tuple(channels(base, width) for base in KEPT)
        self.stem = nn.Sequential(conv(12, first), conv(first, second, stride=2), conv(second, second))  # S/2, then S/4
        self.middle = nn.Sequential(conv(second, third, stride=2), conv(third, third))
        self.last = nn.Sequential(conv(third, fourth, stride=2), conv(fourth, fourth))
        self.outs = nn.ModuleList(
            conv(inp, out, 1) for inp, out in zip((second, third, fourth), self.kept, strict=True)
        )

    def values(self, size: int) -> int:
        """Of the maps of one frame."""
        return sum(kept * (size // grain) ** 2 for kept, grain in zip(self.kept, GRAIN, strict=True))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, S, S) → (N, values)."""
        fine = self.stem(F.pixel_unshuffle(frames, 2))
        middle = self.middle(fine)
        maps = (fine, middle, self.last(middle))
        return torch.cat([out(each).flatten(1) for out, each in zip(self.outs, maps, strict=True)], dim=1)


class TemporalHead(nn.Module):
    """The maps of eight frames, and the last two as they are → the change to the next frame, features of each place."""

    def __init__(self, width: float, size: int, values: int) -> None:
        super().__init__()
        self.kept = tuple(channels(base, width) for base in KEPT)
        self.size, self.values = size, values
        fine, middle, coarse, wide = (channels(base, width) for base in (32, 64, 96, 128))
        first, second, third = (FRAMES * each for each in self.kept)
        self.joins = nn.ModuleList((conv(first, fine, 1), conv(second, middle, 1), conv(third, coarse, 1)))
        self.downs = nn.ModuleList((conv(fine, middle, stride=2), conv(middle, coarse, stride=2)))
        self.mixes = nn.ModuleList((conv(fine, fine), conv(middle, middle), conv(coarse, coarse)))
        self.features = nn.Sequential(conv(coarse, coarse), conv(coarse, wide, 1), nn.Conv2d(wide, values, 1))
        self.up3, self.meet2 = conv(coarse, middle, 1), conv(middle, middle)
        self.up2, self.meet1 = conv(middle, fine, 1), conv(fine, fine)
        last = channels(16, width)
        self.up1 = nn.Conv2d(fine, last, 1)
        # No norms beside the frames themselves, as in STUNet's residual form; what is predicted starts as no change.
        self.whole = nn.Conv2d(12 * RECENT, last, 3, padding=1)
        self.change = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(last, 12, 3, padding=1))
        nn.init.zeros_(self.change[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.change[-1].bias)  # type: ignore[arg-type]

    def forward(self, ring: Tensor, recent: Tensor) -> Tensor:
        """(N, 8, values of a frame) and (N, 2, 3, S, S), oldest first → (N, 3 · S · S + places · values).

        The change from the last frame to the next one, then the features, without their length and offset; packed, so
        that every engine has one output.
        """
        maps = self.joined(ring)
        return torch.cat((self.changed(maps, recent).flatten(1), self.known(maps).flatten(1)), dim=1)

    def joined(self, ring: Tensor) -> list[Tensor]:
        """Maps of all eight frames together, at each depth."""
        fine, middle, coarse = self.maps(ring)
        fine = self.mixes[0](self.joins[0](fine))
        middle = self.mixes[1](self.joins[1](middle) + self.downs[0](fine))
        return [fine, middle, self.mixes[2](self.joins[2](coarse) + self.downs[1](middle))]

    def known(self, maps: list[Tensor]) -> Tensor:
        """Features of every place, (N, places, values), of `joined` maps."""
        features = self.features(maps[-1]).flatten(2).transpose(1, 2)
        return F.layer_norm(features.float(), (self.values,))

    def changed(self, maps: list[Tensor], recent: Tensor) -> Tensor:
        """The change to the next frame, (N, 3, S, S), of `joined` maps and the last two frames (N, 2, 3, S, S)."""
        fine, middle, coarse = maps
        decoded = self.meet2(middle + doubled(self.up3(coarse)))
        decoded = self.meet1(fine + doubled(self.up2(decoded)))
        before, last = recent[:, 0], recent[:, 1]
        whole = torch.cat((F.pixel_unshuffle(last, 2), F.pixel_unshuffle(last - before, 2)), dim=1)
        return F.pixel_shuffle(self.change(doubled(self.up1(decoded)) + self.whole(whole)), 2).float()

    def maps(self, ring: Tensor) -> list[Tensor]:
        """Unpacked: of each depth (N, 8 · channels, side, side)."""
        found, at = [], 0
        for kept, grain in zip(self.kept, GRAIN, strict=True):
            side = self.size // grain
            values = kept * side * side
            found.append(ring[:, :, at : at + values].reshape(-1, FRAMES * kept, side, side))
            at += values
        return found


class EdgeNet(nn.Module):
    """Encoder and head; ``width`` multiplies channel counts, ``values`` are those of a place's features.

    At width 1 665,000 parameters; 0.28 GFLOP a crop of 128 pixels and frame (2 per multiply-add).
    Raises ValueError for a size that is no multiple of 32.
    """

    def __init__(self, width: float = 1.0, size: int = 128, values: int = 128) -> None:
        super().__init__()
        if size % 32 or size < 32:
            raise ValueError(f"size {size} must be a multiple of 32, such as 64, 96 or 128")
        self.encoder, self.head = FrameEncoder(width), TemporalHead(width, size, values)
        self.size, self.values = size, values
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta and module is not self.head.change[-1]:
                nn.init.kaiming_normal_(module.weight)

    def forward(self, clips: Tensor, interval: int = 1, *, predict: bool = True) -> tuple[Tensor | None, Tensor]:
        """Frames (N, 3, T, S, S) → changes (N · n, 3, S, S), if asked for, and features (N · n, places, values).

        Of every run of eight frames, ``interval`` apart, what streaming gives at its last frame; n = T - 7 · interval,
        all of the first clip first.
        """
        span = (FRAMES - 1) * interval
        frames = clips.transpose(1, 2)  # (N, T, 3, S, S)
        seen = self.encoder(frames.flatten(0, 1))
        seen = seen.reshape(*frames.shape[:2], -1)  # (N, T, values)
        ring = seen.unfold(1, span + 1, 1)[..., ::interval].transpose(2, 3).flatten(0, 1)  # (N · n, 8, values)
        recent = torch.stack((frames[:, span - interval : -interval], frames[:, span:]), dim=2).flatten(0, 1)
        maps = self.head.joined(ring)
        return self.head.changed(maps, recent) if predict else None, self.head.known(maps)


def unpacked(found: Tensor, size: int, values: int) -> tuple[Tensor, Tensor]:
    """What a head gives, of crops of ``size`` pixels: the change (N, 3, S, S), features (N, places, values)."""
    change, features = found[:, : 3 * size**2], found[:, 3 * size**2 :]
    return change.reshape(-1, 3, size, size), features.reshape(len(found), -1, values)


def values_of(tensors: Mapping[str, Tensor]) -> int:
    """Values of a place's features, by the net that these tensors are of; 0 where they are of another."""
    return len(tensors.get("head.features.2.bias", ()))


def conv(inp: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """2-D convolution, norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inp, out, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out, eps=EPS, momentum=MOMENTUM),
        nn.ReLU(inplace=True),
    )


def doubled(maps: Tensor) -> Tensor:
    """Twice as high and wide."""
    return F.interpolate(maps, scale_factor=2, mode="nearest")
