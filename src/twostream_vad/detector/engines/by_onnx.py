"""Nets by ONNX Runtime, on the CPU, in float32."""

from importlib.metadata import version

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from .engine import Compute, Engine, EngineError, Shape
from .interchange import as_onnx, identity, names
from .kept import kept


def session_of(model: bytes | str, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A model, or its file, on the CPU and so many threads, or torch's number of them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or torch.get_num_threads(), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch's threads want the cores between
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compiled(graph: nn.Module, shapes: tuple[Shape, ...], engine: Engine) -> Compute:
    """The graph at work. EngineError for bfloat16, which its CPU kernels lack."""
    if engine.precision != "fp32":
        raise EngineError(f"engine onnx has no {engine.precision} on a CPU: --engine openvino, or torch")
    key = f"onnx {version('torch')} {identity(graph)} {shapes}"
    model = kept(engine.kept, key, lambda: as_onnx(graph, shapes))
    session = session_of(model, engine.threads)

    def compute(*given: NDArray[np.float32]) -> NDArray[np.float32]:
        named = {name: np.ascontiguousarray(each) for name, each in zip(names(len(given)), given, strict=True)}
        found: NDArray[np.float32] = session.run(None, named)[0]
        return found

    return compute
