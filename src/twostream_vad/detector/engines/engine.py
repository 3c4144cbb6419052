"""Which library computes the nets, in which precision: one choice, made once, handed to whatever scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...errors import TsvadError
from ...nets.device import pick_device

Name = Literal["auto", "torch", "openvino", "onnx"]
Precision = Literal["fp32", "bf16", "int8"]
Shape = tuple[int, ...]
Compute = Callable[..., NDArray[np.float32]]
"""A net at work: its inputs, such as clips (N, 3, 8, S, S), float32 → its numbers, (N, …)."""
Seen = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A clip (N, 3, 8, S, S) as a net takes it."""
PACKAGES = {"openvino": ("openvino", "onnxscript"), "onnx": ("onnxruntime", "onnxscript")}


class EngineError(TsvadError):
    """An engine that is not here, or cannot do what was asked."""


@dataclass(frozen=True)
class Ranges:
    """Normal video, on which int8 measures how large a net's numbers become.

    ``clips`` gives a few clips, (crops, 3, 8, S, S) each; ``identity`` tells them from others.
    """

    identity: str
    clips: Callable[[], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True)
class Engine:
    """``auto`` is OpenVINO on a CPU where it is installed, else torch. ``device`` is torch's; None: CUDA, or the CPU.

    ``kept``: a folder that compiled nets are kept in, from one start to the next; None: nowhere. ``threads`` compute
    one net; None: as many as torch has when it is compiled. A compiled net may be used by several threads; OpenVINO
    then computes for ``at_once`` of them, by so many threads each, and the others wait. int8 wants ``ranges``.
    """

    name: Name = "auto"
    precision: Precision = "fp32"
    device: torch.device | None = None
    kept: Path | None = None
    threads: int | None = None
    at_once: int = 1
    ranges: Ranges | None = None

    def resolved(self) -> "Engine":
        """With ``auto`` decided. EngineError for an engine whose libraries are missing, or that has no such device."""
        device = self.device or pick_device()
        name = self.name
        if name == "auto":
            name = "openvino" if device.type == "cpu" and installed("openvino") else "torch"
        elif name != "torch" and not installed(name):
            raise EngineError(f"engine {name} is not installed: pip install 'twostream-vad[{name}]', or --engine torch")
        if name != "torch" and device.type != "cpu":
            if self.device is not None:
                raise EngineError(f"engine {name} computes on the CPU, not on {device}: --engine torch")
            device = torch.device("cpu")
        chosen = replace(self, name=name, device=device)
        if self.precision == "int8":
            chosen._check_int8()
        return chosen

    def _check_int8(self) -> None:
        if self.name != "openvino":
            raise EngineError("int8 is computed on a CPU by OpenVINO: --engine openvino, or --precision bf16")
        if not installed("onnx"):
            raise EngineError("int8 wants ONNX Runtime's quantiser: pip install 'twostream-vad[onnx]'")

    def compile(self, graph: nn.Module, *shapes: Shape, seen: Seen | None = None) -> Compute:
        """The graph at work, whose inputs have these shapes, each behind the number of clips.

        ``seen``: how a graph of one input takes a clip (N, 3, 8, S, S); None: as it is. EngineError as `resolved`, and
        for int8 of a graph of several inputs.
        """
        chosen = self.resolved()
        if chosen.precision == "int8" and chosen.ranges is None:
            raise EngineError(
                "int8 measures on normal video how large a net's numbers become, and a detector alone has none: give "
                "the folder of the run that fitted it, or --precision bf16"
            )
        assert chosen.device is not None
        if chosen.name == "torch":
            from .by_torch import compiled

            return compiled(graph, chosen.precision, chosen.device)
        if chosen.name == "onnx":
            from .by_onnx import compiled as compiled_by_onnx

            return compiled_by_onnx(graph, shapes, chosen)
        from .by_openvino import compiled as compiled_by_openvino

        return compiled_by_openvino(graph, shapes, chosen, seen or as_it_is)


def as_it_is(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """The clip."""
    return clip


TORCH = Engine("torch")
"""What fits: the numbers of a run do not depend on what else is installed."""


def installed(name: str) -> bool:
    """Whether an engine's libraries are here."""
    return all(find_spec(package) is not None for package in PACKAGES[name])
