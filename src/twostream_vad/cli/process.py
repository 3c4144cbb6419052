"""Text, threads and memory of this process, which are the command line's business and no library's."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..detector.engines.engine import Engine

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
KEPT_BYTES = 1 << 30
ARENAS = 1  # that threads take memory from: each would keep what is freed in it to itself


def speak_utf8() -> None:
    """Starts the command anew in Python's UTF-8 mode where the locale is another, such as C in many a container.

    Names with other letters than ASCII's would be read as half characters, which PyAV, safetensors and TensorBoard
    refuse. Nothing but a new start changes how Python reads them.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


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
            libc.mallopt(M_ARENA_MAX, ARENAS)


def with_cores(engine: "Engine", nets: int = 1) -> "Engine":
    """The engine with all of torch's threads, shared out to so many nets that compute at the same time.

    Where another library computes them torch keeps one: its own wait busily from one work to the next, and would take
    the cores from the nets. Torch's nets have one count of threads together, all of them.
    """
    import torch

    found, threads = engine.resolved(), torch.get_num_threads()
    if found.name == "torch":
        return replace(found, threads=threads)
    torch.set_num_threads(1)
    return replace(found, threads=max(1, threads // nets))


@contextlib.contextmanager
def until_told() -> Iterator[threading.Event]:
    """Set by SIGTERM and by Ctrl-C, which end nothing by themselves meanwhile."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def give_back_memory() -> None:
    """What the C library keeps goes back to the system: between long work and another kind of it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
