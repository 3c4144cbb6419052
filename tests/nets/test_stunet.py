"""STUNet against the paper's table, and against the same layers written out with plain functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from twostream_vad.nets.stunet import STUNet

SIZE, TINY = 128, 1 / 16

# Group → its layers: kind of layer, channels in, channels out. Each but the very last has a norm.
DECODER = {
    "up1": [("one", 2048, 512), ("up", 512, 512), ("one", 512, 512), ("up", 512, 2048)],
    "u1": [("conv", 4096, 512), ("conv", 512, 512), ("conv", 512, 2048)],
    "up2": [("up", 2048, 1024)],
    "u2": [("conv", 2048, 256), ("conv", 256, 256), ("conv", 256, 1024)],
    "up3": [("up", 1024, 512)],
    "u3": [("conv", 1024, 128), ("conv", 128, 128), ("conv", 128, 512)],
    "up4": [("up", 512, 256)],
    "u4": [("conv", 512, 64), ("conv", 64, 64), ("conv", 64, 256)],
    "up5": [("up", 256, 128)],
    "u5": [("conv", 128, 32), ("conv", 32, 32), ("conv", 32, 128)],
    "up6": [("up", 128, 64)],
    "u6": [("conv", 64, 64), ("conv", 64, 3), ("conv", 3, 3)],
}
JOINED = {"u1": 5, "u2": 4, "u3": 3, "u4": 2}
"""Group → the stage whose T-conv is joined before it; 2 stands for the pool after s2."""


def table_shapes() -> dict[str, list[int]]:
    """Every tensor of the paper's decoder and T-convs, from the table."""
    shapes: dict[str, list[int]] = {}
    for stage, width in {2: 256, 3: 512, 4: 1024, 5: 2048}.items():
        shapes |= {f"tconv{stage}.weight": [width, width, 4, 1, 1], f"tconv{stage}.bias": [width]}
    for group, layers in DECODER.items():
        for number, (kind, inp, out) in enumerate(layers):
            name = f"decoder.{group}.{3 * number}"
            kernel = {"one": [1, 1, 1], "up": [1, 2, 2], "conv": [1, 3, 3]}[kind]
            ends = [inp, out] if kind == "up" else [out, inp]
            shapes |= {f"{name}.weight": ends + kernel, f"{name}.bias": [out]}
            if (group, number) != ("u6", 2):
                norm = f"decoder.{group}.{3 * number + 1}"
                shapes |= {f"{norm}.{k}": [out] for k in ("weight", "bias", "running_mean", "running_var")}
                shapes |= {f"{norm}.num_batches_tracked": []}
    return shapes


def plain_prediction(net: STUNet, clip: Tensor) -> Tensor:
    """The decoder of (B, 3, 8, S, S) in eval mode, 2-D layer by 2-D layer."""
    state = net.state_dict()
    maps = net.encoder.maps(clip)
    skips = {
        stage: torch.einsum("bcthw,dct->bdhw", found, state[f"tconv{stage}.weight"][..., 0, 0])
        + state[f"tconv{stage}.bias"].view(1, -1, 1, 1)
        for stage, found in zip((2, 3, 4, 5), maps, strict=True)
    }
    x = maps.s5.mean(2)
    x = F.avg_pool2d(x, x.shape[-1] - clip.shape[-1] // 128 + 1, 1)
    for group, layers in DECODER.items():
        if group in JOINED:
            x = torch.cat((x, skips[JOINED[group]]), dim=1)
        for number, (kind, _, _) in enumerate(layers):
            name = f"decoder.{group}.{3 * number}"
            weight, bias = state[f"{name}.weight"][:, :, 0], state[f"{name}.bias"]
            x = F.conv_transpose2d(x, weight, bias, 2) if kind == "up" else F.conv2d(x, weight, bias, padding="same")
            if (group, number) != ("u6", 2):
                norm = {k: state[f"decoder.{group}.{3 * number + 1}.{k}"] for k in ("weight", "bias")}
                mean, var = (
                    state[f"decoder.{group}.{3 * number + 1}.running_{k}"].view(1, -1, 1, 1) for k in ("mean", "var")
                )
                x = (x - mean) / (var + 1e-5).sqrt()
                x = x * norm["weight"].view(1, -1, 1, 1) + norm["bias"].view(1, -1, 1, 1)
                x = torch.where(x > 0, x, 0.01 * x)
    return x[:, :, None]


@pytest.fixture(scope="module")
def net() -> STUNet:
    """A tiny net whose norms are no identities."""
    torch.manual_seed(3)
    net = STUNet(TINY, SIZE)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


def test_every_tensor_of_the_papers_net_has_its_shape() -> None:
    with torch.device("meta"):
        net = STUNet()
    shapes = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    assert {k: v for k, v in shapes.items() if not k.startswith("encoder.")} == table_shapes()
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 1) == 108.1


@pytest.mark.parametrize(("width", "size"), [(1, 256), (1 / 8, 128), (1 / 4, 384)])
def test_one_frame_of_the_input_size_is_predicted(width: float, size: int) -> None:
    with torch.device("meta"):
        net, clip = STUNet(width, size), torch.empty(2, 3, 8, size, size)
    assert net(clip).shape == (2, 3, 1, size, size)


def test_the_prediction_is_that_of_the_layers_written_out(net: STUNet) -> None:
    clip = torch.randn(2, 3, 8, SIZE, SIZE)
    with torch.no_grad():
        expected = plain_prediction(net, clip)
        torch.testing.assert_close(net(clip), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_encoder_ends_without_relu(net: STUNet) -> None:
    with torch.no_grad():
        assert (net.encoder.maps(torch.randn(1, 3, 8, SIZE, SIZE)).s5 < 0).any()


def test_a_frozen_encoder_keeps_its_weights_and_moves_its_statistics() -> None:
    torch.manual_seed(0)
    net = STUNet(TINY, SIZE).train()
    net.encoder.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in net.encoder.state_dict().items()}
    net(torch.randn(2, 3, 8, SIZE, SIZE)).square().mean().backward()
    assert all(parameter.grad is None for parameter in net.encoder.parameters())
    assert all(parameter.grad is not None for parameter in net.decoder.parameters())
    after = net.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert moved == {name for name in before if name.endswith(statistics)}


def test_a_statistic_moves_by_a_tenth_of_the_way_to_the_batch() -> None:
    torch.manual_seed(0)
    net, clip = STUNet(TINY, SIZE).train(), torch.randn(2, 3, 8, SIZE, SIZE)
    with torch.no_grad():
        batch = net.encoder.stem.conv(clip).mean((0, 2, 3, 4))
        net(clip)
    torch.testing.assert_close(net.encoder.stem.norm.running_mean, 0.1 * batch, rtol=1e-3, atol=1e-5)


def test_the_decoder_starts_kaiming_normal_with_zero_biases() -> None:
    torch.manual_seed(0)
    net = STUNet(1 / 4, SIZE)
    for module in net.decoder.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            assert module.bias is not None
            assert not module.bias.any()
            if module.weight.numel() > 4096:
                fan_in = module.weight[0].numel()
                assert abs(float(module.weight.detach().std()) / (2 / fan_in) ** 0.5 - 1) < 0.1
    assert net.tconv2.bias is not None
    assert net.tconv2.bias.any()


@pytest.mark.parametrize("size", [0, 64, 224])
def test_a_size_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size {size} must be a multiple of 128"):
        STUNet(TINY, size)


def test_a_residual_net_starts_at_the_last_frame_seen() -> None:
    clip = torch.randn(1, 3, 8, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(STUNet(TINY, SIZE, residual=True).eval()(clip)[:, :, 0], clip[:, :, -1])


def test_a_residual_net_hands_the_last_four_frames_whole_to_its_last_convolutions() -> None:
    torch.manual_seed(0)
    net, given = STUNet(TINY, SIZE, residual=True).eval(), []
    net.decoder.u6.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    clip = torch.randn(2, 3, 8, SIZE, SIZE)
    with torch.no_grad():
        net(clip)
    whole = given[0][:, -12:, 0].reshape(2, 3, 4, SIZE, SIZE)
    torch.testing.assert_close(whole[:, :, 0], clip[:, :, 7])
    for before in (4, 5, 6):
        torch.testing.assert_close(whole[:, :, before - 3], clip[:, :, 7] - clip[:, :, before])


def test_a_residual_net_soon_learns_fine_motion() -> None:
    torch.manual_seed(0)
    net = STUNet(TINY, SIZE, residual=True).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
    ratio = 1.0
    for _ in range(25):  # grain that moves by a pixel a frame, which a quarter of the resolution cannot show
        grain = torch.randn(2, 3, SIZE, SIZE + 8)
        frames = torch.stack([grain[..., step : step + SIZE] for step in range(9)], dim=2)
        loss = (net(frames[:, :, :8]) - frames[:, :, 8:]).square().mean()
        ratio = float(loss.detach() / (frames[:, :, 7] - frames[:, :, 8]).square().mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ratio < 0.5
