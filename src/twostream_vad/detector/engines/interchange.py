"""A net as ONNX: what the engines beside torch read."""

import contextlib
import hashlib
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

OPSET = 18
EXPORTING = threading.Lock()  # two at once would leave every module's call changed
CLIPS, FOUND = "clips", "found"  # names of the graph's input and output


def names(count: int) -> list[str]:
    """Of so many inputs."""
    return [CLIPS, *(f"{CLIPS} {place}" for place in range(1, count))]


def as_onnx(graph: nn.Module, shapes: Sequence[tuple[int, ...]]) -> bytes:
    """The graph as an ONNX model of any number of clips, whose inputs have these shapes behind it, weights within.

    Torch changes how every module is called while it looks at one: no other thread should compute by torch meanwhile.
    """
    several = tuple({0: torch.export.Dim("n", min=1)} for _ in shapes)
    given = {name: torch.zeros(2, *shape) for name, shape in zip(names(len(shapes)), shapes, strict=True)}
    return onnx_of(graph, given, (FOUND,), several)


def onnx_of(
    graph: nn.Module,
    given: Mapping[str, Tensor],
    found: Sequence[str],
    dynamic: tuple[dict[int, torch.export.Dim], ...] | None = None,
) -> bytes:
    """The graph as an ONNX model, whose inputs and outputs have these names; `as_onnx` warns of threads."""
    with EXPORTING, _quiet():
        program = torch.onnx.export(
            graph.eval(),
            tuple(given.values()),
            input_names=list(given),
            output_names=list(found),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=dynamic,
            verbose=False,
        )
    assert program is not None
    model: bytes = program.model_proto.SerializeToString()
    return model


def identity(graph: nn.Module) -> str:
    """A hash of the graph's layers and tensors: what is kept of it is found by that."""
    digest = hashlib.sha256(repr(graph).encode())
    for name, tensor in graph.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its progress and of what it lacks for nets that are not ours."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
