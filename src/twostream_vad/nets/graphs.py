"""What an engine computes of a net: one function from clips to numbers, whatever computes it."""

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .i3d import I3D, of_places
from .stunet import STUNet


class PredictorGraph(nn.Module):
    """STUNet less the frame that a residual one adds: that sum is the engine's caller's, in float32.

    What changes between frames is small against the frames: in bfloat16 their sum would be mostly rounding.
    """

    def __init__(self, net: STUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, clips: Tensor) -> Tensor:
        """(N, 3, 8, S, S) → (N, 3, S, S)."""
        return self.net.decoded(clips)[:, :, 0]


class EncoderGraph(nn.Module):
    """I3D's features: pooled, one row a clip; or ``by_place``, one a place, without their length and offset."""

    def __init__(self, net: I3D, *, by_place: bool) -> None:
        super().__init__()
        self.net, self.by_place = net, by_place

    def extra_repr(self) -> str:
        """Tells both forms apart, which have the same tensors."""
        return f"by_place={self.by_place}"

    def forward(self, clips: Tensor) -> Tensor:
        """(N, 3, 8, S, S) → (N, places, values); one place where features are pooled."""
        if not self.by_place:
            pooled: Tensor = self.net(clips)
            return pooled.flatten(1)[:, None]
        return kinds(self.net.places(clips))


class JointGraph(nn.Module):
    """Both of what `PredictorGraph` and an `EncoderGraph` by place give, by one encoder, a row a clip."""

    def __init__(self, net: STUNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 8, 3, S, S) → (N, 3 · S² + places · values)."""
        clips = frames.transpose(1, 2)
        maps = self.net.encoder.maps(clips)
        change = self.net.decoded_of(maps, clips).flatten(1)
        return torch.cat((change.float(), kinds(of_places(maps.s4)).flatten(1)), dim=1)


def kinds(places: Tensor) -> Tensor:
    """Features of places (N, P, P, values) → (N, P², values) without their length and offset.

    As the hash net begins: what kind of thing lies there counts, not how strong its contrast is.
    """
    return F.layer_norm(places.flatten(1, 2).float(), (places.shape[-1],))


def folded(net: nn.Module) -> nn.Module:
    """A copy in eval mode whose norms lie in the convolutions before them: the same function but for rounding."""
    found = copy.deepcopy(net).eval()
    for module in found.modules():
        for (name, layer), (norm, following) in itertools.pairwise(list(module.named_children())):
            if isinstance(following, nn.BatchNorm2d | nn.BatchNorm3d):
                assert isinstance(layer, nn.Conv2d | nn.Conv3d | nn.ConvTranspose3d)
                turned = isinstance(layer, nn.ConvTranspose3d)
                setattr(module, name, fuse_conv_bn_eval(layer, following, transpose=turned))
                setattr(module, norm, nn.Identity())
    return found
