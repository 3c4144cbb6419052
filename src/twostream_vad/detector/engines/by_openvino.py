"""Nets by OpenVINO, on the CPU."""

import io
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...nets.graphs import folded
from .engine import Compute, Engine, Seen, Shape
from .interchange import as_onnx, identity
from .kept import kept

# Importing OpenVINO tells its maker so, over the network; without this package it cannot, and goes on.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
CONVERTERS = "openvino.tools.ovc"  # of other frameworks' models: 115 modules, 6 MB, a tenth of a second, none used here
sys.modules.setdefault(CONVERTERS, None)  # type: ignore[arg-type]
openvino = import_module("openvino")
if sys.modules[CONVERTERS] is None:
    del sys.modules[CONVERTERS]  # who asks for them later has them

TYPES = {"fp32": "f32", "bf16": "bf16"}


def settings_of(precision: str, threads: int | None = None, at_once: int = 1) -> dict[str, Any]:
    """For so many clips at a time, each on so many threads or torch's number of them; one thread is bound to no core.

    All but bfloat16 is computed in float32, or as a file says. Left alone OpenVINO would compute in bfloat16 where the
    processor can, without a word.
    """
    return {
        "INFERENCE_PRECISION_HINT": TYPES.get(precision, "f32"),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": (threads or torch.get_num_threads()) * at_once,
        "NUM_STREAMS": at_once,
        "ENABLE_CPU_PINNING": threads != 1,  # else all nets of one thread would share the first core
    }


def compiled(graph: nn.Module, shapes: tuple[Shape, ...], engine: Engine, seen: Seen) -> Compute:
    """The graph at work; compiled anew for each number of clips that is seen, since fixed shapes are faster.

    ``seen`` is as of `Engine.compile`.
    """
    core, models, idle = openvino.Core(), dict[int, Any](), defaultdict[int, deque[Any]](deque)
    loading = threading.Lock()
    # The first array that becomes a tensor, alone: where two threads made theirs, each would wait for the other's lock.
    openvino.Tensor(np.zeros(1, np.float32), shared_memory=True)
    # Now and not when clips come, which may be in several threads: torch's exporter changes every module's call.
    called, make = _model(graph, shapes, engine, seen)
    onnx = kept(engine.kept, called, make)
    settings = settings_of(engine.precision, engine.threads, engine.at_once)

    def blob(count: int) -> bytes:
        model = core.read_model(io.BytesIO(onnx))
        model.reshape({place: [count, *shape] for place, shape in enumerate(shapes)})
        file = io.BytesIO()
        core.compile_model(model, "CPU", settings).export_model(file)
        return file.getvalue()

    def model_of(count: int) -> Any:
        with loading:
            if count not in models:
                key = f"openvino {version('openvino')} {settings} {called} {count}"
                made = kept(engine.kept, key, lambda: blob(count))
                models[count] = core.import_model(io.BytesIO(made), "CPU", settings)
            return models[count]

    def compute(*given: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(given[0])
        try:
            request = idle[count].pop()
        except IndexError:  # all are at work, in other threads
            request = model_of(count).create_infer_request()
        request.infer([np.ascontiguousarray(each) for each in given], share_inputs=True)
        found: NDArray[np.float32] = request.get_output_tensor().data.copy()
        idle[count].append(request)
        return found

    return compute


def _model(graph: nn.Module, shapes: tuple[Shape, ...], engine: Engine, seen: Seen) -> tuple[str, Callable[[], bytes]]:
    """What tells the graph as ONNX from any other, and what makes it."""
    called = f"onnx {version('torch')} {identity(graph)} {shapes}"
    ranges = engine.ranges if engine.precision == "int8" else None
    if ranges is None:
        return called, lambda: as_onnx(graph, shapes)
    from .quantise import quantised

    return (
        f"{called} int8 {version('onnxruntime')} {ranges.identity}",
        lambda: quantised(as_onnx(folded(graph), shapes), [seen(clip) for clip in ranges.clips()]),
    )
