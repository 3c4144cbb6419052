"""What both trainings share: draws, rates, threads, checkpoints and logs that survive a kill."""

import json
import math
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from twostream_vad.storage import CheckpointError, fill, load_tensors, save_tensors
from twostream_vad.training.log import TrainingLog
from twostream_vad.training.loop import deterministic, learning_rate, load_checkpoint, prefetch, save_checkpoint, seeded

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, lr=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "plain": partial(torch.optim.SGD, lr=0.1),
}


def small_net(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3)), nn.BatchNorm3d(4), nn.Conv3d(4, 2, 1))
    return net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def learn(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        clips = torch.from_numpy(seeded(7, step).normal(size=(2, 3, 2, 6, 6)).astype(np.float32))
        optimizer.zero_grad()
        net(clips).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_training_goes_on_from_a_checkpoint_as_if_never_stopped(kind: str, tmp_path: Path) -> None:
    undisturbed = small_net(0)
    optimizer = OPTIMIZERS[kind](list(undisturbed.parameters()))
    learn(undisturbed, optimizer, range(3))
    save_checkpoint(tmp_path / "c.safetensors", 3, undisturbed, optimizer)
    learn(undisturbed, optimizer, range(3, 8))

    resumed = small_net(1)
    optimizer = OPTIMIZERS[kind](list(resumed.parameters()))
    learn(resumed, optimizer, range(load_checkpoint(tmp_path / "c.safetensors", resumed, optimizer), 8))
    assert_same(resumed.state_dict(), undisturbed.state_dict())


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert list(found) == list(wanted)
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def test_a_checkpoint_keeps_what_a_group_carries(tmp_path: Path) -> None:
    net = small_net(0)
    groups: list[dict[str, object]] = [
        {"params": list(net[0].parameters()), "scale": 0.5},
        {"params": list(net[2].parameters())},
    ]
    optimizer = torch.optim.Adam(groups, lr=0.25, betas=(0.8, 0.9))
    save_checkpoint(tmp_path / "c.safetensors", 4, net, optimizer)
    bare = torch.optim.Adam([{"params": group["params"]} for group in groups])
    assert load_checkpoint(tmp_path / "c.safetensors", net, bare) == 4
    first, second = bare.param_groups
    assert (first["scale"], first["lr"], list(first["betas"])) == (0.5, 0.25, [0.8, 0.9])
    assert (second["lr"], len(second["params"])) == (0.25, 2)


def test_a_model_file_is_no_checkpoint(tmp_path: Path) -> None:
    net = small_net(0)
    save_tensors(tmp_path / "m.safetensors", {"a": torch.ones(2)}, {"kind": "stunet"})
    with pytest.raises(CheckpointError, match=r"m\.safetensors: not a training checkpoint; delete"):
        load_checkpoint(tmp_path / "m.safetensors", net, torch.optim.SGD(net.parameters()))


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    tensors = {"turned": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3)}
    save_tensors(tmp_path / "t.safetensors", tensors, {"kind": "x"})
    found, metadata = load_tensors(tmp_path / "t.safetensors")
    assert_same(found, {"count": tensors["count"], "turned": tensors["turned"]})
    assert metadata == {"kind": "x"}
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]


def test_a_file_without_metadata_has_none(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "t.safetensors")
    assert load_tensors(tmp_path / "t.safetensors")[1] == {}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"t\.safetensors: no such file; run"):
        load_tensors(tmp_path / "t.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 40, 120])
def test_a_cut_file_is_named_with_the_remedy(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors(path, {"a": torch.ones(64)}, {})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"t\.safetensors: not a whole safetensors file .*; delete it"):
        load_tensors(path)


@pytest.mark.parametrize(
    "tensors", [{}, {"weight": torch.ones(2, 3)}, {"weight": torch.ones(2, 2), "x": torch.ones(1)}]
)
def test_tensors_of_another_net_are_refused_by_file(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match=r"other\.safetensors: not the tensors of this net: .*(weight|x)"):
        fill(nn.Linear(2, 2, bias=False), tensors, Path("other.safetensors"))


def test_draws_depend_on_the_path_alone() -> None:
    one, two = seeded(1, 2, 3), seeded(1, 2, 3)
    seeded(1, 2, 4).random(5)
    assert one.random(4).tolist() == two.random(4).tolist()
    assert len({seeded(*path).random() for path in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (0, 1, 0))}) == 4


def test_deterministic_repeats_and_gives_the_state_back() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with deterministic(1):
        inside = torch.rand(3)
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(1):
        assert torch.equal(torch.rand(3), inside)


def test_steps_decay_tenfold_at_each_milestone() -> None:
    rates = [learning_rate(s, lr=2.0, total=9, schedule="steps", decay_steps=[3, 6]) for s in range(9)]
    np.testing.assert_allclose(rates, [2.0] * 3 + [0.2] * 3 + [0.02] * 3)


def test_cosine_falls_from_lr_towards_0_by_half_a_period() -> None:
    rates = [learning_rate(s, lr=2.0, total=8, schedule="cosine") for s in range(8)]
    np.testing.assert_allclose(rates, [1 + math.cos(math.pi * s / 8) for s in range(8)])


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_warm_up_rises_by_equal_steps_to_lr_and_the_schedule_starts_there(schedule: str) -> None:
    rates = [learning_rate(s, lr=1.0, total=10, schedule=schedule, warmup=4) for s in range(5)]
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, 1.0])


def test_prefetch_gives_results_in_order_whichever_ends_first() -> None:
    ended = [threading.Event() for _ in range(20)]

    def job(number: int) -> int:
        if number % 2 == 0:
            assert ended[number + 1].wait(20)
        ended[number].set()
        return number

    assert list(prefetch([partial(job, number) for number in range(20)], workers=2)) == list(range(20))


def test_prefetch_does_not_run_far_ahead() -> None:
    asked: list[int] = []

    def jobs() -> Iterator[Callable[[], int]]:
        for number in range(100):
            asked.append(number)
            yield partial(int, number)

    results = prefetch(jobs(), workers=2)
    for done in range(10):
        assert next(results) == done
        assert len(asked) <= done + 1 + 2 * 2
    results.close()


def test_without_workers_each_job_is_done_in_this_thread_when_its_result_is_asked_for() -> None:
    done: list[tuple[int, int]] = []

    def job(number: int) -> int:
        done.append((number, threading.get_ident()))
        return number

    results = prefetch([partial(job, number) for number in range(3)], workers=0)
    assert done == []
    assert next(results) == 0
    assert done == [(0, threading.get_ident())]
    assert list(results) == [1, 2]


def test_prefetch_passes_a_failure_on_in_its_place() -> None:
    def fail() -> int:
        raise ValueError("frame 7")

    results = prefetch([lambda: 1, fail, lambda: 3], workers=2)
    assert next(results) == 1
    with pytest.raises(ValueError, match="frame 7"):
        next(results)


def test_prefetch_passes_a_failure_to_make_jobs_on() -> None:
    def jobs() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        raise ValueError("no videos")

    with pytest.raises(ValueError, match="no videos"):
        list(prefetch(jobs(), workers=1))


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text("utf-8").splitlines()]


def test_a_log_has_a_line_a_step(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.write(0, loss=2.0, lr=0.1)
    log.write(1, loss=1.5, lr=0.1)
    log.close()
    assert [(line["step"], line["loss"], line["lr"]) for line in lines(tmp_path)] == [
        (0, 2.0, 0.1),
        (1, 1.5, 0.1),
    ]
    assert any(path.name.startswith("events.") for path in tmp_path.iterdir())


def test_without_tensorboard_there_are_the_lines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    log = TrainingLog(tmp_path)
    log.write(0, loss=2.0)
    log.write(1, loss=1.5)
    log.close()
    assert [line["loss"] for line in lines(tmp_path)] == [2.0, 1.5]
    assert [path.name for path in tmp_path.iterdir()] == ["steps.jsonl"]
    assert capfd.readouterr() == ("", "")


def test_a_resumed_log_has_each_step_once(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    for step in range(4):
        log.write(step, loss=float(step))
    log.close()
    with (tmp_path / "steps.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 4, "lo')
    resumed = TrainingLog(tmp_path, resumed_at=2)
    for step in range(2, 5):
        resumed.write(step, loss=10.0 + step)
    resumed.close()
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [
        (0, 0),
        (1, 1),
        (2, 12),
        (3, 13),
        (4, 14),
    ]


def test_a_log_from_the_start_forgets_an_older_one(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.write(0, loss=1.0)
    log.close()
    assert lines(tmp_path)
    TrainingLog(tmp_path)
    assert lines(tmp_path) == []
