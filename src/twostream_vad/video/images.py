"""Image files to RGB arrays. A file that was cut off is an error, never a picture that ends in gray.

OpenCV decodes, and reads more kinds than these (WebP, AVIF, JPEG 2000, GIF, ...) whatever a file's name is. Only the
four kinds whose size is known before decoding reach it.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from .headers import Header, read_header, without_extras
from .source import VideoError

IMAGE_SUFFIXES: frozenset[str] = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
MOST_PIXELS = 1 << 26  # 67 million; decoding as many of 16-bit colour takes 1 GB
_MOST_BYTES = 8 * MOST_PIXELS  # more than that many pixels take in any of the kinds

_AGAIN = "extract or copy this frame again"


def is_image(path: Path) -> bool:
    """Whether the name is an image's; hidden files are none: macOS leaves "._001.jpg" beside 001.jpg."""
    return not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES


def read_image(path: Path, depth: int = 16) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; gray is repeated, alpha and orientation are left out.

    Of a file with 16 bits a value, ``depth`` bits are used, and the upper 8 of these are kept (`significant_bits` tells
    how many; 16 unless given). Raises VideoError where the file cannot be opened, is empty, cut off or not an image,
    has more than MOST_PIXELS pixels, values that are signed or floating-point, or values of more than ``depth`` bits.
    """
    image = _decode(path)
    if image.dtype == np.uint16:
        if depth < 16 and (largest := int(image.max())) >= 1 << depth:
            raise VideoError(
                f"{path} has values up to {largest}, the images beside it up to {(1 << depth) - 1}; "
                f"put what was recorded otherwise into a folder of its own, or convert all to 8 bits"
            )
        image = (image >> (depth - 8)).astype(np.uint8)
    rgb: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    return rgb


def stored_bits(path: Path) -> int:
    """Bits of a value as the file stores it, by its header; errors as `read_image`."""
    return _checked(path)[1].bits


def significant_bits(path: Path) -> int:
    """Bits, 8 to 16, that the file's largest value takes; errors as `read_image`.

    What a file says of it is not asked: by the PNG specification values are spread over all 16 bits whatever sBIT
    says, and TIFFs of 12-bit cameras say 16.
    """
    return max(8, int(_decode(path).max()).bit_length())


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """(H, W, 3) RGB as a JPEG file's content; ``quality`` 0 to 100."""
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def _decode(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W, 3) BGR, of 8 or 16 bits as the file is."""
    data, _ = _checked(path)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(without_extras(data), np.uint8), flags)
    except cv2.error as error:
        raise VideoError(f"{path} cannot be decoded: {error.err}; {_AGAIN}") from error
    if bgr is None or bgr.dtype not in (np.uint8, np.uint16):
        raise VideoError(f"{path} is damaged or not an image; {_AGAIN}")
    return bgr  # type: ignore[return-value]


def _checked(path: Path) -> tuple[bytes, Header]:
    """A file's bytes and header, once it is sure that they can be decoded in bounded memory."""
    try:
        size = path.stat().st_size
        # OpenCV's own reader fails on paths outside ASCII on some systems.
        data = path.read_bytes() if size <= _MOST_BYTES else b""
    except OSError as error:
        raise VideoError(f"{path} cannot be opened: {error.strerror}; check that it is there and readable") from error
    if size > _MOST_BYTES:
        raise VideoError(f"{path} has {size} bytes, more than any frame; resize it, or remove it if it is no frame")
    if not data:
        raise VideoError(f"{path} is empty; {_AGAIN}")
    header = read_header(data)
    if header is None:
        raise VideoError(f"{path} is damaged or not an image that is JPEG, PNG, TIFF or BMP inside; {_AGAIN}")
    if not header.whole:
        raise VideoError(f"{path} is cut off: its end is missing; {_AGAIN}")
    if header.width * header.height > MOST_PIXELS:
        raise VideoError(
            f"{path} claims {header.width} x {header.height} pixels, more than {MOST_PIXELS / 1e6:.0f} million; "
            f"resize it, or remove it if it is no frame"
        )
    if header.bits > 16 or not header.numbers:
        raise VideoError(
            f"{path} holds values of {header.bits} bits that are no plain levels; save it with 8 or 16 bits"
        )
    return data, header
