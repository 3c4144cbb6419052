"""What all trainings share: device, seeds, draws, checkpoints, logs; plain functions."""

import contextlib
import json
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..progress import Progress, silent
from ..storage import CheckpointError, fill, load_tensors, save_tensors
from .log import TrainingLog

T = TypeVar("T")

READERS = 2  # threads that read for a training on a GPU


def seeded(seed: int, *path: int) -> np.random.Generator:
    """A generator for one draw: the same seed and path, the same numbers, whatever was drawn before."""
    return np.random.default_rng([seed, *path])


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seeds torch and asks for kernels that repeat to the bit; the caller's state comes back.

    New memory is not filled first, which would find what reads it unwritten, and takes a fifth of a small net's step.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    memory = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warned)
            memory.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def learning_rate(
    step: int, *, lr: float, total: int, schedule: str, decay_steps: Iterable[int] = (), warmup: int = 0
) -> float:
    """The rate of one step: ×0.1 at each of ``decay_steps``, or half a cosine to 0, after a warm-up."""
    if step < warmup:
        return lr * (step + 1) / warmup
    if schedule == "cosine":
        return lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    return lr * 0.1 ** sum(step >= decay for decay in decay_steps)


def prefetch(jobs: Iterable[Callable[[], T]], workers: int) -> Generator[T, None, None]:
    """Results of the jobs, in order, made by threads that work up to ``2 * workers`` jobs ahead; by none, one by one.

    On a CPU the net computes on all cores, and threads that read beside it make both wait: there, no workers.
    """
    if workers == 0:
        yield from (job() for job in jobs)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(job))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            yield from (future.result() for future in waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float | None = None) -> None:
    """One step down the loss's gradient; ``rate``, times a group's ``scale`` if it has one, is the learning rate."""
    if rate is not None:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def train_net(
    net: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    draw: Callable[[int], T],
    learn: Callable[[int, T], Mapping[str, float]],
    folder: Path,
    progress: Progress = silent,
    checkpoint_seconds: float = 120.0,
    *,
    kind: str,
    kept: torch.nn.Module | None = None,
) -> Path:
    """The loop of a training that goes on where a killed one stopped, to the same weights.

    ``draw`` reads a step's batch, perhaps in a thread, and the batch must depend on the step alone; ``learn`` does one
    step on it and returns what is logged, the loss among it. ``folder`` gets ``logs/``, a ``checkpoint.safetensors``
    from time to time, so that a kill loses ``checkpoint_seconds`` of work at most, and at the end what is returned,
    ``model.safetensors``: the tensors of ``kept``, by default of the whole net, and its ``kind``. One that is there
    already stays.
    """
    checkpoint, model = folder / "checkpoint.safetensors", folder / "model.safetensors"
    if model.exists():
        return model
    first = load_checkpoint(checkpoint, net, optimizer) if checkpoint.exists() else 0
    net.train()
    at = time.monotonic()
    log = TrainingLog(folder / "logs", resumed_at=first)
    workers = 0 if next(net.parameters()).device.type == "cpu" else READERS
    jobs = (partial(draw, step) for step in range(first, steps))
    with contextlib.closing(log), contextlib.closing(prefetch(jobs, workers)) as batches:
        for step, batch in enumerate(batches, start=first):
            values = learn(step, batch)
            log.write(step, **values)
            if time.monotonic() - at > checkpoint_seconds and step + 1 < steps:
                save_checkpoint(checkpoint, step + 1, net, optimizer)
                at = time.monotonic()
            progress(step + 1, steps, f"loss {values['loss']:.4f}")
    save_tensors(model, (kept or net).state_dict(), {"kind": kind, "steps": str(steps)})
    checkpoint.unlink(missing_ok=True)
    return model


def save_checkpoint(path: Path, step: int, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Model, optimiser and step as one safetensors file, written whole."""
    state = optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, slots in state["state"].items():
        for name, value in slots.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    metadata = {"step": str(step), "param_groups": json.dumps(state["param_groups"])}
    save_tensors(path, tensors, metadata)


def load_checkpoint(path: Path, net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Fills net and optimiser with what `save_checkpoint` wrote, else CheckpointError; returns the step."""
    tensors, metadata = load_tensors(path)
    if "step" not in metadata or "param_groups" not in metadata:
        raise CheckpointError(f"{path}: not a training checkpoint; delete it to train from the start")
    slots: dict[int, dict[str, Tensor]] = {}
    model: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            model[rest] = tensor
        else:
            index, _, slot = rest.partition(".")
            slots.setdefault(int(index), {})[slot] = tensor
    fill(net, model, path)
    optimizer.load_state_dict({"state": slots, "param_groups": json.loads(metadata["param_groups"])})
    for weight, values in optimizer.state.items():  # laid out as the weights are, or fused steps mix them up
        values.update(
            {
                name: torch.empty_like(weight).copy_(value)
                for name, value in values.items()
                if value.shape == weight.shape
            }
        )
    return int(metadata["step"])
