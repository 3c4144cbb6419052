"""A video file as a source of frames, decoded by FFmpeg as it is read."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from .source import DEFAULT_RATE, Frame, VideoError, check_rate, check_skip
from .ticks import Clock

_KINDS = "3gp asf avi flv h264 hevc m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts ogv ts vob webm wmv"
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())

_THREADS = 2  # decode a 480p file faster than the nets can follow; each more holds another frame
_SEGMENT_ID = b"\x18\x53\x80\x67"


class VideoFile:
    """Anything FFmpeg reads: the first video stream that can be decoded, turned upright by its metadata.

    Times come from the file's time stamps, put right by a `Clock`, of which ``corrected`` in the last reading were
    missing, went back or leapt, or follow from ``rate`` frames a second where that is given; each is later than the one
    before. The frame after the first ``skip``, which are left out, has index 0. ``declared`` frames, often wrong, are
    by the container's header; 0 where it does not say. Raises VideoError for no such file, an empty one, or no video.
    """

    def __init__(self, path: Path, *, skip: int = 0, rate: float | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self.skip = check_skip(skip)
        self._given_rate = None if rate is None else check_rate(float(rate))
        with self._open() as container:
            stream = self._stream(container)
            self.rate = self._given_rate or float(stream.average_rate or DEFAULT_RATE)
            self.declared = stream.frames
        self.corrected = 0

    def __iter__(self) -> Iterator[Frame]:
        """Opens the file anew; it is closed at the end, at an error, and when the iterator is dropped.

        Raises VideoError where the file breaks off, its frames change size, or it has none after ``skip``.
        """
        with self._open() as container:
            stream = self._stream(container)
            stream.thread_type = "AUTO"
            stream.thread_count = _THREADS
            reformatter = VideoReformatter()
            number, shape, clock, self.corrected = -1, None, Clock(self.rate), 0
            for number, frame in enumerate(self._decode(container, stream)):
                if number == 0:
                    shape = frame.height, frame.width
                if (frame.height, frame.width) != shape:
                    raise VideoError(
                        f"{self.path} changes size at frame {number} (counted from 0), to {frame.width} x "
                        f"{frame.height} pixels; split it there, or convert it to one size with ffmpeg"
                    )
                seconds = clock.read(number / self.rate if self._given_rate is not None else frame.time)
                self.corrected = clock.corrected
                if number >= self.skip:
                    image = _upright(reformatter.reformat(frame, format="rgb24"), frame.rotation)
                    yield Frame(number - self.skip, seconds, image)
        if number < self.skip:
            has = f"{number + 1} frames, none after the first {self.skip}" if self.skip else "no frames"
            raise VideoError(f"{self.path} has {has}; record or copy it again, or leave it out")

    def _open(self) -> InputContainer:
        if not self.path.exists():
            raise VideoError(f"{self.path} does not exist; check the path")
        if not self.path.is_file():
            raise VideoError(f"{self.path} is not a file; a folder of frames is read as images")
        if self.path.stat().st_size == 0:
            raise VideoError(f"{self.path} is empty; copy or download it again")
        try:
            # FFmpeg would take "12:00.avi" for a protocol; an absolute path begins with a slash.
            return av.open(str(self.path.absolute()), metadata_errors="ignore")
        except av.FFmpegError as error:
            raise VideoError(
                f"{self.path} breaks before frame 0: not a video, or cut off ({error.strerror}); "
                f"copy it again, or convert it with ffmpeg"
            ) from error

    def _stream(self, container: InputContainer) -> VideoStream:
        for stream in container.streams.video:
            is_cover = stream.disposition & Disposition.attached_pic
            if stream.codec_context is not None and not is_cover:  # None: this FFmpeg has no decoder
                return stream
        raise VideoError(f"{self.path} has no video stream that FFmpeg decodes; convert it to H.264")

    def _decode(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Every frame that can be decoded, then VideoError if the file ought to have had more."""
        # Frames are stored out of order: of the last few before the break, one may already be missing.
        count, cut = 0, False
        try:
            for packet in container.demux(stream):
                # Formats that count their frames flag a packet only where the file ends inside it. Streams
                # made for broadcast flag any disturbance: their decoder goes on, and so do we.
                cut = packet.is_corrupt and stream.frames > 0
                for frame in stream.decode(None if cut else packet):
                    yield frame
                    count += 1
                if cut:
                    break
            cut = cut or _ends_early(self.path, container, stream, count)
        except av.FFmpegError as error:
            raise self._broken(count, stream, error.strerror or str(error)) from error
        if cut:
            raise self._broken(count, stream, "the file ends too early")

    def _broken(self, number: int, stream: VideoStream, reason: str) -> VideoError:
        of = f" of {stream.frames}" if stream.frames else ""
        save = f", or save the frames before it: ffmpeg -i {self.path.name} -frames:v {number} whole.mp4"
        return VideoError(
            f"{self.path} breaks at frame {number}{of} (counted from 0): {reason}; "
            f"copy it again{save if number else ''}"
        )


def _upright(frame: VideoFrame, rotation: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, turned counterclockwise by the quarter turns nearest to ``rotation`` degrees."""
    image: NDArray[np.uint8] = frame.to_ndarray()  # type: ignore[assignment]  # rgb24 is uint8
    turns = round(rotation / 90)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _ends_early(path: Path, container: InputContainer, stream: VideoStream, count: int) -> bool:
    """Whether the container promises bytes past the file's end. FFmpeg passes over some of these in silence."""
    size = path.stat().st_size
    if "matroska" in container.format.name:
        return _matroska_end(path) > size
    # Promised frames alone prove nothing: a trimmed MP4 counts the frames that it hides.
    return count < stream.frames and any(entry.pos + entry.size > size for entry in stream.index_entries)


def _matroska_end(path: Path) -> int:
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
