"""A camera: frames as they come, the state that it is in, and a decoder that is replaced when it crashes or hangs."""

import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .address import Address
from .decoder import FINISH, Opening
from .ring import part_of

Image = NDArray[np.uint8]
State = Literal["opening", "waiting for a key frame", "fine", "slow", "frozen", "silent", "gone"]

SLOTS = 3  # pictures in the memory that is shared with a decoder
WAITING = 20  # frames that may wait for their scores; then all of them are left out but the newest
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds before a camera is opened again: twice as many each time
STEADY = 30.0  # seconds of frames after which the next wait is the first again
SPAN = 10.0  # seconds over which a rate is taken
SLOW = 0.5  # share of the rate that a stream promises, below which it is slow
FROZEN = 10.0  # seconds of pictures that are the same to the bit
COARSE = 8  # every so manieth row and column is compared
QUIET = 2.0  # seconds without a word after which a camera is silent
GRACE = 2.0  # seconds beyond its own time-outs after which a decoder hangs


@dataclass(frozen=True)
class Timeouts:
    """Seconds until an opening, or a stream that sends nothing, is given up."""

    open: float = 10.0
    read: float = 10.0


@dataclass(frozen=True)
class LiveFrame:
    """A frame as it came: ``image`` (H, W, 3) uint8 RGB, None where it is lost.

    ``time`` is its stamp in seconds, None where it has none; ``arrived`` on `time.monotonic`'s clock. ``opened`` counts
    the openings so far: no snippet may span two of them; ``left_out`` frames were left out just before it.
    """

    image: Image | None
    time: float | None
    arrived: float
    opened: int
    left_out: int = 0


@dataclass
class Counts:
    """What a camera has done so far."""

    read: int = 0
    lost: int = 0  # damaged, or before the first key frame
    left_out: int = 0  # since scoring had fallen behind
    openings: int = 0


@dataclass(frozen=True)
class Health:
    """A camera's ``state`` since a time, seconds since the epoch, and why, in words without a password."""

    state: State
    since: float
    why: str = ""


class Camera:
    """Reads one camera by one connection, for ever; see `take`. Use it as a context, or `close` it.

    ``changed`` is told of every new state. ``paced`` gives a file's frames at the times of their stamps; one that is
    not is read as fast as its frames are taken, and none is left out. A file is read once: then the camera is gone.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeouts: Timeouts = Timeouts(),
        transport: Literal["tcp", "udp"] = "tcp",
        paced: bool = True,
        changed: Callable[[Health], None] = lambda _: None,
    ) -> None:
        self.address, self.timeouts, self.paced, self.counts = address, timeouts, paced, Counts()
        self.rate: float | None = None  # frames a second, as the stream says
        self.health = Health("opening", time.time())
        self.failure = ""  # why a file gave nothing
        self._options: dict[str, str] = {"rtsp_transport": transport} if address.whole.startswith("rtsp") else {}
        self._changed, self._ready = changed, threading.Condition()
        self._waiting = deque[LiveFrame]()
        self._clips: dict[Path, Callable[[str], None]] = {}  # that are being written; guarded by ``_ready``
        self._closed, self._ended = False, False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_open, name=f"camera {address.shown}", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def live(self) -> bool:
        """Whether frames come at their own time; a file may be read as fast as it can be scored."""
        return self.paced or self.address.kind != "file"

    def take(self, timeout: float) -> LiveFrame | None:
        """The next frame; None where none comes in so many seconds, or none will: then the camera is ``ended``."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._ended, timeout)
            found = self._waiting.popleft() if self._waiting else None
            self._ready.notify_all()
            return found

    @property
    def queued(self) -> int:
        """Frames that wait to be taken."""
        return len(self._waiting)

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        return self._ended and not self._waiting

    def clip(self, path: Path, start: float, done: Callable[[str], None]) -> None:
        """Begins an MP4 at ``path``, where no file is yet; frames from ``start`` on, a time of `LiveFrame.arrived`.

        It ends as `end_clip` says, or with the connection, after five minutes and a half at the latest. ``done`` is
        told why there is no clip, empty where it has been written: by the camera's own thread, which it must not hold
        up, or here where there is no connection.
        """
        path = path.absolute()
        with self._ready:
            process = self._process
            if process is not None:
                self._clips[path] = done
                _write(process, json.dumps({"clip": str(path), "from": start}))
        if process is None:
            done("the camera is gone")

    def end_clip(self, path: Path, end: float) -> None:
        """Ends a clip with the first frame that arrives at or after ``end``, and is still to come."""
        path = path.absolute()
        with self._ready:
            if self._process is not None and path in self._clips:
                _write(self._process, json.dumps({"clip": str(path), "to": end}))

    def close(self) -> None:
        """Ends the decoder; waits for it, a second at most for clips that are being written."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
            process, clips = self._process, bool(self._clips)
            if process is not None and clips:
                _write(process, json.dumps(None))
        if clips:
            self._thread.join(FINISH)
        if process is not None:
            process.kill()
        self._thread.join()

    def _keep_open(self) -> None:
        """Opens the camera again and again, less and less often while it gives nothing."""
        wait = FIRST_WAIT
        try:
            while not self._closed:
                began = time.monotonic()
                self.counts.openings += 1
                why = self._read_once()
                if self.address.kind == "file":
                    self.failure = "" if self.counts.read or self._closed else why
                    break
                if not self._closed:
                    self._told("gone", why)
                wait = FIRST_WAIT if time.monotonic() - began > STEADY else wait
                with self._ready:  # cameras behind one switch, which are gone together, do not come back together
                    self._ready.wait_for(lambda: self._closed, wait * random.uniform(0.75, 1.25))
                wait = min(2 * wait, LONGEST_WAIT)
        finally:
            with self._ready:
                self._ended = True
                self._ready.notify_all()

    def _read_once(self) -> str:
        """One opening, from its start to its end; says why it ended."""
        self._told("opening")
        memory = shared_memory()
        opening = Opening(
            self.address.whole, self.address.kind, memory, SLOTS, self._options,
            self.timeouts.open, self.timeouts.read, self.paced,
        )  # fmt: skip
        words = [sys.executable, "-m", "twostream_vad.live.decoder"]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[memory],
            env={name: value for name, value in os.environ.items() if not name.startswith("TSVAD_")},
            start_new_session=True,  # Ctrl-C is for us, and we end it
        )
        why = ""
        try:
            with self._ready:
                if self._closed:
                    return why
                _write(process, json.dumps(asdict(opening)))
                self._process = process
            why = self._follow(process, memory)
            return why
        finally:
            process.kill()
            process.wait()
            self._drop_clips(why)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()  # type: ignore[union-attr]
            os.close(memory)

    def _drop_clips(self, why: str) -> None:
        """No decoder writes any more: what is not whole by now goes."""
        with self._ready:
            self._process, clips, self._clips = None, self._clips, {}
        for path, done in clips.items():
            with contextlib.suppress(OSError):
                part_of(path).unlink(missing_ok=True)
            done("" if path.exists() else "the camera was closed" if self._closed else why)

    def _follow(self, process: "subprocess.Popen[bytes]", memory: int) -> str:
        assert process.stdout is not None
        lines, patience, picture = Lines(process.stdout.fileno()), self.timeouts.open, Picture(memory)
        look, quiet = Look(), 0.0
        while True:
            told = lines.next(QUIET)
            if told is None:
                quiet += QUIET
                if quiet > patience + GRACE:
                    return f"its decoder hangs: nothing for {quiet:.0f} s"
                if self.health.state not in ("opening", "waiting for a key frame"):
                    self._told("silent")
                continue
            quiet = 0.0
            if told["kind"] == "crashed":
                return f"its decoder has crashed ({process.wait()})"
            if told["kind"] == "ended":
                return self.address.clean(told["why"])
            if told["kind"] == "clip":
                with self._ready:
                    done = self._clips.pop(Path(told["path"]), None)
                if done is not None:
                    done(told["why"])
                continue
            patience = self.timeouts.read
            if told["kind"] == "opened":
                self.rate = told["rate"]
                self._told("waiting for a key frame")
            else:
                image = picture.of(told)
                if told["slot"] is not None:
                    _write(process, str(told["slot"]))
                if image is not None:
                    self._told(look.state(image, time.monotonic(), self.rate if self.live else None))
                self._put(image, told["time"], whole=told["whole"])

    def _put(self, image: Image | None, stamp: float | None, *, whole: bool) -> None:
        now = time.monotonic()
        with self._ready:
            self.counts.read += 1
            self.counts.lost += not whole
            self.counts.left_out += whole and image is None  # nobody had taken the pictures before it
            if not self.live:
                self._ready.wait_for(lambda: len(self._waiting) < WAITING or self._closed)
            left_out = 0
            if len(self._waiting) >= WAITING:
                # All at once: every gap costs the snippets that span it, so one long one is better than many.
                left_out = sum(1 + frame.left_out for frame in self._waiting)
                self.counts.left_out += len(self._waiting)
                self._waiting.clear()
            self._waiting.append(LiveFrame(image, stamp, now, self.counts.openings, left_out))
            self._ready.notify_all()

    def _told(self, state: State, why: str = "") -> None:
        if state != self.health.state or why != self.health.why:
            self.health = Health(state, time.time(), why)
            self._changed(self.health)


def shared_memory() -> int:
    """A descriptor of memory that a decoder can be given; of a file without a name where the system has none."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(process: "subprocess.Popen[bytes]", line: str) -> None:
    """A line to a decoder, which may have ended: what it said before that is still to be read."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()


class Look:
    """Tells a frozen camera, whose pictures are the same to the bit, and a slow one from one that is fine."""

    def __init__(self) -> None:
        self._arrivals = deque[float]()
        self._seen: Image | None = None
        self._changed = 0.0

    def state(self, image: Image, now: float, rate: float | None) -> State:
        """With one more picture; ``rate`` is what the camera promises."""
        few = image[::COARSE, ::COARSE]
        if self._seen is None or not np.array_equal(few, self._seen):
            self._seen, self._changed = few, now
        self._arrivals.append(now)
        while now - self._arrivals[0] > SPAN:
            self._arrivals.popleft()
        waited = now - self._arrivals[0]
        if now - self._changed >= FROZEN:
            return "frozen"
        slow = rate is not None and waited > SPAN / 2 and len(self._arrivals) < SLOW * rate * waited
        return "slow" if slow else "fine"


class Picture:
    """Pictures out of the decoder's memory."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._mapped: mmap | None = None

    def of(self, told: dict[str, Any]) -> Image | None:
        """A copy of the one that a line tells of; None where it is lost."""
        if told["slot"] is None:
            return None
        height, width = told["height"], told["width"]
        size = height * width * 3
        if self._mapped is None:
            self._mapped = mmap(self._memory, size * SLOTS, access=ACCESS_READ)
        image: Image = np.frombuffer(self._mapped, np.uint8, size, told["slot"] * size).reshape(height, width, 3).copy()
        return image


class Lines:
    """Lines of a pipe, with patience."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._text = descriptor, b""
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def next(self, seconds: float) -> dict[str, Any] | None:
        """The next line as JSON; None where none comes in time; ``crashed`` where none will."""
        while b"\n" not in self._text:
            if not self._poll.poll(1e3 * seconds):
                return None
            if not (more := os.read(self._descriptor, 1 << 16)):
                return {"kind": "crashed"}
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found
