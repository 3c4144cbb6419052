"""Frames from what lies on a disk: a folder of images or a video file, behind one interface."""

from pathlib import Path

from .files import VIDEO_SUFFIXES, VideoFile
from .folders import ImageFolder
from .images import is_image, read_image
from .source import DEFAULT_RATE, ChangedVideoError, Frame, FrameSource, VideoError

__all__ = ["DEFAULT_RATE", "VIDEO_SUFFIXES", "ChangedVideoError", "Frame", "FrameSource", "ImageFolder", "VideoError"]
__all__ += ["VideoFile", "count_frames", "is_image", "open_source", "read_image"]


def open_source(
    path: Path, *, rate: float | None = None, skip: int = 0, depth: int | None = None
) -> ImageFolder | VideoFile:
    """A folder as images, a file as video; ``rate`` is frames a second, by default the file's own, and 25 for images.

    ``depth`` is a folder's, as `ImageFolder` has it.

    Raises:
        VideoError: nothing there, or nothing that can be read as a video.
    """
    path = Path(path)
    if path.is_dir():
        return ImageFolder(path, rate=DEFAULT_RATE if rate is None else rate, skip=skip, depth=depth)
    if path.is_file() and is_image(path):
        raise VideoError(f"{path} is one image, not a video; give the folder that holds it")
    return VideoFile(path, skip=skip, rate=rate)


def count_frames(source: FrameSource) -> int:
    """How many frames the source gives, by decoding them all: what a header says may be wrong."""
    return sum(1 for _ in source)
