"""Word to systemd: that the service is ready, works, or ends. Without systemd nothing is sent."""

import contextlib
import os
import socket


def told(*words: str) -> None:
    """Sends such words as ``READY=1``, ``WATCHDOG=1``, ``STOPPING=1``, as sd_notify(3) does."""
    where = os.environ.get("NOTIFY_SOCKET")
    if not where:
        return
    address = "\0" + where[1:] if where.startswith("@") else where
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.sendto("\n".join(words).encode(), address)
