"""A video file as a source of frames, decoded by FFmpeg as it is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from .decoding import decoded
from .interlaced import Deinterlacer
from .probing import GAP, open_container, probe, video_streams
from .ranges import Ranges
from .source import DEFAULT_RATE, Frame, VideoError, check_rate, check_skip
from .ticks import LEAP, Clock

RAW_SUFFIXES = frozenset({".264", ".265", ".h264", ".h265", ".hevc", ".mjpeg", ".mjpg"})
"""Of streams without a container, and so without time stamps."""
_KINDS = """3g2 3gp asf avi dav divx dv dvr-ms f4v flv insv ivf m1v m2t m2ts m2v m4v mkv mod mov mp4 mpeg mpg mts mxf
nut ogm ogv qt rm rmvb tod trp ts vob webm wmv wtv xvid y4m"""
VIDEO_SUFFIXES = RAW_SUFFIXES | {f".{kind}" for kind in _KINDS.split()}

MOST_LOST = 100_000  # frames counted by time at one place: an hour; more is a clock that was set

Image = NDArray[np.uint8]


class _Placed(NamedTuple):
    """A frame's place in the video; ``image`` None where it is lost."""

    number: int
    time: float
    image: Image | None


class VideoFile:
    """Anything FFmpeg reads: its largest video stream, turned upright by its metadata, interlaced pictures made whole.

    Times come from the file's time stamps, put right by a `Clock`, of which ``corrected`` in the last reading were
    missing, went back or leapt, or follow from ``rate`` frames a second where that is given; each is later than the one
    before. The frame after the first ``skip``, which are left out, has index 0. Where the file is damaged, all frames
    until the next key frame are lost: counted, by the container's index or by time, and given with a neighbour's
    picture. ``interlaced`` says whether a picture was, ``grew`` whether the file did, both in the last reading;
    ``told`` is what the file says of itself. Raises VideoError for no such file, an empty one, or no video.
    """

    def __init__(self, path: Path, *, skip: int = 0, rate: float | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self.skip = check_skip(skip)
        self._given_rate = None if rate is None else check_rate(float(rate))
        with open_container(self.path) as container:
            self.told = probe(self.path, container)
        self.corrected, self.interlaced, self.grew = 0, False, False
        self._lost: list[tuple[int, int]] = []

    @property
    def known_rate(self) -> float | None:
        """As `rate`; None where it is not known."""
        return self._given_rate or self.told.rate

    @property
    def rate(self) -> float:
        """Frames a second; VideoError where the file does not say and none was given."""
        if (rate := self.known_rate) is None:
            raise VideoError(
                f"{self.path} does not say how many frames it has a second; give the rate it was recorded at: "
                "`tsvad score --rate`, `tsvad fit --set rate=`"
            )
        return rate

    @property
    def lost(self) -> Ranges:
        """Frames that were missing or damaged in the last reading."""
        return tuple(self._lost)

    def __iter__(self) -> Iterator[Frame]:
        """Opens the file anew; it is closed at the end, at an error, and when the iterator is dropped.

        Raises VideoError where the file breaks off, its frames change size, or none after ``skip`` is whole.
        """
        size, count, image, early = self.path.stat().st_size, 0, None, list[_Placed]()
        self._lost = []
        with open_container(self.path) as container:
            for placed in self._placed(container):
                count, image = placed.number + 1, image if placed.image is None else placed.image
                early.append(placed)  # what is lost at the start comes with the first picture
                if image is not None:
                    yield from (self._frame(one, image) for one in early if one.number >= self.skip)
                    early.clear()
        self.grew = self.path.stat().st_size != size
        if image is None or count <= self.skip:
            has = f"{count} frames, none after the first {self.skip}" if self.skip else "no frames that can be decoded"
            raise VideoError(f"{self.path} has {has}; record or copy it again, or leave it out")

    def _frame(self, placed: _Placed, near: Image) -> Frame:
        index = placed.number - self.skip
        if placed.image is not None:
            return Frame(index, placed.time, placed.image)
        goes_on = bool(self._lost) and self._lost[-1][1] == index - 1
        self._lost.append((self._lost.pop()[0] if goes_on else index, index))
        return Frame(index, placed.time, near, lost=True)

    def _placed(self, container: InputContainer) -> Iterator[_Placed]:
        """Every frame at its place: decoded, timed, counted where it is missing."""
        rate = self.known_rate or DEFAULT_RATE
        clock, pictures, timed = Clock(rate), _Pictures(), self.told.stamped and self._given_rate is None
        number, lost, smeared, damaged, shape = 0, 0, False, False, None
        for frame, whole, packet in decoded(self.path, container, video_streams(self.path, container)[0]):
            gap = whole and not smeared and timed and self._is_gap(clock, frame)
            smeared = (smeared or gap) and not (whole and frame is not None and frame.key_frame)
            damaged |= smeared or gap or not whole or (number == 0 < packet and self.told.declared > 0)
            stamp = frame.time if timed and frame is not None else (number + lost) / rate
            if smeared or not whole or frame is None:
                if number == lost == 0:  # the clock begins here all the same
                    yield _Placed(0, clock.read(stamp), None)
                    number = 1
                else:
                    lost += 1
                continue
            shape = shape or (frame.height, frame.width)
            self._check_size(frame, shape, number + lost)
            if damaged:
                yield from pictures.flush()
                if self.told.declared and frame.key_frame:  # all packets before it are frames before it
                    lost = max(lost, packet - number)
                stamp = stamp if timed else (number + lost) / rate
                for time in clock.lose(self._missing(clock, stamp, lost) if timed else lost, stamp):
                    yield _Placed(number, time, None)
                    number += 1
                lost, damaged = 0, False
            yield from pictures.push(frame, number, clock.read(stamp))
            number += 1
            self.corrected, self.interlaced = clock.corrected, pictures.interlaced
        yield from pictures.flush()
        for time in clock.lose(self._missing_at_end(container, number, lost), None):
            yield _Placed(number, time, None)
            number += 1

    def _is_gap(self, clock: Clock, frame: VideoFrame | None) -> bool:
        """Whether a transport stream has passed over packets before this frame, without a word."""
        steps = 0.0 if frame is None else clock.ahead(frame.time) / clock.step
        return self.told.lossy and self.told.steady and GAP < steps <= LEAP

    def _missing(self, clock: Clock, stamp: float | None, lost: int) -> int:
        """Frames missing before the one with this stamp: ``lost`` of them came, and could not be taken."""
        by_time = round(clock.ahead(stamp) / clock.step) - 1
        return lost if self.told.variable or by_time > MOST_LOST else max(lost, by_time)

    def _missing_at_end(self, container: InputContainer, number: int, lost: int) -> int:
        """As `_missing`, by what the header promises; none where the last frame is whole."""
        promised = self.told.declared or round((container.duration or 0) / 1e6 * (self.told.rate or 0))
        return lost if not lost or promised - number > MOST_LOST else max(lost, promised - number)

    def _check_size(self, frame: VideoFrame, shape: tuple[int, int], number: int) -> None:
        if (frame.height, frame.width) != shape:
            raise VideoError(
                f"{self.path} changes size at frame {number} (counted from 0), to {frame.width} x "
                f"{frame.height} pixels; split it there, or convert it to one size with ffmpeg"
            )


class _Pictures:
    """Decoded frames to upright RGB pictures without a comb, at their places."""

    def __init__(self) -> None:
        self._comb: Deinterlacer[tuple[int, float, int]] = Deinterlacer()
        self._converter = VideoReformatter()

    @property
    def interlaced(self) -> bool:
        """Whether any was so far."""
        return self._comb.used

    def push(self, frame: VideoFrame, number: int, time: float) -> Iterator[_Placed]:
        return self._upright(self._comb.push(frame, (number, time, frame.rotation)))

    def flush(self) -> Iterator[_Placed]:
        return self._upright(self._comb.flush())

    def _upright(self, frames: Iterator[tuple[VideoFrame, tuple[int, float, int]]]) -> Iterator[_Placed]:
        """Turned counterclockwise by the quarter turns nearest to each one's rotation in degrees."""
        for frame, (number, time, rotation) in frames:
            image: Image = self._converter.reformat(frame, format="rgb24").to_ndarray()  # type: ignore[assignment]
            turns = round(rotation / 90)
            yield _Placed(number, time, np.ascontiguousarray(np.rot90(image, turns)) if turns else image)
