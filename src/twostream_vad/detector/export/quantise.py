"""A net in eight bits: weights and activations, their ranges measured on normal video (ONNX Runtime's quantiser)."""

import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...scores.stream import Stream, clip_batches
from ...video.frames import ImageFolder

CLIPS = 48  # of normal video, evenly spaced over each, that ranges are measured on


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
            return None if clip is None else {"clips": clip}

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


def normal_clips(stream: Stream, videos: Sequence[ImageFolder]) -> list[NDArray[np.float32]]:
    """Clips of what a stream sees, (crops, 3, T, S, S) each, evenly spaced over normal videos."""
    found = []
    for video in videos:
        views = (stream.views.scored(frame.image) for frame in video)
        every = max(1, stream.snippet.count(len(video)) * len(videos) // CLIPS)
        found += [
            np.ascontiguousarray(clip[0].numpy())
            for number, clip in enumerate(clip_batches(views, stream.snippet, batch=1))
            if number % every == every // 2
        ]
    return found
