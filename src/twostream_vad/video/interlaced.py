"""Interlaced pictures, whose even and odd lines are of two moments, made whole: moving edges lose their comb."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, TypeVar

import av
from av.filter import Graph
from av.video.frame import VideoFrame

T = TypeVar("T")

_ANY = Fraction(1, 1000)  # of frames without time stamps


class Deinterlacer(Generic[T]):
    """FFmpeg's bwdif, one picture for each, on frames that say that they are interlaced; others pass as they are.

    With each frame goes what the caller wants to know of it. Once one was interlaced, frames come one late.
    """

    def __init__(self) -> None:
        self.used = False
        self._graph: Graph | None = None
        self._waiting: deque[T] = deque()

    def push(self, frame: VideoFrame, told: T) -> Iterator[tuple[VideoFrame, T]]:
        """Takes a frame; gives those that are ready."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame, told
            return
        if self._graph is None:
            self.used, self._graph = True, _graph(frame)
        self._waiting.append(told)
        self._graph.push(frame)
        yield from self._ready(self._graph)

    def flush(self) -> Iterator[tuple[VideoFrame, T]]:
        """The frames still inside: at the end, or before a gap, since each is filled in from its neighbours."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready(self._graph)
            self._graph = None
            self._waiting.clear()

    def _ready(self, graph: Graph) -> Iterator[tuple[VideoFrame, T]]:
        while self._waiting:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            yield frame, self._waiting.popleft()


def _graph(frame: VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or _ANY
    )
    comb, sink = graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    source.link_to(comb)
    comb.link_to(sink)
    graph.configure()
    return graph
