"""Video files of every kind, made here: a square that moves before noise, one key frame a second."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Record = Callable[..., Path]
Image = NDArray[np.uint8]


def moving(index: int, size: tuple[int, int] = (96, 64)) -> Image:
    """(H, W, 3) of size (width, height); the ground is the same noise in every frame."""
    image = np.random.default_rng(0).integers(60, 180, (size[1], size[0], 3), dtype=np.uint8)
    image[20:40, index % 70 : index % 70 + 20] = 255
    return image


def _record(
    path: Path,
    codec: str = "libx264",
    frames: int = 100,
    rate: float = 25,
    stamps: list[int] | None = None,
    size: tuple[int, int] = (96, 64),
    form: str | None = None,
    images: Callable[[int], Image] | None = None,
    options: dict[str, str] | None = None,
    **container_options: str,
) -> Path:
    """Writes ``frames`` frames, at ``stamps`` in milliseconds where they are given."""
    with av.open(str(path), "w", format=form, options=container_options) as container:
        stream: Any = container.add_stream(codec, rate=1000 if stamps else Fraction(rate))
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = 25
        stream.bit_rate = 2_000_000
        stream.options = options or {}
        if stamps:
            stream.time_base = Fraction(1, 1000)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(images(index) if images else moving(index, size), format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def record() -> Record:
    """record(path, codec, frames, …) -> path."""
    return _record


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image]:
    """picture(index) -> what was recorded as that frame."""
    return moving
