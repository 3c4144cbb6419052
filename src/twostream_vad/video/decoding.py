"""Decoding that goes on behind damage, and says where a frame is missing or the file ends too early."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

import av
from av.container import InputContainer
from av.index import IndexEntries
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .probing import matroska_end
from .source import VideoError

THREADS = 2  # decode a 480p file faster than the nets can follow; each more holds another frame
_HOLE = re.compile(rb"(?<!\0)\0{64,}+[^\0\1]")  # from the first zero on, and never back: linear in the length
_AVI_HEAD = 8  # bytes of a chunk before its data


def decoded(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame | None]:
    """Every frame in order of display; None for one whose packet cannot be decoded, or is not where the index has it.

    Raises VideoError, behind the last frame, where the file ought to have had more.
    """
    stream.thread_type = "AUTO"
    stream.thread_count = THREADS
    # Frames are stored out of order: of the last few before the break, one may already be missing.
    count, packets, cut = 0, 0, False
    index = stream.index_entries if container.format.name == "avi" else None
    try:
        for packet in container.demux(stream):
            if index:
                missing = _passed_over(index, packet, packets)
                packets += missing + 1
                yield from repeat(None, missing)
            # Formats that count their frames flag a packet only where the file ends inside it. Streams made for
            # broadcast flag any disturbance: their decoder goes on, and so do we.
            cut = packet.is_corrupt and stream.frames > 0
            frames = _frames(stream, None if cut else packet)
            yield from frames
            count += len(frames)
            if cut:
                break
        cut = cut or _ends_early(path, container, stream, count)
    except av.FFmpegError as error:
        raise _broken(path, count, stream, error.strerror or str(error)) from error
    if cut:
        raise _broken(path, count, stream, "the file ends too early")


def _is_holed(packet: "Packet[VideoStream]") -> bool:
    """Whether zeros were written over a packet of H.264 or H.265, in whose coding three in a row cannot stand.

    The decoder takes them for a picture and says nothing. Zeros before a start code, or at the end, are filling.
    """
    return _HOLE.search(bytes(packet)) is not None


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
