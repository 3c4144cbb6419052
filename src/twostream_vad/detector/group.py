"""Watchers of one detector, scored in common batches."""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from .feed import Image
from .parts import Parts
from .rawscores import keep_threads
from .watcher import FrameScore, Taken, Watcher, scored

MOST = 4  # frames in a batch: more gain nothing, and the first of them would wait for the last


@dataclass(frozen=True)
class Pushed:
    """A frame that waits for its score."""

    image: Image
    time: float | None
    lost: bool
    score: "Future[FrameScore]"


class Member:
    """One camera of a group: a `Watcher` whose frames are scored beside those of others. Any thread may push."""

    def __init__(self, group: "Group", watcher: Watcher) -> None:
        self.watcher, self.waiting, self.busy = watcher, deque[Pushed](), False
        self._group = group

    def push(self, image: Image, time: float | None = None, *, lost: bool = False) -> "Future[FrameScore]":
        """As `Watcher.push`; the score is there when the future is. Frames wait without limit: wait for scores."""
        pushed = Pushed(image, time, lost, Future())
        self._group._put(self, pushed)
        return pushed.score


class Group:
    """Any number of watchers of one detector, and threads that score what they are given, at most ``most`` at once.

    A batch has one frame a camera, of cameras whose frames are of one size: each has the scores that it would have
    alone, to the rounding of the engine. One thread scores, unless ``workers`` says otherwise, since each net has all
    cores; of an EdgeNet, which has one core, as many as there are. What fails of one camera, as a frame of another size
    than those before, is raised by its future and harms no other. Use it as a context, or `close` it: what still waits
    then is scored first.
    """

    def __init__(self, detector: Parts, most: int = MOST, workers: int | None = None) -> None:
        self.detector, self.most = detector, most
        self._members, self._ready = list[Member](), threading.Condition()
        self._closed, self._turn = False, 0
        count = workers or (1 if detector.flow is None else detector.flow.model.callers)
        self._threads = [threading.Thread(target=self._work, name="group", daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def watch(self, rate: float | None = None) -> Member:
        """A further camera; ``rate``: its frames a second, where that is known."""
        member = Member(self, Watcher(self.detector, rate))
        with self._ready:
            self._members.append(member)
        return member

    def leave(self, member: Member) -> None:
        """Takes a camera out; what it has waiting is not scored."""
        with self._ready:
            self._members.remove(member)
            for pushed in member.waiting:
                pushed.score.cancel()
            member.waiting.clear()

    def close(self) -> None:
        """Ends the threads, when all that waits is scored."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _put(self, member: Member, pushed: Pushed) -> None:
        with self._ready:
            if self._closed:
                raise RuntimeError("the group is closed: push before it is, or make another")
            member.waiting.append(pushed)
            self._ready.notify()

    def _work(self) -> None:
        keep_threads()
        while batch := self._batch():
            _score(batch)
            with self._ready:
                for member, _ in batch:
                    member.busy = False
                self._ready.notify_all()

    def _batch(self) -> list[tuple[Member, Pushed]]:
        """One frame of each camera that has one and is not at work, in turn; none when the group is closed and done.

        Their number is a power of two: engines compile nets for each one.
        """
        with self._ready:
            while True:
                count = len(self._members)
                order = [self._members[(self._turn + place) % count] for place in range(count)]
                have = [member for member in order if member.waiting and not member.busy]
                if have:
                    size = have[0].waiting[0].image.shape
                    have = [member for member in have if member.waiting[0].image.shape == size][: self.most]
                    have = have[: 1 << (len(have).bit_length() - 1)]
                    self._turn = (self._members.index(have[-1]) + 1) % count
                    for member in have:
                        member.busy = True
                    return [(member, member.waiting.popleft()) for member in have]
                if self._closed and not any(member.waiting for member in self._members):
                    return []
                self._ready.wait()


def _score(batch: list[tuple[Member, Pushed]]) -> None:
    """Scores a frame of each of several cameras, or says what went wrong."""
    taken: list[tuple[Taken, Pushed]] = []
    for member, pushed in batch:
        if pushed.score.set_running_or_notify_cancel():
            try:
                taken.append((member.watcher.take(pushed.image, pushed.time, lost=pushed.lost), pushed))
            except Exception as error:
                pushed.score.set_exception(error)
    try:
        found = scored([each for each, _ in taken])
    except Exception as error:
        for _, pushed in taken:
            pushed.score.set_exception(error)
        return
    for (_, pushed), score in zip(taken, found, strict=True):
        pushed.score.set_result(score)
