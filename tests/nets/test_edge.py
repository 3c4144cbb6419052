"""EdgeNet: its shapes, and that a frame's maps do not depend on when they are made."""

import pytest
import torch
from torch import nn

from twostream_vad.nets.edge import FRAMES, EdgeNet, unpacked
from twostream_vad.nets.graphs import folded

SIZE, VALUES = 64, 24


@pytest.fixture(scope="module")
def net() -> EdgeNet:
    torch.manual_seed(0)
    net = EdgeNet(0.5, SIZE, VALUES).eval()
    last = net.head.change[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.normal_(last.weight, std=0.02)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return net


@pytest.mark.parametrize("interval", [1, 2])
def test_a_stretch_gives_what_each_of_its_runs_of_eight_frames_gives(net: EdgeNet, interval: int) -> None:
    clips = torch.randn(2, 3, (FRAMES - 1) * interval + 3, SIZE, SIZE)
    with torch.inference_mode():
        change, features = net(clips, interval)
        for clip in range(2):
            for end in range(3):
                own = clips[clip : clip + 1, :, end : end + (FRAMES - 1) * interval + 1 : interval]
                alone = net(own)
                torch.testing.assert_close(change[3 * clip + end], alone[0][0], rtol=0, atol=1e-5)
                torch.testing.assert_close(features[3 * clip + end], alone[1][0], rtol=0, atol=1e-5)


def test_what_the_head_packs_is_unpacked(net: EdgeNet) -> None:
    clips = torch.randn(2, 3, FRAMES, SIZE, SIZE)
    with torch.inference_mode():
        maps = net.encoder(clips.transpose(1, 2).flatten(0, 1))
        assert maps.shape == (2 * FRAMES, net.encoder.values(SIZE))
        packed = net.head(maps.reshape(2, FRAMES, -1), clips[:, :, -2:].transpose(1, 2))
        change, features = unpacked(packed, SIZE, VALUES)
        wanted = net(clips)
    torch.testing.assert_close(change, wanted[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(features, wanted[1], rtol=0, atol=1e-6)
    assert features.shape == (2, (SIZE // 16) ** 2, VALUES)


def test_no_frame_before_the_eighth_last_counts_and_each_of_the_eight_does(net: EdgeNet) -> None:
    clips = torch.randn(1, 3, FRAMES, SIZE, SIZE)
    with torch.inference_mode():
        before = net(clips)
        for frame in range(FRAMES):
            other = clips.clone()
            other[:, :, frame] += 1
            assert not torch.allclose(net(other)[1], before[1], atol=1e-3), frame


def test_a_new_net_predicts_no_change() -> None:
    change = EdgeNet(0.25, SIZE, 4).eval()(torch.randn(1, 3, FRAMES, SIZE, SIZE))[0]
    assert change is not None
    assert not change.any()


def test_it_learns_features_alone_where_nothing_is_to_be_predicted(net: EdgeNet) -> None:
    change, features = net(torch.randn(1, 3, FRAMES, SIZE, SIZE), predict=False)
    assert change is None
    assert features.shape == (1, 16, VALUES)


def test_folded_norms_change_nothing_but_rounding(net: EdgeNet) -> None:
    frames = torch.randn(3, 3, SIZE, SIZE)
    alike = folded(net.encoder)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in alike.modules())
    with torch.inference_mode():
        torch.testing.assert_close(alike(frames), net.encoder(frames), rtol=1e-4, atol=1e-4)


def test_the_shipped_net_is_small() -> None:
    net = EdgeNet()
    assert 4 * sum(parameter.numel() for parameter in net.parameters()) < 3e6  # bytes of float32


@pytest.mark.parametrize("size", [0, 16, 100])
def test_a_size_that_does_not_halve_five_times_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        EdgeNet(size=size)
