"""The context recovery stream: from clips to errors, against loops over crops and windows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad.detector.engines.nets import NetPredictor
from twostream_vad.errors import TsvadError
from twostream_vad.nets.stunet import STUNet
from twostream_vad.recovery.error import local_errors
from twostream_vad.recovery.stream import RecoveryStream, predict
from twostream_vad.recovery.windows import AllWindows
from twostream_vad.settings import RecoverySettings, Resolved
from twostream_vad.storage import CheckpointError, save_tensors
from twostream_vad.video.snippets import RECOVERY
from twostream_vad.video.views import Views

WINDOWS, STRIDE = (128, 48), 16
HEAT = 16
"""The heat's window, of crops of 128 pixels."""
SETTINGS = RecoverySettings.model_validate({"width": 1 / 16, "windows": WINDOWS, "window_stride": STRIDE})
VIEWS = Views(128)


def how(**values: object) -> Resolved:
    given = {"window": 48, "score_l1": 1.0, "channel_l2": False, "crops": "mean", "per_place": False, **values}
    return Resolved.model_validate(given)


def stream_of(net: STUNet, normal: dict[int, Tensor] | None = None, **values: object) -> RecoveryStream:
    return RecoveryStream(NetPredictor(net), RECOVERY, VIEWS, how(**values), STRIDE, normal)


def windows_of(net: STUNet, normal: dict[int, Tensor] | None = None) -> AllWindows:
    return AllWindows(NetPredictor(net), SETTINGS, VIEWS, normal)


def clips() -> Tensor:
    """Two snippets of three crops."""
    return torch.randn(2, 3, 3, 9, 128, 128, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def net() -> STUNet:
    torch.manual_seed(0)
    net = STUNet(1 / 16, 128).train()
    with torch.no_grad():
        net(torch.randn(2, 3, 8, 128, 128))
    return net


@pytest.fixture(scope="module")
def pictures(net: STUNet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predicted and true frames of ``clips``, (2, 3, 3, S, S)."""
    with torch.no_grad():
        predicted = net.eval()(clips().flatten(0, 1)[:, :, :8])[:, :, 0]
    return predicted.reshape(2, 3, 3, 128, 128).double().numpy(), clips()[:, :, :, 8].double().numpy()


def slow_mle(gap: NDArray[np.float64], window: int, l1: float, channel_l2: bool) -> float:
    """Of one crop's difference (3, S, S)."""
    error = np.sqrt((gap**2).sum(0)) / 3 if channel_l2 else (gap**2).mean(0)
    starts = range(0, 128 - window + 1, STRIDE)
    squares = [error[y : y + window, x : x + window].mean() for y in starts for x in starts]
    absolutes = [np.abs(gap).mean(0)[y : y + window, x : x + window].mean() for y in starts for x in starts]
    return float(max(squares) + l1 * max(absolutes))


@pytest.mark.parametrize(
    ("l1", "channel_l2", "crops"), [(0.0, False, "max"), (1.0, True, "mean"), (0.5, False, "mean")]
)
def test_scores_are_mle_of_each_window_then_fle(
    l1: float,
    channel_l2: bool,
    crops: str,
    net: STUNet,
    pictures: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    windows = windows_of(net)
    chosen = how(score_l1=l1, channel_l2=channel_l2, crops=crops)
    frames = predict(windows.predictor, clips())
    scores = windows.scores(windows.maxima(*frames, (2, 3)), *frames, chosen)
    gaps = pictures[1] - pictures[0]
    over = np.max if crops == "max" else np.mean
    expected = [
        [over([slow_mle(gap, window, l1, channel_l2) for gap in snippet]) for window in WINDOWS]
        + [over([np.sqrt((gap**2).mean()) + l1 * np.abs(gap).mean() for gap in snippet])]
        for snippet in gaps
    ]
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_predict_gives_the_nets_frame_and_the_true_one(
    net: STUNet, pictures: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> None:
    predicted, true = predict(NetPredictor(net), clips())
    np.testing.assert_allclose(predicted.numpy(), pictures[0].reshape(6, 3, 128, 128), rtol=1e-3, atol=1e-4)
    assert np.array_equal(true.numpy(), pictures[1].reshape(6, 3, 128, 128).astype(np.float32))


def test_maxima_are_told_clip_by_clip_and_crop_by_crop(net: STUNet) -> None:
    windows = windows_of(net)
    local = windows.maxima(*predict(windows.predictor, clips()), (2, 3))
    assert local.shape == (2, 3, 2, 2, 3)
    alone = windows.maxima(*predict(windows.predictor, clips()[1:, 2:]), (1, 1))
    torch.testing.assert_close(alone[0, 0], local[1, 2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("l1", "channel_l2", "crops"), [(0.0, False, "max"), (1.0, True, "mean")])
def test_a_streams_score_is_its_column_of_all_windows_to_the_bit(
    window: int, l1: float, channel_l2: bool, crops: str, net: STUNet
) -> None:
    stream = stream_of(net, window=window, score_l1=l1, channel_l2=channel_l2, crops=crops)
    windows, frames = windows_of(net), predict(stream.predictor, clips())
    columns = windows.scores(windows.maxima(*frames, (2, 3)), *frames, stream.how)
    assert stream.score(clips()).tolist() == columns[:, WINDOWS.index(window)].tolist()


def test_scoring_repeats_to_the_bit_and_teaches_the_net_nothing(net: STUNet) -> None:
    stream = stream_of(net.train())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    first = stream.score(clips())
    assert np.array_equal(stream.score(clips()), first)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_model_file_scores_as_the_net_it_was_written_from(net: STUNet, tmp_path: Path) -> None:
    save_tensors(tmp_path / "model.safetensors", net.state_dict(), {})
    loaded = NetPredictor.load(tmp_path / "model.safetensors", width=1 / 16, size=128, residual=False)
    seen = clips().flatten(0, 1)[:, :, :-1].numpy()
    assert np.array_equal(loaded(seen), NetPredictor(net)(seen))


def test_a_model_of_another_width_is_refused_by_file(net: STUNet, tmp_path: Path) -> None:
    save_tensors(tmp_path / "model.safetensors", net.state_dict(), {})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not the tensors of this net"):
        NetPredictor.load(tmp_path / "model.safetensors", width=1 / 8, size=128, residual=False)


def test_the_score_belongs_to_the_predicted_frame(net: STUNet) -> None:
    assert stream_of(net).snippet.offset == RECOVERY.span == 16


@pytest.mark.parametrize(("l1", "channel_l2", "crops"), [(0.0, False, "max"), (1.0, True, "mean")])
def test_a_look_gives_the_very_scores(l1: float, channel_l2: bool, crops: str, net: STUNet) -> None:
    stream = stream_of(net, window=48, score_l1=l1, channel_l2=channel_l2, crops=crops)
    assert np.array_equal(stream.look(clips())[0], stream.score(clips()))


@pytest.mark.parametrize(("l1", "channel_l2", "window"), [(0.0, False, 48), (0.5, True, 48), (1.0, False, 128)])
def test_a_look_gives_the_error_by_place_in_the_heats_window_whatever_the_score_has(
    l1: float,
    channel_l2: bool,
    window: int,
    net: STUNet,
    pictures: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    stream = stream_of(net, window=window, score_l1=l1, channel_l2=channel_l2)
    places = stream.look(clips())[1]
    starts = range(0, 128 - HEAT + 1, STRIDE)
    assert stream.grain == (HEAT, STRIDE)
    assert places.shape == (2, 3, len(starts), len(starts))
    for (snippet, crop, row, column), place in np.ndenumerate(places):
        y, x = starts[row], starts[column]
        gap = (pictures[1] - pictures[0])[snippet, crop][:, y : y + HEAT, x : x + HEAT]
        error = np.sqrt((gap**2).sum(0)) / 3 if channel_l2 else (gap**2).mean(0)
        assert place == pytest.approx(error.mean() + l1 * np.abs(gap).mean(), rel=1e-4)


def test_in_the_heats_window_and_without_l1_the_largest_error_by_place_is_the_score(net: STUNet) -> None:
    stream = stream_of(net, window=HEAT, score_l1=0.0, crops="max")
    scores, places = stream.look(clips())
    np.testing.assert_allclose(places.max(axis=(1, 2, 3)), scores, rtol=1e-6)


def test_by_place_each_error_is_relative_to_what_is_normal_there(net: STUNet) -> None:
    """Against the errors of the plain windows, divided by hand."""
    plain = windows_of(net)
    errors = {w: local.reshape(2, 3, *local.shape[1:]) for w, local in plain.local_errors(clips()).items()}
    rng = torch.Generator().manual_seed(1)
    normal = {w: 0.5 + torch.rand(local.shape[1:], generator=rng) for w, local in errors.items()}
    stream = stream_of(net, normal, per_place=True, score_l1=1.0, crops="max")
    scores, maps = stream.look(clips())
    warm, relative = local_errors(*predict(plain.predictor, clips()), [HEAT], STRIDE)[HEAT], errors[48] / normal[48]
    torch.testing.assert_close(torch.from_numpy(maps), (warm[:, 0] + warm[:, 2]).reshape(maps.shape))
    expected = (relative.flatten(3).amax(3)[..., 0] + relative.flatten(3).amax(3)[..., 2]).amax(1)
    torch.testing.assert_close(torch.from_numpy(scores).float(), expected)
    both = windows_of(net, normal).maxima(*predict(plain.predictor, clips()), (2, 3))
    torch.testing.assert_close(both[..., 0, :], plain.maxima(*predict(plain.predictor, clips()), (2, 3))[..., 0, :])
    torch.testing.assert_close(both[:, :, WINDOWS.index(48), 1], relative.flatten(3).amax(3))


def test_video_of_another_shape_is_refused_where_errors_are_judged_by_place(net: STUNet) -> None:
    with pytest.raises(TsvadError, match="3 crops a frame, the detector's camera 1"):
        stream_of(net, {48: torch.ones(1, 3, 1, 1)}, per_place=True).score(clips())


def test_all_windows_together_score_their_mean(net: STUNet) -> None:
    errors = windows_of(net).local_errors(clips())
    normal = {
        w: 0.5 + torch.rand((3, *local.shape[1:]), generator=torch.Generator().manual_seed(w))
        for w, local in errors.items()
    }
    together = stream_of(net, normal, per_place=True, window=max(WINDOWS), together=WINDOWS).score(clips())
    each = [stream_of(net, normal, per_place=True, window=window).score(clips()) for window in WINDOWS]
    np.testing.assert_allclose(together, np.mean(each, axis=0), rtol=1e-6)


def test_any_function_of_arrays_predicts() -> None:
    def still(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        return seen[:, :, -1]

    stream = RecoveryStream(still, RECOVERY, VIEWS, how(window=128, score_l1=0.0), STRIDE)
    gaps = (clips()[:, :, :, 8] - clips()[:, :, :, 7]).square().mean((2, 3, 4)).mean(1)
    np.testing.assert_allclose(stream.score(clips()), gaps.numpy(), rtol=1e-5)
