"""A target that is a program on this machine."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence

from ...errors import TsvadError
from ..events import Message
from .target import Target, Undelivered, body

TIMEOUT = 30.0  # seconds


class Command(Target):
    """Runs a program, without a shell, for each message: JSON on its standard input; exit code 0 says that it has it.

    Its environment is ours but for all that is called TSVAD_…, where passwords are, and with TSVAD_KEY, TSVAD_PHASE
    and TSVAD_CAMERA of the message. What it prints is not read; what it complains of goes where our own errors go. Its
    arguments may be secret: the name shows the program alone. TsvadError where there is none.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if not words:
            raise TsvadError("exec: names no program; write exec:PROGRAM ARGUMENT …")
        self.name, self._words = f"exec:{words[0]}", list(words)
        if shutil.which(words[0]) is None:
            raise TsvadError(f"{self.name}: there is no such program, or it may not be run; give its whole path")
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def deliver(self, message: Message) -> None:
        """Undelivered for another exit code, or after 30 s: then it is killed, and what it has started with it."""
        told = {"TSVAD_KEY": message.key, "TSVAD_PHASE": message.phase, "TSVAD_CAMERA": message.event["camera"]}
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TSVAD_")}
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=ours | told,
                start_new_session=True,  # a group of its own, which can be killed whole; Ctrl-C is for us
            )
        except OSError as error:
            raise Undelivered(f"it does not start: {error.strerror}") from None
        with process:
            self._process = process
            if self._closed:
                _kill(process)
            try:
                process.communicate(body(message), TIMEOUT)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise Undelivered(f"it has not ended in {TIMEOUT:g} s", message_only=True) from None
        if process.returncode:
            raise Undelivered(f"it ended with code {process.returncode}", message_only=True)

    def close(self) -> None:
        """Kills a program that is running, and what it has started."""
        self._closed = True
        if self._process is not None:
            _kill(self._process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
