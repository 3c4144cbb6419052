"""Decoding that goes on behind damage, and says where a frame is missing or the file ends too early."""

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.index import IndexEntries
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .probing import matroska_end
from .source import VideoError

KNOWN = 256  # packets whose time stamps are remembered: more than any decoder holds
HELD = 4  # frames that are shown before one from which they are predicted, as encoders are set
UNREAD = 0.05  # of a Matroska file, behind its last frame: more than an index takes
THREADS = 2  # decode a 480p file faster than the nets can follow; each more holds another frame
_ZEROS = bytes(64)
_HOLE = re.compile(rb"(?<!\0)\0{64,}+[^\0\1]")  # from the first zero on, and never back: linear in the length
_AVI_HEAD = 8  # bytes of a chunk before its data


class Decoded(NamedTuple):
    """A frame in order of display; None where its packet, number ``packet`` (-1: not known), gave none.

    It is not ``whole`` where it is damaged, or predicted from what is.
    """

    frame: VideoFrame | None
    whole: bool
    packet: int


def decoded(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[Decoded]:
    """Every frame, and where one is missing since its packet cannot be decoded, or is not where the index has it.

    Raises VideoError, behind the last frame, where the file ought to have had more.
    """
    stream.thread_type = "AUTO"
    stream.thread_count = THREADS
    # Frames are stored out of order: of the last few before the break, one may already be missing.
    count, number, end, cut, disturbed, damage = 0, 0, 0, False, False, _Damage()
    index = stream.index_entries if container.format.name == "avi" else None
    try:
        for packet in container.demux(stream):
            for _ in range(_passed_over(index, packet, number) if index else 0):
                damage.lose(number)
                number += 1
            damage.feed(number, packet.pts)
            # Formats that count their frames flag a packet only where the file ends inside it. Streams made for
            # broadcast flag any disturbance: their decoder goes on, and so do we.
            cut = packet.is_corrupt and stream.frames > 0
            headless = disturbed and packet.pts is None  # its head went with the packet before
            if headless or (packet.is_corrupt and not cut):
                damage.spoil(number)
            disturbed, end = packet.is_corrupt, (packet.pos or 0) + packet.size if packet.size else end
            for frame in _frames(stream, None if cut else packet):
                count += frame is not None
                if frame is None:
                    damage.lose(number)
                else:
                    yield from damage.push(frame, HELD if stream.codec_context.has_b_frames else 0)
            number += not packet.is_discard
            if cut:
                break
        if "matroska" in container.format.name and path.stat().st_size - end > UNREAD * end:
            damage.lose(number)  # the reader came to an end before the file did
        yield from damage.let_go(0)
        cut = cut or _ends_early(path, container, stream, count)
    except av.FFmpegError as error:
        raise _broken(path, damage.whole, stream, error.strerror or str(error)) from error
    if cut:
        raise _broken(path, damage.whole, stream, "the file ends too early")


class _Damage:
    """Which frames are not whole: from a damaged packet on, until a key frame behind it.

    FFmpeg says so of a frame that is damaged itself, not of those predicted from it. Some of these are shown before it,
    and so the last few frames are held back where frames are stored out of order.
    """

    def __init__(self) -> None:
        self.whole = 0  # frames given up to the last whole one
        self._given = 0
        self._held: deque[Decoded] = deque()
        self._spoilt, self._last = False, -1  # the last damaged packet
        self._newest, self._packets = -1, dict[int, int]()  # time stamp → packet, of the last ones

    def feed(self, packet: int, stamp: int | None) -> None:
        """A packet goes to the decoder; its frame will have its time stamp.

        PyAV's own way, ``copy_opaque``, frees an object in the decoder's thread: a file that is closed then hangs.
        """
        self._newest = packet
        if stamp is not None:
            self._packets[stamp] = packet
        if len(self._packets) > KNOWN:
            del self._packets[next(iter(self._packets))]

    def spoil(self, packet: int) -> None:
        """A packet is damaged."""
        self._spoilt, self._last = True, max(packet, self._last)
        self._held = deque(one._replace(whole=False) for one in self._held)

    def lose(self, packet: int) -> None:
        """A packet that gives no frame."""
        self.spoil(packet)
        self._held.append(Decoded(None, False, packet))

    def push(self, frame: VideoFrame, kept: int) -> Iterator[Decoded]:
        """A frame that was decoded; gives all but the last ``kept``."""
        packet = self._packets.get(frame.pts, -1) if frame.pts is not None else -1
        if frame.is_corrupt:
            self.spoil(packet if packet >= 0 else self._newest)
        elif frame.key_frame and (packet if packet >= 0 else self._newest) > self._last:
            self._spoilt = False
        self._held.append(Decoded(frame, not self._spoilt, packet))
        yield from self.let_go(kept)

    def let_go(self, kept: int) -> Iterator[Decoded]:
        """All but the last ``kept``."""
        while len(self._held) > kept:
            one = self._held.popleft()
            self._given += 1
            self.whole = self._given if one.whole else self.whole
            yield one


def _is_holed(packet: "Packet[VideoStream]") -> bool:
    """Whether zeros were written over a packet of H.264 or H.265, in whose coding three in a row cannot stand.

    The decoder takes them for a picture and says nothing. Zeros before a start code, or at the end, are filling.
    """
    data = bytes(packet)
    return _ZEROS in data and _HOLE.search(data) is not None  # the first at 16 GB/s, the second at 0.1


def _frames(stream: VideoStream, packet: "Packet[VideoStream] | None") -> Sequence[VideoFrame | None]:
    if packet is not None and stream.codec_context.name in ("h264", "hevc") and _is_holed(packet):
        return (None,)
    try:
        return stream.decode(packet)
    except av.EOFError:  # nothing is left inside
        return ()
    except av.FFmpegError:
        return (None,)


def _passed_over(index: IndexEntries, packet: "Packet[VideoStream]", number: int) -> int:
    """Entries of an AVI's index between the last packet and this one: the reader passes over damage in silence."""
    if packet.pos is None or packet.pos < 0:
        return 0
    place = packet.pos - _AVI_HEAD
    if number < len(index) and index[number].pos == place:
        return 0
    found = bisect_left(index, place, key=lambda entry: entry.pos)
    return found - number if number < found < len(index) and index[found].pos == place else 0


def _broken(path: Path, number: int, stream: VideoStream, reason: str) -> VideoError:
    of = f" of {stream.frames}" if stream.frames else ""
    save = f", or save the frames before it: ffmpeg -i {path.name} -frames:v {number} whole.mp4"
    return VideoError(
        f"{path} breaks at frame {number}{of} (counted from 0): {reason}; copy it again{save if number else ''}"
    )


def _ends_early(path: Path, container: InputContainer, stream: VideoStream, count: int) -> bool:
    """Whether the container promises bytes past the file's end. FFmpeg passes over some of these in silence."""
    size = path.stat().st_size
    if "matroska" in container.format.name:
        return matroska_end(path) > size
    # Promised frames alone prove nothing: a trimmed MP4 counts the frames that it hides.
    return count < stream.frames and any(entry.pos + entry.size > size for entry in stream.index_entries)
