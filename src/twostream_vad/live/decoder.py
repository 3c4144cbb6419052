"""A camera's decoder, a process of its own: FFmpeg may crash or hang in it, and takes nothing else down.

It is started by `camera.Camera`. Its first line on standard input says what to open (`Opening`); each further one is a
slot that is free again, or a clip that begins (``clip``, ``from``) or ends (``clip``, ``to``). The last one, or null,
ends it all. Pictures lie in shared memory, its slots; each line on standard output says what has happened: ``opened``,
``frame`` (when, in which slot if in any, whether it is whole), ``clip`` (why there is none, empty where it is written),
``ended`` (why). No line has the address.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ..video.interlaced import Deinterlacer
from ..video.probing import video_streams
from .ring import Clips, Encoded

SANE = (0.5, 2.0)  # seconds by the stamps over seconds by the clock, within which stamps are believed
FASTEST = 240.0  # frames a second; more is the clock of a stream that says nothing of its rate
JUDGED = 10.0  # seconds after which stamps are believed, or no longer
FINISH = 1.0  # seconds in which clips may be finished when nobody wants frames any more
QUALITY = 90  # of a webcam's JPEGs

_saying = threading.Lock()


@dataclass(frozen=True)
class Opening:
    """What to open, and how. ``paced``: frames of a file come at the times that their stamps say."""

    address: str
    kind: str
    memory: int  # the file descriptor of the slots
    slots: int
    options: dict[str, str]
    open_seconds: float
    read_seconds: float
    paced: bool


class Arrivals:
    """When frames were taken, by their stamps or, where these are constant or absurd, by when they came."""

    def __init__(self) -> None:
        self.believed = True
        self._first: tuple[float, float] | None = None  # stamp and arrival

    def read(self, stamp: float | None, arrival: float) -> float | None:
        """The frame's time in seconds from any origin; None where a stamp that is believed is missing."""
        if not self.believed:
            return arrival
        if stamp is None:
            return None
        if self._first is None:
            self._first = stamp, arrival
        shown, waited = stamp - self._first[0], arrival - self._first[1]
        if waited > JUDGED:
            self.believed = SANE[0] * waited <= shown <= SANE[1] * waited
            self._first = stamp, arrival  # and again in as many seconds
        return stamp if self.believed else arrival


class Slots:
    """Shared memory for pictures; of a new size for every stream that is opened."""

    def __init__(self, descriptor: int, count: int) -> None:
        self._descriptor, self._count = descriptor, count
        self._memory: mmap | None = None
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.shape: tuple[int, int, int] | None = None

    def fit(self, shape: tuple[int, int, int]) -> None:
        """Makes room for pictures (H, W, 3) of this shape."""
        size = shape[0] * shape[1] * shape[2]
        os.ftruncate(self._descriptor, size * self._count)
        self._memory, self.shape = mmap(self._descriptor, size * self._count), shape
        for slot in range(self._count):
            self._free.put(slot)

    def free(self, slot: int) -> None:
        """Takes a slot back."""
        self._free.put(slot)

    def put(self, image: np.ndarray) -> int | None:
        """The slot that a picture now lies in; None where all are full."""
        assert self._memory is not None
        try:
            slot = self._free.get_nowait()
        except queue.Empty:
            return None
        np.frombuffer(self._memory, np.uint8, image.size, slot * image.size)[:] = image.reshape(-1)
        return slot


def main() -> None:
    """Reads frames until the stream ends, then says why it did."""
    opening = Opening(**json.loads(sys.stdin.readline()))
    slots, clips = Slots(opening.memory, opening.slots), Clips(say)
    threading.Thread(target=_listen, args=(slots, clips), daemon=True).start()
    try:
        for told in frames(opening, slots, clips):
            say(**told)
        say(kind="ended", why="the stream has ended")
    except av.ExitError:  # what FFmpeg says when its time is up
        say(kind="ended", why=f"nothing has come for {opening.read_seconds:g} s")
    except (av.FFmpegError, OSError, ValueError) as error:
        say(kind="ended", why=getattr(error, "strerror", None) or str(error) or type(error).__name__)


def say(**told: Any) -> None:
    """A line to whoever started this; where nobody listens any more, the end."""
    try:
        with _saying:
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)


def frames(opening: Opening, slots: Slots, clips: Clips) -> Iterator[dict[str, Any]]:
    """What there is to say of a stream, frame by frame; its clips are finished before it ends, however it does."""
    if opening.kind == "webcam":
        yield from _webcam(opening, slots, clips)
        return
    with _opened(opening) as container:
        stream = clips.stream = video_streams(Path("the stream"), container)[0]
        stream.thread_type = "SLICE"  # frames are not held back, as by threads that each decode one
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        yield {"kind": "opened", "rate": rate if 0 < rate <= FASTEST else None}
        try:
            yield from _stream(opening, container, stream, slots, clips)
        finally:
            clips.finish()


def _stream(
    opening: Opening, container: InputContainer, stream: VideoStream, slots: Slots, clips: Clips
) -> Iterator[dict[str, Any]]:
    arrivals, converter, began = Arrivals(), VideoReformatter(), None
    comb: Deinterlacer[tuple[float | None, int]] = Deinterlacer()  # with each frame go its stamp and quarter turns

    def shown(frames: Iterator[tuple[VideoFrame, tuple[float | None, int]]]) -> Iterator[dict[str, Any]]:
        for frame, (stamp, turns) in frames:
            image = np.rot90(converter.reformat(frame, format="rgb24").to_ndarray(), turns)
            yield _placed(slots, image, stamp, block=opening.kind == "file" and not opening.paced)

    waiting = True  # for a key frame: what comes before it, or is predicted from what was damaged, is not whole
    for packet in container.demux(stream):
        if packet.size:  # the last one only empties the decoder
            clips.push(kept(packet, time.monotonic()))  # before its frames are told: a clip may begin with them
        waiting |= packet.is_corrupt
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            decoded, waiting = [], True
            yield from shown(comb.flush())
            yield {"kind": "frame", "slot": None, "time": None, "whole": False}
        for frame in decoded:
            waiting = (waiting and not frame.key_frame) or frame.is_corrupt
            if opening.paced and frame.time is not None:
                began = began if began is not None else time.monotonic() - frame.time
                time.sleep(max(0.0, began + frame.time - time.monotonic()))
            stamp = frame.time if opening.kind == "file" else arrivals.read(frame.time, time.monotonic())
            if waiting:
                yield from shown(comb.flush())
                yield {"kind": "frame", "slot": None, "time": stamp, "whole": False}
            else:
                yield from shown(comb.push(frame, (stamp, round(frame.rotation / 90))))
    yield from shown(comb.flush())


def kept(packet: "Packet[VideoStream]", arrived: float) -> Encoded:
    """A packet as clips need it."""
    stamp = None if packet.dts is None else float(packet.dts * packet.time_base)
    delay = 0.0 if packet.dts is None or packet.pts is None else float((packet.pts - packet.dts) * packet.time_base)
    return Encoded(bytes(packet), packet.is_keyframe, arrived, stamp, delay)


def _placed(slots: Slots, image: np.ndarray, stamp: float | None, *, block: bool = False) -> dict[str, Any]:
    shape = image.shape[0], image.shape[1], 3
    if slots.shape is None:
        slots.fit(shape)
    if slots.shape != shape:
        raise ValueError(f"the picture changed size, to {shape[1]} x {shape[0]} pixels")
    slot = slots.put(image)
    while slot is None and block:
        time.sleep(0.002)
        slot = slots.put(image)
    return {"kind": "frame", "slot": slot, "time": stamp, "whole": True, "height": shape[0], "width": shape[1]}


def _webcam(opening: Opening, slots: Slots, clips: Clips) -> Iterator[dict[str, Any]]:
    import cv2

    device = cv2.VideoCapture(int(opening.address.partition(":")[2]))
    try:
        if not device.isOpened():
            raise OSError("there is no such webcam, or another program has it")
        yield {"kind": "opened", "rate": device.get(cv2.CAP_PROP_FPS) or None}
        while True:
            there, image = device.read()
            if not there:
                return
            yield _placed(slots, np.ascontiguousarray(image[:, :, ::-1]), time.monotonic())
            jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            clips.push(Encoded(jpeg.tobytes(), True, time.monotonic()))
    finally:
        clips.finish()
        device.release()


def _opened(opening: Opening) -> InputContainer:
    timeout = None if opening.kind == "file" else (opening.open_seconds, opening.read_seconds)
    return av.open(opening.address, options=opening.options, timeout=timeout, metadata_errors="ignore")


def _listen(slots: Slots, clips: Clips) -> None:
    """Takes slots back, begins and ends clips; until nobody is there any more, whatever FFmpeg does."""
    with contextlib.suppress(ValueError):
        for line in sys.stdin:
            told = json.loads(line)
            if told is None:
                clips.finish()  # whoever waits for it ends it when that takes too long
                break
            if isinstance(told, int):
                slots.free(told)
            elif "from" in told:
                clips.begin(told["clip"], told["from"])
            else:
                clips.end(told["clip"], told["to"])
    clips.finish(FINISH)
    os._exit(0)


if __name__ == "__main__":
    main()
