"""What a video file says of itself before it is read: its stream, rate and colours, and whether it was finished."""

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from math import isfinite
from pathlib import Path
from statistics import median_low

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from .source import VideoError

PROBED = 120  # packets whose stamps tell the rate: 5 s at 25 frames a second
REORDERED = 16  # of them at the end, between which some frames are still to come
AGREES = 0.05
"""Share by which the header's rate may differ from that of the stamps."""
UNEVEN = 0.2
"""Share of the usual step by which a step must differ to be of another length: rounding to milliseconds is less."""
VARIABLE = 0.1
"""Share of the steps that must be of another length to make a rate variable."""
GAP = 1.5
"""Usual steps from a frame to the next from which a transport stream has lost packets, where it is steady otherwise."""
RARELY = 0.05
"""Share of such gaps up to which a stream is steady: damage; more is the camera's way."""
HDR = frozenset({16, 18})  # transfer functions of FFmpeg: PQ and HLG

_SEGMENT_ID = b"\x18\x53\x80\x67"
_BOXES = 10_000
_NO_STAMPS = 0x80  # FFmpeg's AVFMT_NOTIMESTAMPS


@dataclass(frozen=True, slots=True)
class Told:
    """What a file says of itself; ``rate`` is frames a second, None where nothing tells it.

    ``stamped``: frames have time stamps of their own. ``steady``: hardly any two of the first frames are further
    apart than usual; ``variable``: many are. ``declared``: frames by the container's index or header, often wrong; 0
    where it does not count them. ``lossy``: a form made for broadcast, where packets go missing without a trace.
    """

    rate: float | None
    stamped: bool
    steady: bool
    variable: bool
    declared: int
    lossy: bool
    others: int  # further video streams
    hdr: bool
    pixel: Fraction  # its width by its height
    unfinished: bool  # the container's header was never completed


def open_container(path: Path) -> InputContainer:
    """The file, opened by FFmpeg; VideoError, which says why and what would do, where that cannot be."""
    if not path.exists():
        raise VideoError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise VideoError(f"{path} is not a file; a folder of frames is read as images")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty; copy or download it again")
    try:
        # FFmpeg would take "12:00.avi" for a protocol; an absolute path begins with a slash.
        return av.open(str(path.absolute()), metadata_errors="ignore")
    except av.FFmpegError as error:
        if _lacks_index(path):
            raise VideoError(
                f"{path} has no index (moov): still being written, or never finished; wait until the recorder has "
                "closed it, or recover it with the recorder's own tool"
            ) from error
        raise VideoError(
            f"{path} breaks before frame 0: not a video, or cut off ({error.strerror}); "
            f"copy it again, or convert it with ffmpeg"
        ) from error


def video_streams(path: Path, container: InputContainer) -> list[VideoStream]:
    """The streams that can be decoded, the largest picture first; VideoError where there is none."""
    found = [
        stream
        for stream in container.streams.video
        # No context: this FFmpeg has no decoder. An attached picture is a cover.
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    if not found:
        raise VideoError(f"{path} has no video stream that FFmpeg decodes; convert it to H.264")
    return sorted(found, key=lambda stream: -stream.codec_context.width * stream.codec_context.height)


def probe(path: Path, container: InputContainer) -> Told:
    """Reads the first packets, which the container does not give again."""
    stream, *others = video_streams(path, container)
    context = stream.codec_context
    # AVI gives every packet a number, in the order of decoding, and calls it a time.
    numbered = container.format.name == "avi"
    # Then the reader makes them up, 25 a second.
    bare = bool(container.format.flags & _NO_STAMPS) or container.format.name.endswith("_pipe")
    steps = [] if numbered or bare else sorted_steps(_stamps(container, stream))
    header = stream.average_rate if numbered or steps else context.framerate
    usual = median_low(steps) if steps else 0.0
    uneven = [step for step in steps if abs(step - usual) > UNEVEN * usual]
    return Told(
        rate=_rate(steps, uneven, header),
        stamped=bool(steps),
        steady=sum(step > GAP * usual for step in steps) <= RARELY * len(steps),
        variable=len(uneven) > VARIABLE * len(steps),
        declared=stream.frames,
        lossy=container.format.name == "mpegts",
        others=len(others),
        hdr=context.color_trc in HDR,
        pixel=Fraction(stream.sample_aspect_ratio or 1),
        unfinished="matroska" in container.format.name and matroska_end(path) == 0,
    )


def sorted_steps(stamps: list[float]) -> list[float]:
    """Steps in seconds from frame to frame, of stamps in the order of decoding."""
    ordered = sorted(stamps)
    whole = ordered[: -min(REORDERED, len(ordered) // 4)] if len(ordered) > 4 else ordered
    return [b - a for a, b in pairwise(whole) if b > a]


def still_written(path: Path) -> bool:
    """Whether another program has the file open for writing; False where the system does not tell (Linux tells)."""
    try:
        import fcntl

        with path.open("rb") as file:
            # A lease to read is granted only on a file that nobody writes. Whoever opens it so while we hold the lease
            # has us told by a signal: by one that is passed over, for the usual one ends a process.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except (ImportError, AttributeError, OSError):  # no such system, or another user's file, or a remote disk
        pass
    return False


def matroska_end(path: Path) -> int:
    """Where a Matroska file's one segment ends by its header; 0 where that was never written."""
    with path.open("rb") as file:
        head = file.read(4096)
    at = head.find(_SEGMENT_ID) + len(_SEGMENT_ID)
    if at < len(_SEGMENT_ID) or at == len(head) or head[at] == 0:
        return 0
    width = 9 - head[at].bit_length()  # leading zeros of the first byte give the number's length
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(head[at : at + width], "big") & unknown
    return 0 if length == unknown else at + width + length


def _stamps(container: InputContainer, stream: VideoStream) -> list[float]:
    found = []
    with suppress(av.FFmpegError):  # reading will say it
        for packet in islice(container.demux(stream), PROBED):
            if packet.pts is not None and packet.time_base:
                found.append(float(packet.pts * packet.time_base))
    return found


def _rate(steps: list[float], uneven: list[float], header: Fraction | None) -> float | None:
    """Frames a second: the header's where the stamps agree with it, which know it less exactly."""
    told = float(header) if header else 0.0
    if steps:
        kept = [step for step in steps if step not in uneven] or steps
        measured = len(kept) / sum(kept)
        if not abs(told / measured - 1) <= AGREES:
            told = measured
    return told if told > 0 and isfinite(told) else None


def _lacks_index(path: Path) -> bool:
    """Whether the file is an MP4 or MOV whose index was never written."""
    kinds = list(_boxes(path))
    return b"ftyp" in kinds[:1] and b"moov" not in kinds


def _boxes(path: Path) -> Iterator[bytes]:
    """The kinds of an MP4's outermost boxes."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_BOXES):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return
            yield head[4:8]
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or at + length > size:
                return
            at += length
