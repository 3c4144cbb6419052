"""Frames as small JPEGs: for exemplars, pages and alarms."""

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH = 192
QUALITY = 60
OUTLINE = (0, 220, 255)  # BGR: yellow is seen on lawns and on asphalt, by day and by night


def marked(picture: bytes, box: tuple[float, float, float, float]) -> bytes:
    """The JPEG with an outline around a part of it: left, top, right, bottom as shares of its sides."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "a JPEG of our own"
    height, width = image.shape[:2]
    left, top, right, bottom = (round(share * side) for share, side in zip(box, (width, height) * 2, strict=True))
    cv2.rectangle(image, (left, top), (right - 1, bottom - 1), OUTLINE, max(1, round(width / 160)))
    return jpeg(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))


def thumbnail(image: NDArray[np.uint8], width: int = WIDTH) -> bytes:
    """A frame, (H, W, 3) RGB, as a JPEG that is ``width`` pixels wide; a narrower frame keeps its size."""
    return jpeg(narrowed(image, width))


def narrowed(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """A frame, (H, W, 3) RGB, at most ``width`` pixels wide."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a frame must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB as a JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done, "OpenCV writes JPEG"
    return encoded.tobytes()
