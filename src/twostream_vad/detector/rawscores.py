"""Raw scores of a whole video: reading, and both streams, at the same time."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..scores.stream import Clip, ScoreLog, Stream
from .feed import Feed, Image, score_of

if TYPE_CHECKING:
    from ..edge.flow import Flow
    from ..video.source import FrameSource

Floats = NDArray[np.float64]
Frames = Iterable[Image]
Item = TypeVar("Item")

KEEP_SECONDS = 60.0  # from one keeping of a long video's scores to the next
AHEAD = 2  # frames read, and clips of a stream waiting, before they are wanted


def untold(frames: int) -> None:
    """Tells nobody how many frames have been scored."""


@dataclass(frozen=True)
class RawScores:
    """Scores of one video as the streams give them.

    ``times`` are seconds of each frame, (frames,); ``ticks`` the last tick before or at each frame, (frames,), the
    frames' own numbers where nothing was resampled; ``streams`` have a score a snippet of ticks, (snippets,);
    NaN where a frame in its span is lost, as ``lost``, (frames,), says; ``corrected`` time stamps were put right.
    """

    times: Floats
    ticks: NDArray[np.int64]
    streams: Mapping[str, Floats]
    lost: NDArray[np.bool_]
    corrected: int = 0

    @property
    def count(self) -> int:
        """Ticks of the video."""
        return int(self.ticks[-1]) + 1 if len(self.ticks) else 0

    @property
    def resampled(self) -> bool:
        """Whether the video's frames are not the ticks."""
        return not np.array_equal(self.ticks, np.arange(len(self.ticks)))


def raw_scores(
    streams: Mapping[str, Stream],
    rate: float,
    source: "FrameSource | Frames",
    progress: Callable[[int], None] = untold,
    keep: Path | None = None,
    flow: "Flow | None" = None,
) -> RawScores:
    """All streams' scores of a video; memory holds the frames of a snippet and a few numbers a frame.

    The streams have learned ``rate`` ticks a second; ``progress`` is told the number of frames read. ``keep``, a file
    of this video and these streams, gets the scores so far every minute; where it is there, only what it lacks is
    scored, to the same scores. ``flow`` makes the streams' clips, where one net serves both. Raises VideoError, which
    names the frame, where the video breaks.
    """
    from ..scores.files import write_scores

    logs, before, at = {name: ScoreLog() for name in streams}, _kept(keep, streams), time.monotonic()
    for name, scores in before.items():
        logs[name].add(scores)
    counts = {name: len(scores) for name, scores in before.items()}
    frames = ScoreLog()  # time, tick and whether it is lost, of each
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(flow.model.at_once, "net", keep_threads)) if flow else None
        feed = Feed(streams, rate, getattr(source, "rate", None), counts, flow, pool)
        workers = {name: stack.enter_context(Worker(name, stream, logs[name])) for name, stream in streams.items()}
        images = stack.enter_context(closing(ahead(frames_of(source), AHEAD)))
        for index, (image, stamp, lost) in enumerate(images):
            for told in feed.push(image, stamp, lost=lost):
                for name, clips in told.items():
                    workers[name].put(clips)
            frames.add(np.array([(feed.time, feed.resampler.ticks - 1, lost)]))
            if keep is not None and time.monotonic() - at > KEEP_SECONDS:
                for worker in workers.values():
                    worker.wait()
                write_scores(keep, {name: log.array() for name, log in logs.items()}, gaps=True)
                at = time.monotonic()
            progress(index + 1)
        for worker in workers.values():
            worker.wait()
    corrected = feed.clock.corrected + getattr(source, "corrected", 0)
    found = {name: log.array() for name, log in logs.items()}
    times, ticks, gone = frames.array().reshape(-1, 3).T
    return RawScores(times, ticks.astype(np.int64), found, gone.astype(bool), corrected)


class Worker:
    """A stream's own thread, which scores its clips in their order into a log; while it works others do too.

    One stream computes by all threads of its engine: while it waits for memory, or looks something up by one thread,
    the other has the cores.
    """

    def __init__(self, name: str, stream: Stream, log: ScoreLog) -> None:
        self._name, self._stream, self._log = name, stream, log
        self._pool, self._waiting = ThreadPoolExecutor(1, name, keep_threads), deque["Future[float]"]()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def put(self, clips: Clip | None) -> None:
        """Takes a clip; waits while too many do. Raises what scoring an earlier one has raised."""
        self._waiting.append(self._pool.submit(score_of, self._name, self._stream, clips))
        self.wait(AHEAD)

    def wait(self, most: int = 0) -> None:
        """Until at most so many clips wait. Raises what scoring one has raised."""
        while len(self._waiting) > most:
            self._log.add(np.array([self._waiting.popleft().result()]))


def keep_threads() -> None:
    """Begins a thread: OpenMP, which torch's products use, would take all cores there, whatever torch was told."""
    torch.set_num_threads(torch.get_num_threads())


def ahead(items: Iterable[Item], most: int) -> Generator[Item]:
    """The items, made by a thread of their own, at most so many before they are taken; closed, it stops.

    Raises what making one has raised, in its place.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None] | None] = queue.Queue(most)
    stopped = threading.Event()

    def put(what: tuple[Item | None, BaseException | None] | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                made.put(what, timeout=0.1)
                break

    def make() -> None:
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put((None, error))

    maker = threading.Thread(target=make, name="reader", daemon=True)
    maker.start()
    try:
        while (taken := made.get()) is not None:
            item, error = taken
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        maker.join()


def frames_of(source: "FrameSource | Frames") -> Iterator[tuple[Image, float | None, bool]]:
    """Images, their time stamps and whether they are lost, of sources and of plain images."""
    for frame in source:
        yield (frame, None, False) if isinstance(frame, np.ndarray) else (frame.image, frame.time, frame.lost)


def _kept(keep: Path | None, streams: Mapping[str, Stream]) -> dict[str, Floats]:
    """Scores that a killed scoring has left; none where the file is broken."""
    from ..scores.files import ScoreFileError, read_scores

    if keep is None or not keep.exists():
        return {}
    try:
        found = read_scores(keep, gaps=True)
    except ScoreFileError:
        return {}
    return found if found.keys() == streams.keys() else {}
