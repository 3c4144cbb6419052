"""Image files to RGB arrays. A file that was cut off is an error, never a picture that ends in gray."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .source import VideoError

IMAGE_SUFFIXES: frozenset[str] = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})

_JPEG_START = b"\xff\xd8"
_JPEG_SCAN = 0xDA
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


def is_image(path: Path) -> bool:
    """Whether the name is an image's; hidden files are none: macOS leaves "._001.jpg" beside 001.jpg."""
    return not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; gray is repeated, 16 bits keep their upper 8, alpha and orientation are left out.

    Raises VideoError where the file cannot be opened, is empty, cut off or not an image.
    """
    try:
        # OpenCV's own reader fails on paths outside ASCII on some systems.
        data = path.read_bytes()
    except OSError as error:
        raise VideoError(f"{path} cannot be opened: {error.strerror}; check that it is there and readable") from error
    if not data:
        raise VideoError(f"{path} is empty; extract or copy this frame again")
    if _is_cut_off(data):
        raise VideoError(f"{path} is cut off: its end is missing; extract or copy this frame again")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise VideoError(f"{path} cannot be decoded: {error.err}; extract or copy this frame again") from error
    if bgr is None:
        raise VideoError(f"{path} is damaged or not an image; extract or copy this frame again")
    image: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    return image


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """(H, W, 3) RGB as a JPEG file's content; ``quality`` 0 to 100."""
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def _is_cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end: decoders may fill the rest in and say nothing."""
    if data.startswith(_JPEG_START):
        return data.rfind(_JPEG_END, _jpeg_scan(data)) < 0
    return data.startswith(_PNG_START) and data.rfind(_PNG_END) < 0


def _jpeg_scan(data: bytes) -> int:
    """Where the coded pixels begin. The segments before them may hold a thumbnail with an end of its own."""
    at = len(_JPEG_START)
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _JPEG_SCAN:
        is_fill = data[at + 1] == 0xFF
        at += 1 if is_fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at
