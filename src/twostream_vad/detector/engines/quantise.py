"""A net in eight bits: weights and activations, their ranges measured on normal video (ONNX Runtime's quantiser)."""

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...nets.edge import FRAMES
from ...scores.stream import clip_batches
from ...video.frames import ImageFolder
from ...video.snippets import Snippet
from ...video.views import Views
from .interchange import CLIPS

MOST = 48  # clips of normal video, evenly spaced over each, that ranges are measured on


def quantised(model: bytes, clips: Sequence[NDArray[np.float32]]) -> bytes:
    """An ONNX net of one input, as one whose convolutions compute in int8, each channel of weights by its own scale."""
    tools: Any = import_module("onnxruntime.quantization")
    reading: Any = import_module("onnxruntime.quantization.calibrate").CalibrationDataReader

    class Clips(reading):  # type: ignore[misc]
        """What the quantiser reads."""

        def __init__(self) -> None:
            self.left: Iterator[NDArray[np.float32]] = iter(clips)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            clip = next(self.left, None)
            return None if clip is None else {CLIPS: clip}

    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        before.write_bytes(model)
        log = logging.getLogger()
        level, log.level = log.level, logging.ERROR  # it advises a preparation that has been made
        try:
            tools.quantize_static(
                str(before),
                str(after),
                Clips(),
                quant_format=tools.QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "ConvTranspose"],
                per_channel=True,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
            )
        finally:
            log.level = level
        return after.read_bytes()


def normal_clips(snippet: Snippet, views: Views, videos: Sequence[ImageFolder]) -> list[NDArray[np.float32]]:
    """Clips of what a net sees, (crops, 3, 8, S, S) each, evenly spaced over normal videos."""
    found = []
    for video in videos:
        crops = (views.scored(frame.image) for frame in video)
        every = max(1, snippet.count(len(video)) * len(videos) // MOST)
        found += [
            np.ascontiguousarray(clip[0, :, :, :FRAMES].numpy())
            for number, clip in enumerate(clip_batches(crops, snippet, batch=1))
            if number % every == every // 2
        ]
    return found
