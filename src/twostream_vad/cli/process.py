"""Threads and memory of this process, which are the command line's business and no library's."""

import contextlib
import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT_BYTES = 1 << 30


def set_up_process(threads: int | None) -> None:
    """Threads and memory for long work.

    ``threads`` are torch's; sums over threads round differently, so a run keeps one number. OpenCV gets one: frames
    are small, and threads of ours read them. The C library keeps freed memory instead of returning it to the system
    after every layer and taking it back page by page.
    """
    import cv2
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
            libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
