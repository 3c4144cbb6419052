"""An exported detector at work: the graphs as they lie on the disk, behind the same streams, clip by clip."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...edge.flow import Flow, Known
from ...nets.edge import unpacked
from ...retrieval.centres import Centres
from ...retrieval.placed import PLACE, PlacedStream
from ...retrieval.stream import ClipEncoder, Encoding, RetrievalStream
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


class _Foretold:
    """Context recovery of frames that were predicted already, judged by the exported graph."""

    def __init__(self, judge: Call, snippet: Any, views: Any) -> None:
        self.judge, self.snippet, self.views = judge, snippet, views

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        found = []
        for clip in clips:  # (crops, 3, 2, S, S): as it was predicted, which is a change from nothing, and as it came
            last = torch.stack((torch.zeros_like(clip[:, :, 1]), clip[:, :, 1]), dim=2)
            found.append(self.judge(clip[:, :, 0].contiguous().numpy(), last.numpy())[0])
        return np.concatenate(found).astype(np.float64)


class _Model:
    """An EdgeNet by the exported graphs."""

    at_once = callers = 1

    def __init__(self, calls: Mapping[str, Call], size: int, values: int) -> None:
        self._calls, self._size, self._values = calls, size, values

    def see(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._calls["see"](crops)[0]
        return found

    def tell(self, ring: Tensor, recent: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.from_numpy(self._calls["tell"](ring.numpy(), recent.numpy())[0])
        change, features = unpacked(found, self._size, self._values)
        return change + recent[:, -1], features


def detector_of(bundle: Bundle, calls: Mapping[str, Call]) -> Detector:
    """The bundle's detector, its nets, views and judgement computed by exported graphs."""
    told, views = bundle.description, _Views(calls["view"])
    part, size, flow = told.retrieval, told.pictures.size, None
    crops, side = bundle.views.count(told.pictures.height, told.pictures.width), size // PLACE if part.by_place else 1
    encoder: ClipEncoder
    if told.edge is not None:
        flow = Flow(_Model(calls, size, part.values), views, told.recovery.interval)  # type: ignore[arg-type]
        encoder = Known(part.values, side, "export")
    else:
        encoder = _Encoder(calls["encode"], part.values, side, crops)
    encoding = Encoding(encoder, bundle.snippets["retrieval"], views, part.dtype)  # type: ignore[arg-type]
    retrieval: Stream
    if part.by_place:
        retrieval = PlacedStream(encoding, Centres.load(bundle.path(CENTRES)))
    else:
        tables = HashTables.load(bundle.path(TABLES))
        retrieval = RetrievalStream(encoding, lambda features: calls["hash"](np.float32(features))[0], tables)
    snippet, recovery = bundle.snippets["recovery"], calls["judge"]
    streams: dict[str, Stream] = {
        "recovery": _Foretold(recovery, snippet, views)
        if flow
        else _Recovery(calls["predict"], recovery, snippet, views),
        "retrieval": retrieval,
    }
    normal = told.calibration
    return Detector(streams, told.pictures.rate, normal.scales, told.weights, normal.threshold, flow=flow)
