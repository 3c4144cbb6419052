"""Training of STUNet: what is drawn, what moves, and that a kill changes nothing."""

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.recovery.train import (
    Plan,
    build,
    draw_batch,
    optimise,
    parameter_groups,
    recovery_loss,
    train_recovery,
)
from twostream_vad.settings import RecoverySettings
from twostream_vad.storage import CheckpointError
from twostream_vad.video.clips import ClipReader
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.views import MEAN, STD, Views

Film = Callable[..., ImageFolder]
VIEWS = Views(128)
TINY: dict[str, object] = {"width": 1 / 16, "batch": 2, "draws": 3, "epochs": 2, "decay_epochs": (1,)}
SCRATCH: dict[str, object] = {**TINY, "encoder_reinit": True, "encoder_rate": 0.5}


def settings(**values: object) -> RecoverySettings:
    return RecoverySettings.model_validate({**SCRATCH, **values})


class KilledError(Exception):
    """In place of a SIGKILL."""


def train_until(step: int, videos: Sequence[ImageFolder], folder: Path, kept: int | None = None) -> None:
    """Trains, saving each step, and dies after ``step``; leaves the checkpoint of step ``kept``."""
    checkpoint = folder / "checkpoint.safetensors"

    def progress(done: int, total: int, note: str = "") -> None:
        assert (total, note[:4]) == (6, "loss")
        if done == kept:
            shutil.copy(checkpoint, folder / "kept")
        if done == step:
            raise KilledError

    with pytest.raises(KilledError):
        train_recovery(videos, settings(), VIEWS, folder, seed=1, progress=progress, checkpoint_seconds=0)
    if kept is not None:
        (folder / "kept").replace(checkpoint)


@pytest.fixture(scope="module")
def trained(film: Film, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the same training, 6 steps: undisturbed, and killed at steps 2 and 5."""
    videos = [film("01", 20), film("02", 24), film("short", 16)]
    whole, killed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("killed")
    train_recovery(videos, settings(), VIEWS, whole, seed=1)
    train_until(2, videos, killed)
    train_until(5, videos, killed, kept=4)
    train_recovery(videos, settings(), VIEWS, killed, seed=1)
    return whole, killed


def test_a_killed_training_ends_with_the_same_weights_to_the_bit(trained: tuple[Path, Path]) -> None:
    whole, killed = (load_file(folder / "model.safetensors") for folder in trained)
    assert list(whole) == list(killed)
    assert [name for name in whole if not torch.equal(whole[name], killed[name])] == []


def test_a_killed_trainings_log_has_each_step_once_and_the_same_numbers(trained: tuple[Path, Path]) -> None:
    logs = []
    for folder in trained:
        lines = [json.loads(line) for line in (folder / "logs/steps.jsonl").read_text("utf-8").splitlines()]
        logs.append([(line["step"], line["mse"], line["l1"], line["lr"]) for line in lines])
    assert logs[0] == logs[1]
    assert [step for step, *_ in logs[0]] == list(range(6))
    assert [lr for *_, lr in logs[0]] == pytest.approx([0.01] * 3 + [0.001] * 3)


def test_a_finished_training_leaves_a_model_and_no_checkpoint(trained: tuple[Path, Path]) -> None:
    for folder in trained:
        assert sorted(path.name for path in folder.iterdir()) == ["logs", "model.safetensors"]
        STUNet(1 / 16, 128).load_state_dict(load_file(folder / "model.safetensors"))


def test_another_seed_trains_other_weights(film: Film, tmp_path: Path) -> None:
    videos, short = [film("01", 20)], settings(epochs=1, draws=2)
    models = [load_file(train_recovery(videos, short, VIEWS, tmp_path / str(seed), seed=seed)) for seed in (1, 2)]
    assert not torch.equal(models[0]["tconv2.weight"], models[1]["tconv2.weight"])


def test_a_frozen_pretrained_encoder_keeps_its_weights_and_moves_its_statistics(film: Film, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pretrained = {name: tensor.clone() for name, tensor in I3D(1 / 16, 128, 1).state_dict().items()}
    save_file(pretrained, tmp_path / "i3d.safetensors")
    frozen = settings(
        encoder_reinit=False, encoder_rate=0, epochs=1, draws=4, pretrained=str(tmp_path / "i3d.safetensors")
    )
    model = load_file(train_recovery([film("01", 20)], frozen, VIEWS, tmp_path, seed=1))
    for name, tensor in pretrained.items():
        moves = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(model[f"encoder.{name}"], tensor) != moves
    assert int(model["encoder.stem.norm.num_batches_tracked"]) == 2


def test_a_step_follows_the_gradient_of_mse_plus_l1_each_group_at_its_rate() -> None:
    torch.manual_seed(0)
    # In float32 the gradient of the first layers is chaotic: ReLUs flip with the order of sums.
    net, chosen = STUNet(1 / 16, 128).double(), settings(l1=0.25)
    clips = torch.randn(2, 3, 9, 128, 128, dtype=torch.float64)
    reference = copy.deepcopy(net)
    predicted = reference(clips[:, :, :8])[:, :, 0]
    mse = ((predicted - clips[:, :, 8]) ** 2).mean()
    l1 = (predicted - clips[:, :, 8]).abs().mean()
    (mse + 0.25 * l1).backward()
    before = {name: value.detach().clone() for name, value in net.named_parameters()}

    optimizer = torch.optim.SGD(parameter_groups(net, chosen), lr=123.0)
    found = optimise(net, optimizer, clips, chosen, 0.1)

    assert found == pytest.approx((mse.item(), l1.item()), rel=1e-5)
    for name, parameter in reference.named_parameters():
        rate = 0.1 * (0.5 if name.startswith("encoder.") else 1.0)
        assert parameter.grad is not None
        wanted = before[name] - rate * parameter.grad
        atol = 1e-5 * rate * float(parameter.grad.abs().max()) + 1e-12
        torch.testing.assert_close(net.get_parameter(name).detach(), wanted, rtol=0, atol=atol)


def test_a_frozen_encoder_is_in_no_group() -> None:
    net = STUNet(1 / 16, 128)
    (group,) = parameter_groups(net, settings(encoder_rate=0, encoder_reinit=False))
    inside = {id(parameter) for parameter in net.encoder.parameters()}
    params = group["params"]
    assert isinstance(params, list)
    assert not inside & {id(parameter) for parameter in params}
    assert len(params) + len(inside) == len(list(net.parameters()))
    assert not any(parameter.requires_grad for parameter in net.encoder.parameters())


def test_the_loss_is_a_mean_over_all_values() -> None:
    predicted, true = torch.randn(2, 3, 1, 4, 4).double(), torch.randn(2, 3, 1, 4, 4).double()
    gaps = (predicted - true).flatten().tolist()
    mse, l1 = recovery_loss(predicted, true)
    assert mse.item() == pytest.approx(sum(gap**2 for gap in gaps) / len(gaps))
    assert l1.item() == pytest.approx(sum(abs(gap) for gap in gaps) / len(gaps))


class Numbered(ImageFolder):
    """A video whose frames say which they are: red the frame, green the video."""

    def __init__(self, number: int, frames: int) -> None:
        self.path, self.number, self.frames = Path(str(number)), number, frames

    def __len__(self) -> int:
        return self.frames

    def read(self, index: int):  # type: ignore[no-untyped-def]
        image = torch.zeros(16, 24, 3, dtype=torch.uint8)
        image[..., 0], image[..., 1] = index, self.number
        image[..., 2] = torch.arange(24)
        return image.numpy()


NUMBERED = [Numbered(0, 17), Numbered(1, 20), Numbered(2, 40)]
DRAWN = settings(draws=20, batch=4)  # 60 draws an epoch, 15 steps


def told(clips: Tensor) -> list[tuple[int, list[int], int]]:
    """Video, frames and left column of each clip of a batch."""
    values = ((clips * STD + MEAN) * 255).round().int()
    assert (values[:, 1:] == values[:, 1:, :1]).all()  # one video and one crop serve all frames
    return [(int(c[1, 0, 0, 0]), c[0, :, 0, 0].tolist(), int(c[2, 0, 0, 0])) for c in values]


def drawn(steps: range, seed: int = 0, fixed: bool = False) -> list[tuple[int, list[int], int]]:
    reader = ClipReader(Views(16))
    return [clip for step in steps for clip in told(draw_batch(NUMBERED, DRAWN, reader, seed, fixed, step))]


def test_an_epoch_draws_each_video_equally_often_in_mixed_order() -> None:
    videos = [video for video, _, _ in drawn(range(15))]
    assert [videos.count(number) for number in range(3)] == [20, 20, 20]
    assert videos != sorted(videos)
    assert videos != [video for video, _, _ in drawn(range(15, 30))]


def test_a_clip_is_nine_frames_two_apart_from_anywhere_in_the_video() -> None:
    starts: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for video, frames, _ in drawn(range(60)):
        assert frames == list(range(frames[0], frames[0] + 17, 2))
        starts[video].add(frames[0])
    assert starts[0] == {0}
    assert starts[1] == {0, 1, 2, 3}
    assert {0, 23} <= starts[2] <= set(range(24))


def test_crops_lie_anywhere_or_where_the_test_crops_do() -> None:
    assert {left for _, _, left in drawn(range(15))} == set(range(9))
    assert {left for _, _, left in drawn(range(15), fixed=True)} == {0, 4, 8}


def test_a_draw_depends_on_seed_and_step_alone() -> None:
    assert drawn(range(7, 9)) == drawn(range(0, 9))[28:]
    assert drawn(range(0, 2)) != drawn(range(0, 2), seed=1)
    assert drawn(range(0, 15)) != drawn(range(15, 30))


def test_a_batch_larger_than_an_epoch_is_filled() -> None:
    few = settings(draws=1, batch=5)
    clips = told(draw_batch(NUMBERED, few, ClipReader(Views(16)), 0, False, 0))
    assert len(clips) == 5
    assert {video for video, _, _ in clips} == {0, 1, 2}
    assert Plan(3, few).steps == 2


def test_so_many_steps_are_made_however_many_videos_there_are() -> None:
    asked = settings(draws=2, batch=2, epochs=2, steps=9)
    assert Plan(3, asked).steps == Plan(300, asked).steps == 9
    steps = [told(draw_batch(NUMBERED, asked, ClipReader(Views(16)), 0, False, step)) for step in range(9)]
    for epoch in (0, 3, 6):
        assert sorted(video for step in steps[epoch : epoch + 3] for video, _, _ in step) == [0, 0, 1, 1, 2, 2]


def test_the_rate_falls_at_the_epoch() -> None:
    plan = Plan(3, settings(draws=20, batch=4, epochs=3, decay_epochs=(2,), warmup_steps=5))
    assert plan.steps == 45
    rates = [plan.rate(step) for step in range(45)]
    assert rates[:5] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    assert rates[5:30] == pytest.approx([0.01] * 25)
    assert rates[30:] == pytest.approx([0.001] * 15)


def test_videos_too_short_for_a_snippet_are_refused_where_there_is_no_other(film: Film, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training video has the 17 frames of a snippet"):
        train_recovery([film("short", 16)], settings(), VIEWS, tmp_path, seed=1)


def test_no_pretrained_weights_are_refused_with_both_remedies() -> None:
    with pytest.raises(ValueError, match=r"recovery\.pretrained=FILE.*recovery\.encoder_reinit=true"):
        build(settings(encoder_reinit=False), 128)


def test_pretrained_weights_of_another_width_are_refused_by_file(tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    save_file(I3D(1 / 8, 128, 1).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"wide\.safetensors: not the tensors of this net: size mismatch"):
        build(settings(encoder_reinit=False, pretrained=str(path)), 128)


@pytest.mark.parametrize("more", [{"pretrained": "nowhere.safetensors"}, {"encoder_rate": 0}])
def test_reinit_is_refused_beside_pretrained_weights_and_without_a_rate(more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="encoder_reinit starts"):
        settings(**more)
