"""Nets by ONNX Runtime, on the CPU, in float32."""

from importlib.metadata import version

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from .engine import Compute, Engine, EngineError
from .interchange import CLIPS, as_onnx, identity
from .kept import kept


def session_of(model: bytes | str) -> onnxruntime.InferenceSession:
    """A model, or its file, on the CPU and torch's number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # torch's threads want the cores between
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def compiled(graph: nn.Module, size: int, engine: Engine) -> Compute:
    """The graph at work. EngineError for bfloat16, which its CPU kernels lack."""
    if engine.precision != "fp32":
        raise EngineError(f"engine onnx has no {engine.precision} on a CPU: --engine openvino, or torch")
    model = kept(engine.kept, f"onnx {version('torch')} {identity(graph)} {size}", lambda: as_onnx(graph, size))
    session = session_of(model)

    def compute(clips: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {CLIPS: np.ascontiguousarray(clips)})[0]
        return found

    return compute
