"""The loop of every training: stopped anywhere, it goes on to the same weights."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from twostream_vad.storage import load_tensors
from twostream_vad.training.loop import descend, seeded, train_net

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=1e-4),
}


def small_net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3)), nn.BatchNorm3d(4), nn.Conv3d(4, 2, 1))
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


class KilledError(Exception):
    """In place of a SIGKILL."""


def train(
    folder: Path,
    kind: str = "adam",
    *,
    steps: int = 8,
    killed: int = 0,
    kept: int = 0,
    asked: list[int] | None = None,
) -> Path:
    """Trains a small net in ``folder``; dies after step ``killed`` with the checkpoint of step ``kept``."""
    net = small_net(len(list(folder.glob("*.safetensors"))))  # another start each time, which a checkpoint replaces
    optimizer = OPTIMIZERS[kind](list(net.parameters()))

    def draw(step: int) -> Tensor:
        if asked is not None:
            asked.append(step)
        return batch_of(step)

    def learn_one(step: int, batch: Tensor) -> dict[str, float]:
        assert torch.equal(batch, batch_of(step))
        loss = net(batch).square().mean()
        descend(optimizer, loss)
        return {"loss": loss.item(), "twice": 2 * loss.item()}

    def progress(done: int, total: int, note: str = "") -> None:
        assert (total, note[:5]) == (steps, "loss ")
        if done == kept:
            (folder / "checkpoint.safetensors").replace(folder / "kept")
        if done == killed:
            (folder / "kept").replace(folder / "checkpoint.safetensors")
            raise KilledError

    return train_net(net, optimizer, steps, draw, learn_one, folder, progress, 0.0, kind="small", kept=net[2])


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text("utf-8").splitlines()]


def batch_of(step: int) -> Tensor:
    return torch.from_numpy(seeded(7, step).normal(size=(2, 3, 2, 6, 6)).astype(np.float32))


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(("kept", "killed"), [(1, 1), (3, 6), (7, 7)])
def test_a_stopped_training_ends_with_the_same_weights(kind: str, kept: int, killed: int, tmp_path: Path) -> None:
    whole = load_tensors(train(tmp_path / "whole", kind))[0]
    with pytest.raises(KilledError):
        train(tmp_path / "stopped", kind, killed=killed, kept=kept)
    assert_same(load_tensors(train(tmp_path / "stopped", kind))[0], whole)


def test_a_stopped_training_draws_and_logs_what_is_left(tmp_path: Path) -> None:
    asked: list[int] = []
    train(tmp_path / "whole")
    with pytest.raises(KilledError):
        train(tmp_path / "stopped", killed=6, kept=3, asked=asked)
    train(tmp_path / "stopped", asked=asked)
    assert asked == [*range(6), *range(3, 8)]
    logs = [
        [(li["step"], li["loss"], li["twice"]) for li in lines(tmp_path / run / "logs")] for run in ("whole", "stopped")
    ]
    assert logs[0] == logs[1]
    assert [step for step, *_ in logs[0]] == list(range(8))


def test_a_training_ends_with_what_is_kept_of_the_net_and_no_checkpoint(tmp_path: Path) -> None:
    path = train(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["logs", "model.safetensors"]
    tensors, metadata = load_tensors(path)
    assert {name: list(tensor.shape) for name, tensor in tensors.items()} == {"weight": [2, 4, 1, 1, 1], "bias": [2]}
    assert metadata == {"kind": "small", "steps": "8"}


def test_a_model_that_is_there_stays(tmp_path: Path) -> None:
    path = train(tmp_path, steps=1)
    before, asked = path.read_bytes(), list[int]()
    assert train(tmp_path, steps=8, asked=asked) == path
    assert (path.read_bytes(), asked) == (before, [])


def test_no_steps_keep_the_net_as_it_was(tmp_path: Path) -> None:
    found, net = load_tensors(train(tmp_path, steps=0))[0], small_net(0)
    assert_same(found, net[2].state_dict())


def test_checkpoints_keep_their_distance_in_time(tmp_path: Path) -> None:
    net = small_net(0)
    seen = []
    train_net(
        net,
        torch.optim.SGD(net.parameters(), lr=0.1),
        3,
        lambda step: step,
        lambda step, batch: {"loss": float(step == batch)},
        tmp_path,
        lambda _done, _total, note="": seen.append((note, (tmp_path / "checkpoint.safetensors").exists())),
        1000.0,
        kind="small",
    )
    assert seen == [("loss 1.0000", False)] * 3
