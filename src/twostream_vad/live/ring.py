"""Clips of a camera: the last seconds of its packets, as they came, and MP4 files that begin with them.

H.264 is copied; what browsers do not play is decoded again and encoded as H.264.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.codec import CodecContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

SECONDS = 15.0  # that a ring keeps
MOST = 64 << 20  # bytes that it keeps at most, and twice that a clip may be behind
LONGEST = 330.0  # seconds of a clip: the longest event, with what is before and after it
LEAP = 10.0  # seconds from a stamp to the next; more is a clock that was set
LEAST = 0.001  # seconds from a frame to the next
REORDERED = 1.0  # seconds that a frame may be shown after its packet was to be decoded
TICKS = 90_000  # a second, of a clip's time stamps
CODING = {"crf": "23", "preset": "veryfast", "threads": "2"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A packet: ``arrived`` on `time.monotonic`'s clock; ``stamp`` in seconds, shown ``delay`` seconds after that."""

    data: bytes
    key: bool
    arrived: float
    stamp: float | None = None
    delay: float = 0.0


class Ring:
    """The last packets of a stream, from a key frame on: 15 seconds of them and what is needed to decode these.

    More than 64 MB are not kept: then it begins at a later key frame, or waits for the next one.
    """

    def __init__(self) -> None:
        self._packets = deque[Encoded]()
        self._keys = deque[float]()  # when key frames arrived
        self.size = 0  # bytes

    def push(self, packet: Encoded) -> None:
        """Takes the next packet."""
        if not (packet.key or self._packets):
            return
        self._packets.append(packet)
        self.size += len(packet.data)
        if packet.key:
            self._keys.append(packet.arrived)
        while self.size > MOST or (len(self._keys) > 1 and self._keys[1] <= packet.arrived - SECONDS):
            self._drop()

    def since(self, start: float) -> list[Encoded]:
        """Packets from the last key frame at or before a time of arrival; from the first that there is, if later."""
        found: list[Encoded] = []
        for packet in self._packets:
            if packet.key and packet.arrived <= start:
                found.clear()
            found.append(packet)
        return found

    def _drop(self) -> None:
        """The first key frame and all that follows from it."""
        self._keys.popleft()
        self.size -= len(self._packets.popleft().data)
        while self._packets and not self._packets[0].key:
            self.size -= len(self._packets.popleft().data)


class Times:
    """Seconds since the first packet: by the stamps until one is not later than the one before, then by arrival.

    Where there is none, as in the first packets of some streams, it is by arrival too.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._last: Encoded | None = None
        self._believed = True

    def read(self, packet: Encoded) -> float:
        """Of the next packet; always later than that of the one before."""
        if self._last is not None:
            step = packet.arrived - self._last.arrived
            if self._believed and packet.stamp is not None and self._last.stamp is not None:
                stamped = packet.stamp - self._last.stamp
                self._believed = 0 < stamped <= LEAP
                step = stamped if self._believed else step
            self._now += max(step, LEAST)
        self._last = packet
        return self._now


def part_of(path: Path) -> Path:
    """Where a clip lies until it is whole."""
    return path.with_name(f".{path.name}.part")


class Clip(threading.Thread):
    """A clip that is being written: what a ring has, then packets as they come; ``tell`` hears why there is none.

    It ends with the first packet that arrives at or after ``end``, after five minutes and a half, or where writing has
    fallen 128 MB behind.
    """

    def __init__(
        self, path: Path, packets: list[Encoded], stream: VideoStream | None, tell: Callable[[str], None]
    ) -> None:
        super().__init__(name=f"clip {path.name}", daemon=True)
        self._path, self._stream, self._tell = path, stream, tell
        self._packets: queue.SimpleQueue[Encoded | None] = queue.SimpleQueue()
        self._taken, self._written, self._over = 0, 0, False
        self.end = packets[0].arrived + LONGEST
        for packet in packets:
            self.put(packet)

    def put(self, packet: Encoded) -> None:
        """Takes the next packet."""
        if self._over:
            return
        self._taken += len(packet.data)
        self._packets.put(packet)
        if packet.arrived >= self.end or self._taken - self._written > 2 * MOST:
            self.finish()

    def finish(self) -> None:
        """Nothing more comes."""
        self._over = True
        self._packets.put(None)

    def run(self) -> None:
        why, part = "", part_of(self._path)
        try:
            write(part, self._stream, self._queued())
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(self._path)
        except Exception as error:  # whatever it is, the stream goes on
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            with suppress(OSError):
                part.unlink(missing_ok=True)
        self._tell(why)

    def _queued(self) -> Iterator[Encoded]:
        while (packet := self._packets.get()) is not None:
            yield packet
            self._written += len(packet.data)


class Clips:
    """All clips of a stream; ``tell`` gets a line for each. ``stream`` is None where packets are JPEGs."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self.stream: VideoStream | None = None
        self._tell, self._ring, self._lock = tell, Ring(), threading.Lock()
        self._clips: dict[str, Clip] = {}

    def push(self, packet: Encoded) -> None:
        """Takes the next packet."""
        with self._lock:
            self._ring.push(packet)
            self._clips = {path: clip for path, clip in self._clips.items() if clip.is_alive()}
            for clip in self._clips.values():
                clip.put(packet)

    def begin(self, path: str, start: float) -> None:
        """A clip from the last key frame at or before ``start`` on, a time of arrival."""

        def tell(why: str) -> None:
            self._tell(kind="clip", path=path, why=why)

        with self._lock:
            packets = self._ring.since(start)
            if packets:
                self._clips[path] = Clip(Path(path), packets, self.stream, tell)
                self._clips[path].start()
        if not packets:
            tell("there is no key frame that it could begin with")

    def end(self, path: str, end: float) -> None:
        """Ends a clip with the first packet that arrives at or after a time, and is still to come."""
        with self._lock:
            if path in self._clips:
                self._clips[path].end = min(end, self._clips[path].end)

    def finish(self, within: float | None = None) -> None:
        """Ends all with what there is; waits for each, for so many seconds at most. No other begins."""
        with self._lock:
            self._ring, clips = Ring(), list(self._clips.values())
            for clip in clips:
                clip.finish()
        for clip in clips:
            clip.join(within)


def write(path: Path, stream: VideoStream | None, packets: Iterable[Encoded]) -> None:
    """An MP4 of H.264, its index in front, of packets that begin with a key frame; as they come, none is held."""
    with av.open(str(path), "w", format="mp4", container_options={"movflags": "+faststart"}) as file:
        if stream is not None and stream.codec_context.name == "h264":
            _copy(file, stream, packets)
        else:
            _encode(file, stream, packets)


def _copy(file: OutputContainer, stream: VideoStream, packets: Iterable[Encoded]) -> None:
    context = stream.codec_context
    out: Stream
    if context.extradata:
        out = file.add_stream_from_template(stream, opaque=True)
    else:  # the stream was opened between two key frames; PyAV takes the parameters out of the first packet
        out = file.add_mux_stream("h264", width=context.width, height=context.height)
    out.time_base = Fraction(1, TICKS)
    for packet in _stamped(packets):
        packet.stream = out
        file.mux_one(packet)


def _encode(file: OutputContainer, stream: VideoStream | None, packets: Iterable[Encoded]) -> None:
    out: VideoStream | None = None
    converter, last = VideoReformatter(), -1
    for frame in _decoded(stream, packets):
        if out is None:
            out = file.add_stream("libx264", options=CODING)
            # Even sizes, since colours are stored for every second pixel.
            out.width, out.height, out.pix_fmt = max(frame.width & ~1, 2), max(frame.height & ~1, 2), "yuv420p"
            out.codec_context.time_base = Fraction(1, TICKS)
            out.codec_context.colorspace, out.codec_context.color_range = frame.colorspace, ColorRange.MPEG
        plain = converter.reformat(
            frame, out.width, out.height, "yuv420p", src_color_range=frame.color_range, dst_color_range=ColorRange.MPEG
        )
        last = max(last + 1, frame.pts or 0)
        plain.pts, plain.time_base, plain.pict_type = last, Fraction(1, TICKS), PictureType.NONE
        file.mux(out.encode(plain))
    if out is None:
        raise ValueError("none of its frames can be decoded")
    file.mux(out.encode(None))


def _decoded(stream: VideoStream | None, packets: Iterable[Encoded]) -> Iterator[VideoFrame]:
    """Frames by a decoder of their own, in order of display; what is damaged is left out."""
    context = CodecContext.create("mjpeg" if stream is None else stream.codec_context.name, "r")
    assert isinstance(context, VideoCodecContext)
    if stream is not None:
        context.extradata = stream.codec_context.extradata
    for packet in chain(_stamped(packets), (None,)):
        try:
            yield from context.decode(packet)
        except av.FFmpegError:
            continue


def _stamped(packets: Iterable[Encoded]) -> Iterator["Packet[Stream]"]:
    """Packets whose frames are shown from 0 on, in ticks."""
    times, first, last = Times(), None, 0
    for one in packets:
        delay = round(TICKS * one.delay) if 0 < one.delay <= REORDERED else 0
        first = delay if first is None else first
        packet = Packet(one.data)
        packet.time_base, packet.is_keyframe = Fraction(1, TICKS), one.key
        packet.dts = round(TICKS * times.read(one)) - first
        packet.pts = packet.dts + delay
        packet.duration, last = max(packet.dts - last, 0), packet.dts  # the last one's: as long as that before
        yield packet
