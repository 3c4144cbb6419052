"""STUNet: a spatio-temporal U-Net that predicts the next frame (Cao et al. 2024, section III-B)."""

import itertools

import torch
from torch import Tensor, nn

from .i3d import EPS, I3D, MOMENTUM, EncoderMaps, channels, draw, init_from_scratch

WHOLE, FINE = 4, 16  # frames that a residual net's last convolutions see as they are, and these ones' channels


class STUNet(nn.Module):
    """I3D encoder, a T-conv on each skip, and a 2-D decoder (kernels of depth 1).

    108.1 M parameters and 112 GFLOP a crop (2 per multiply-add) at width 1 and size 256. ``width`` multiplies every
    channel count but the three colours; ``size`` is the side of the square input in pixels. With ``residual`` the
    decoder's output is added to the last frame seen, and starts as zero; and its last convolutions see the last
    ``WHOLE`` frames as they are, where the finest skip has a quarter of their resolution. Not in the paper: a small net
    learns in minutes what moves, where it would need hours to learn the background and edges.

    Raises:
        ValueError: a size that is no multiple of 128: the decoder doubles the pooled features twice to meet the
            encoder's last map.
    """

    def __init__(self, width: float = 1.0, size: int = 256, *, residual: bool = False) -> None:
        super().__init__()
        if size % 128 or size < 128:
            raise ValueError(f"size {size} must be a multiple of 128, such as 128 or 256")
        self.encoder = I3D(width, size, cells=size // 128, final_relu=False)
        self.tconv2 = t_conv(channels(256, width))
        self.tconv3 = t_conv(channels(512, width))
        self.tconv4 = t_conv(channels(1024, width))
        self.tconv5 = t_conv(channels(2048, width))
        self.decoder = Decoder(width, whole=WHOLE if residual else 0)
        self.residual = residual
        init_from_scratch(self.encoder)
        self.decoder.init()
        if residual:
            nn.init.zeros_(self.decoder.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 8, S, S), frames t … t+14 → the predicted frame t+16, (B, 3, 1, S, S)."""
        decoded = self.decoded(x)
        return decoded + x[:, :, -1:] if self.residual else decoded

    def decoded(self, x: Tensor) -> Tensor:
        """What `forward` gives, less the last frame seen where the net is ``residual``."""
        return self.decoded_of(self.encoder.maps(x), x)

    def decoded_of(self, maps: EncoderMaps, x: Tensor) -> Tensor:
        """As `decoded`, of the encoder's maps of the frames."""
        pooled = self.encoder.head(maps.s5)  # (B, 2048, 1, S/128, S/128)
        skips = self.tconv2(maps.pool), self.tconv3(maps.s3), self.tconv4(maps.s4), self.tconv5(maps.s5)
        if not self.residual:
            predicted: Tensor = self.decoder(pooled, *skips)
            return predicted
        last = x[:, :, -1:]
        whole = torch.cat((last, last - x[:, :, -WHOLE:-1]), dim=2)  # what has changed since the frames before
        changed: Tensor = self.decoder(pooled, *skips, whole.flatten(1, 2)[:, :, None])
        return changed


class Decoder(nn.Module):
    """Six doublings, the first four joined with the T-convs of the encoder's maps, the last with ``whole`` frames."""

    def __init__(self, width: float, whole: int = 0) -> None:
        super().__init__()
        w = {base: channels(base, width) for base in (32, 64, 128, 256, 512, 1024, 2048)}
        self.up1 = nn.Sequential(*one(w[2048], w[512]), *up(w[512], w[512]), *one(w[512], w[512]), *up(w[512], w[2048]))
        self.u1 = convs(2 * w[2048], w[512], w[512], w[2048])
        self.up2 = nn.Sequential(*up(w[2048], w[1024]))
        self.u2 = convs(2 * w[1024], w[256], w[256], w[1024])
        self.up3 = nn.Sequential(*up(w[1024], w[512]))
        self.u3 = convs(2 * w[512], w[128], w[128], w[512])
        self.up4 = nn.Sequential(*up(w[512], w[256]))
        self.u4 = convs(2 * w[256], w[64], w[64], w[256])
        self.up5 = nn.Sequential(*up(w[256], w[128]))
        self.u5 = convs(w[128], w[32], w[32], w[128])
        self.up6 = nn.Sequential(*up(w[128], w[64]))
        # The very last convolution has neither norm nor ReLU. Beside whole frames there is no norm at all: a batch of
        # four has other statistics than the camera at hand, by more than most pixels change.
        layers = list(convs(w[64] + 3 * whole, FINE, FINE, 3) if whole else convs(w[64], w[64], 3, 3))[:-2]
        if whole:
            layers = [layer for layer in layers if not isinstance(layer, nn.BatchNorm3d)]
        self.u6 = nn.Sequential(*layers)

    @property
    def last(self) -> nn.Conv3d:
        """The very last convolution."""
        layer = self.u6[-1]
        assert isinstance(layer, nn.Conv3d)
        return layer

    def init(self) -> None:
        """Kaiming normal weights, zero biases, transposed convolutions too."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                draw(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(
        self, pooled: Tensor, skip2: Tensor, skip3: Tensor, skip4: Tensor, skip5: Tensor, whole: Tensor | None = None
    ) -> Tensor:
        """Pooled features, the four skips of depth 1 and frames (B, 3 · whole, 1, S, S) → (B, 3, 1, S, S)."""
        x = self.u1(torch.cat((self.up1(pooled), skip5), dim=1))
        x = self.u2(torch.cat((self.up2(x), skip4), dim=1))  # (B, 1024, 1, S/16, S/16)
        x = self.u3(torch.cat((self.up3(x), skip3), dim=1))  # (B, 512, 1, S/8, S/8)
        x = self.u4(torch.cat((self.up4(x), skip2), dim=1))  # (B, 256, 1, S/4, S/4)
        x = self.u5(self.up5(x))  # (B, 128, 1, S/2, S/2)
        x = self.up6(x)
        predicted: Tensor = self.u6(x if whole is None else torch.cat((x, whole), dim=1))  # (B, 3, 1, S, S)
        return predicted


def t_conv(width: int) -> nn.Conv3d:
    """(B, C, 4, H, W) → (B, C, 1, H, W)."""
    return nn.Conv3d(width, width, (4, 1, 1))


def one(inp: int, out: int) -> list[nn.Module]:
    """1×1×1 convolution, norm, LeakyReLU."""
    return [nn.Conv3d(inp, out, 1), *norm(out)]


def up(inp: int, out: int) -> list[nn.Module]:
    """Transposed convolution that doubles height and width, norm, LeakyReLU."""
    return [nn.ConvTranspose3d(inp, out, (1, 2, 2), stride=(1, 2, 2)), *norm(out)]


def convs(*widths: int) -> nn.Sequential:
    """(1,3,3) convolutions from each width to the next, each with norm and LeakyReLU."""
    layers: list[nn.Module] = []
    for inp, out in itertools.pairwise(widths):
        layers += [nn.Conv3d(inp, out, (1, 3, 3), padding=(0, 1, 1)), *norm(out)]
    return nn.Sequential(*layers)


def norm(width: int) -> list[nn.Module]:
    """What follows every layer of the decoder but the last."""
    return [nn.BatchNorm3d(width, eps=EPS, momentum=MOMENTUM), nn.LeakyReLU(0.01, inplace=True)]
