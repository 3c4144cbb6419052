"""The second decoder, OpenCV's own, in a process of its own: on some files that FFmpeg reads it aborts."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from .fingerprints import HEIGHT, WIDTH, Pictures, small

SECONDS = 60.0  # for the process, and more for each frame that there ought to be
SECONDS_A_FRAME = 0.1


def opencv_pictures(path: Path, frames: int) -> Pictures:
    """The small pictures of a file's frames as OpenCV decodes them; of about so many frames.

    None at all where OpenCV takes the process with it, or needs longer than ten frames a second would.
    """
    words = [sys.executable, "-m", __name__, str(path.absolute())]
    try:
        limit = SECONDS + SECONDS_A_FRAME * frames
        data = subprocess.run(words, capture_output=True, timeout=limit, check=True).stdout
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        data = b""
    return np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)


def main(path: str) -> None:
    """Writes the pictures to standard output, one after the other."""
    capture = cv2.VideoCapture(path)
    while (read := capture.read())[0]:
        gray = np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        sys.stdout.buffer.write(small(gray).tobytes())
    capture.release()


if __name__ == "__main__":
    main(sys.argv[1])
