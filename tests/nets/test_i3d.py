"""The encoder against the paper's table and against the same layers written out with plain functions."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from twostream_vad.nets.i3d import I3D, channels, draw, init_from_scratch, load_encoder
from twostream_vad.nets.stunet import STUNet
from twostream_vad.storage import CheckpointError

# Stage → inner and outer channels, spatial stride, temporal kernels of conv a.
STAGES = {
    2: (64, 256, 1, (3, 3, 3)),
    3: (128, 512, 2, (3, 1, 3, 1)),
    4: (256, 1024, 2, (3, 1, 3, 1, 3, 1)),
    5: (512, 2048, 2, (1, 3, 1)),
}
TINY = 1 / 16


def norm_shapes(name: str, width: int) -> dict[str, list[int]]:
    shapes = {f"{name}.{key}": [width] for key in ("weight", "bias", "running_mean", "running_var")}
    return {**shapes, f"{name}.num_batches_tracked": []}


def table_shapes() -> dict[str, list[int]]:
    """Every tensor of the paper's encoder, from its table."""
    shapes = {"stem.conv.weight": [64, 3, 5, 7, 7], **norm_shapes("stem.norm", 64)}
    before = 64
    for number, (inner, outer, _, kernels) in STAGES.items():
        for block, kernel in enumerate(kernels):
            name = f"s{number}.{block}"
            if block == 0:
                shapes |= {f"{name}.shortcut.weight": [outer, before, 1, 1, 1]}
                shapes |= norm_shapes(f"{name}.shortcut_norm", outer)
            shapes |= {f"{name}.a.weight": [inner, before, kernel, 1, 1]} | norm_shapes(f"{name}.a_norm", inner)
            shapes |= {f"{name}.b.weight": [inner, inner, 1, 3, 3]} | norm_shapes(f"{name}.b_norm", inner)
            shapes |= {f"{name}.c.weight": [outer, inner, 1, 1, 1]} | norm_shapes(f"{name}.c_norm", outer)
            before = outer
    return shapes


def plain_maps(state: dict[str, Tensor], x: Tensor, final_relu: bool) -> list[Tensor]:
    """The maps after the pool, s3, s4 and s5 in eval mode, layer by layer."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{key}"].view(1, -1, 1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    x = F.conv3d(x, state["stem.conv.weight"], stride=(1, 2, 2), padding=(2, 3, 3))
    x = F.max_pool3d(norm(x, "stem.norm").relu(), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    maps = []
    for number, (_, _, stride, kernels) in STAGES.items():
        for block, kernel in enumerate(kernels):
            name, step = f"s{number}.{block}", (1, stride, stride) if block == 0 else 1
            kept = x
            if block == 0:
                kept = norm(F.conv3d(x, state[f"{name}.shortcut.weight"], stride=step), f"{name}.shortcut_norm")
            x = F.conv3d(x, state[f"{name}.a.weight"], padding=(kernel // 2, 0, 0))
            x = F.conv3d(norm(x, f"{name}.a_norm").relu(), state[f"{name}.b.weight"], None, step, (0, 1, 1))
            x = F.conv3d(norm(x, f"{name}.b_norm").relu(), state[f"{name}.c.weight"])
            x = norm(x, f"{name}.c_norm") + kept
            if final_relu or (number, block) != (5, 2):
                x = x.relu()
        if number == 2:
            x = F.max_pool3d(x, (2, 1, 1), (2, 1, 1))
        maps.append(x)
    return maps


def random_encoder(size: int, cells: int, final_relu: bool) -> I3D:
    """Weights and statistics such that no layer is an identity."""
    torch.manual_seed(3)
    net = I3D(TINY, size, cells, final_relu=final_relu)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean = torch.randn(module.num_features) * 0.1
            module.running_var = torch.rand(module.num_features) + 0.5
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


def test_every_tensor_of_the_papers_encoder_has_its_shape() -> None:
    with torch.device("meta"):
        net = I3D()
    assert {name: list(tensor.shape) for name, tensor in net.state_dict().items()} == table_shapes()
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 1) == 27.2


@pytest.mark.parametrize("final_relu", [True, False])
def test_maps_and_features_are_those_of_the_layers_written_out(final_relu: bool) -> None:
    net, clip = random_encoder(64, 1, final_relu), torch.randn(2, 3, 8, 64, 64)
    with torch.no_grad():
        expected = plain_maps(net.state_dict(), clip, final_relu)
        for found, wanted in zip(net.maps(clip), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
        features = net(clip)
    torch.testing.assert_close(features[:, 0, 0, 0], expected[-1].mean((2, 3, 4)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("final_relu", [True, False])
def test_the_last_relu_is_a_choice(final_relu: bool) -> None:
    net = random_encoder(64, 1, final_relu)
    with torch.no_grad():
        assert bool((net.maps(torch.randn(1, 3, 8, 64, 64)).s5 >= 0).all()) == final_relu


def test_maps_of_the_papers_net_have_the_tables_sizes() -> None:
    with torch.device("meta"):
        net, clip = I3D(), torch.empty(1, 3, 8, 256, 256)
    pool, s3, s4, s5 = (list(found.shape[1:]) for found in net.maps(clip))
    assert pool == [256, 4, 64, 64]
    assert s3 == [512, 4, 32, 32]
    assert s4 == [1024, 4, 16, 16]
    assert s5 == [2048, 4, 8, 8]
    assert list(net(clip).shape) == [1, 1, 2, 2, 2048]


def test_a_cell_is_the_mean_of_7_by_7_positions_at_256() -> None:
    with torch.device("meta"):
        net = I3D()
    s5 = torch.randn(1, 3, 4, 8, 8)
    cells = net.head(s5)
    assert cells.shape == (1, 3, 1, 2, 2)
    for y in range(2):
        for x in range(2):
            torch.testing.assert_close(cells[..., 0, y, x], s5[..., y : y + 7, x : x + 7].mean((2, 3, 4)))


@pytest.mark.parametrize(("size", "cells"), [(128, 1), (128, 2), (256, 1), (384, 3)])
def test_features_have_cells_times_cells_positions(size: int, cells: int) -> None:
    with torch.device("meta"):
        net = I3D(TINY, size, cells)
        assert net(torch.empty(2, 3, 8, size, size)).shape == (2, 1, cells, cells, net.out_channels)


@pytest.mark.parametrize(("size", "cells"), [(100, 2), (32, 2), (0, 1)])
def test_a_size_that_does_not_fit_is_refused(size: int, cells: int) -> None:
    with pytest.raises(ValueError, match=f"size {size} must be a multiple of 32, and at least {32 * cells}"):
        I3D(TINY, size, cells)


@pytest.mark.parametrize(
    ("base", "width", "found"),
    [(64, 1, 64), (2048, 1, 2048), (64, 1 / 16, 4), (32, 1 / 16, 4), (64, 0.3, 20)],
)
def test_channels_are_a_multiple_of_4(base: int, width: float, found: int) -> None:
    assert channels(base, width) == found


def test_from_scratch_convolutions_are_kaiming_normal_and_norms_the_identity() -> None:
    conv, norm = nn.Conv3d(64, 64, (1, 3, 3), bias=False), nn.BatchNorm3d(64)
    nn.init.constant_(norm.weight, 3)
    nn.init.constant_(norm.bias, 3)
    torch.manual_seed(0)
    init_from_scratch(nn.Sequential(conv, norm))
    weight = conv.weight.detach()
    assert abs(float(weight.std()) / (2 / (64 * 9)) ** 0.5 - 1) < 0.02
    assert weight.abs().max() > 3.5 * weight.std()  # a uniform draw ends at 1.7 deviations
    assert norm.weight.tolist() == [1.0] * 64
    assert norm.bias.tolist() == [0.0] * 64


def test_nothing_is_drawn_without_memory() -> None:
    draw(torch.empty(2, 2, 1, 1, 1, device="meta"))


@pytest.mark.parametrize("net", [I3D, STUNet])
def test_the_encoder_comes_out_of_an_i3d_or_a_stunet_of_any_width(net: type[I3D | STUNet], tmp_path: Path) -> None:
    small = net(width=0.0625, size=128) if net is STUNet else I3D(width=0.0625, size=64)
    save_file(small.state_dict(), tmp_path / "small.safetensors")
    encoder = small.encoder if isinstance(small, STUNet) else small
    found = load_encoder(tmp_path / "small.safetensors")
    assert found.keys() == encoder.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in encoder.state_dict().items())


def test_the_encoder_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    save_file({"layers.0.project.weight": torch.zeros(2)}, tmp_path / "hash.safetensors")
    with pytest.raises(CheckpointError, match="holds no encoder"):
        load_encoder(tmp_path / "hash.safetensors")
    torch.save({"stem.conv.weight": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="tsvad weights import"):
        load_encoder(tmp_path / "a.pth")


def test_places_are_s4_averaged_over_time_channel_last() -> None:
    net = random_encoder(64, 1, final_relu=True)
    x = torch.randn(2, 3, 8, 64, 64)
    with torch.no_grad():
        places, s4 = net.places(x), plain_maps(net.state_dict(), x, final_relu=True)[2]
    assert places.shape == (2, 4, 4, net.s4_channels)
    torch.testing.assert_close(places, s4.mean(2).movedim(1, -1), rtol=1e-3, atol=1e-4 * float(s4.max()))
