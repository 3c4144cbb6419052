"""An exported detector at work: the graphs as they lie on the disk, behind the same streams, clip by clip."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...retrieval.centres import Centres
from ...retrieval.placed import PLACE, PlacedStream
from ...retrieval.stream import Encoding, RetrievalStream
from ...retrieval.tables import HashTables
from ...scores.stream import Stream
from ..bundle import CENTRES, TABLES, Bundle
from ..detector import Detector

Format = Literal["onnx", "openvino", "torch"]
ENDINGS: dict[Format, str] = {"onnx": "onnx", "openvino": "xml", "torch": "pt2"}
Call = Callable[..., list[NDArray[Any]]]
"""Arrays in the order of the graph's inputs → its outputs."""


def opened(path: Path, form: Format, precision: str) -> Call:
    """A graph's file, ready to be called; OpenVINO computes in ``precision``, the others as the file says."""
    if form == "torch":
        net = torch.export.load(path).module()

        def by_torch(*given: NDArray[Any]) -> list[NDArray[Any]]:
            with torch.inference_mode():
                found = net(*map(torch.from_numpy, given))
            return [tensor.numpy() for tensor in (found if isinstance(found, tuple) else (found,))]

        return by_torch
    if form == "onnx":
        from ..engines.by_onnx import session_of

        session = session_of(str(path))
        names = [each.name for each in session.get_inputs()]

        def by_onnx(*given: NDArray[Any]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = session.run(None, dict(zip(names, given, strict=True)))
            return found

        return by_onnx
    from ..engines.by_openvino import openvino, settings_of

    model = openvino.Core().compile_model(path, "CPU", settings_of(precision))
    request = model.create_infer_request()

    def by_openvino(*given: NDArray[Any]) -> list[NDArray[Any]]:
        request.infer(list(given))
        return [request.get_output_tensor(index).data.copy() for index in range(len(model.outputs))]

    return by_openvino


class _Views:
    """A frame by the exported graph."""

    def __init__(self, view: Call) -> None:
        self.view = view

    def scored(self, image: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(self.view(image)[0])


class _Recovery:
    """Context recovery by the exported graphs."""

    def __init__(self, predict: Call, judge: Call, snippet: Any, views: Any) -> None:
        self.predict, self.judge, self.snippet, self.views = predict, judge, snippet, views

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        found = []
        for clip in clips.numpy():
            change = self.predict(np.ascontiguousarray(clip[:, :, :-1]))[0]
            found.append(self.judge(change, np.ascontiguousarray(clip[:, :, -2:]))[0])
        return np.concatenate(found).astype(np.float64)


class _Encoder:
    """A `ClipEncoder` by the exported graph."""

    def __init__(self, encode: Call, values: int, side: int, crops: int) -> None:
        self.encode, self.values, self.side, self.crops, self.source = encode, values, side, crops, "export"

    def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = [clips[start : start + self.crops] for start in range(0, len(clips), self.crops)]
        found = [self.encode(np.ascontiguousarray(part))[0].reshape(-1, self.values) for part in parts]
        return np.concatenate(found)


def detector_of(bundle: Bundle, calls: Mapping[str, Call]) -> Detector:
    """The bundle's detector, its nets, views and judgement computed by exported graphs."""
    told, views = bundle.description, _Views(calls["view"])
    part, size = told.retrieval, told.pictures.size
    crops = bundle.views.count(told.pictures.height, told.pictures.width)
    encoder = _Encoder(calls["encode"], part.values, size // PLACE if part.by_place else 1, crops)
    encoding = Encoding(encoder, bundle.snippets["retrieval"], views, part.dtype)  # type: ignore[arg-type]
    retrieval: Stream
    if part.by_place:
        retrieval = PlacedStream(encoding, Centres.load(bundle.path(CENTRES)))
    else:
        tables = HashTables.load(bundle.path(TABLES))
        retrieval = RetrievalStream(encoding, lambda features: calls["hash"](np.float32(features))[0], tables)
    recovery = _Recovery(calls["predict"], calls["judge"], bundle.snippets["recovery"], views)
    streams: dict[str, Stream] = {"recovery": recovery, "retrieval": retrieval}
    normal = told.calibration
    return Detector(streams, told.pictures.rate, normal.scales, told.weights, normal.threshold)
