"""Keeps what monitors tell: in the store first, then it is said. Where the store cannot be written, it waits."""

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..storage import whole_file
from .events import Event, Phase
from .store import Store, UnavailableError

FLUSH = 5.0  # seconds from one writing of scores to the next
DAY = 86400.0
HOUR = 3600  # a camera's seconds that wait at most where the store cannot be written; the oldest go
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds before a later try
PATIENCE = 1.0  # seconds at the end for what still waits

Job = Callable[[], None]


class Recorder:
    """Writes in a thread of its own, in the order that it is told; ``said`` is called once an event is on the disk.

    Scores, clips and pictures are kept for so many ``days``, files of ``most`` bytes at most.
    Events that another process has left open, killed in the middle, end when their camera's last score was kept.
    ``failure`` is what ended the thread, where something did.
    """

    def __init__(
        self,
        store: Store,
        targets: Sequence[str] = (),
        said: Callable[[Event, Phase], None] = lambda *_: None,
        *,
        days: float = 30.0,
        most: int = 20_000_000_000,
    ) -> None:
        self.store, self.targets = store, tuple(targets)
        self._kept_seconds, self._most = DAY * days, most
        self._said, self._jobs = said, queue.SimpleQueue[Job | None]()
        self.failure: Exception | None = None
        self.held_up = ""  # why it waits, where it does
        self._seconds: dict[str, dict[int, list[float]]] = {}  # camera → second → sum, count, largest
        self._turn, self._closing = threading.Lock(), threading.Event()
        for event in store.events(open_only=True, most=1000):
            last = store.last_second(event.camera) or event.start
            self.end(replace(event, end=max(event.start, min(last, time.time()))))
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """What is to be written."""
        return self._jobs.qsize()

    def begin(self, event: Event, picture: bytes | None) -> None:
        """Takes an event as it begins, and its picture, a JPEG."""

        def job() -> None:
            if picture is not None:
                with whole_file(self.store.folder / f"{event.key}.jpg") as temporary:
                    temporary.write_bytes(picture)
            self.store.begin(event, self.targets)
            self._said(event, "begun")

        self._jobs.put(job)

    def end(self, event: Event) -> None:
        """Takes an event that has ended."""

        def job() -> None:
            self.store.end(event, self.targets)
            self._said(event, "ended")

        self._jobs.put(job)

    def note(self, key: str, /, **more: object) -> None:
        """Takes what there is to add to an event."""
        self._jobs.put(lambda: self.store.note(key, **more))

    def score(self, camera: str, moment: float, score: float) -> None:
        """Takes a frame's score; NaN is none."""
        if math.isnan(score):
            return
        with self._turn:
            found = self._seconds.setdefault(camera, {}).setdefault(int(moment), [0.0, 0.0, -math.inf])
            found[:] = found[0] + score, found[1] + 1, max(found[2], score)

    def close(self) -> None:
        """Writes what waits, as far as that goes within a second."""
        self._jobs.put(None)
        self._closing.set()
        self._thread.join(2 * PATIENCE)

    def _work(self) -> None:
        flushed, forgotten, going = time.monotonic(), -math.inf, True
        try:
            while going:
                try:
                    job = self._jobs.get(timeout=max(0.0, flushed + FLUSH - time.monotonic()))
                    going = job is not None
                except queue.Empty:
                    job = None
                if job is not None:
                    self._until_done(job)
                now = time.monotonic()
                if not going or now - flushed >= FLUSH:
                    flushed = now
                    self._flush(whole=not going)
                    if now - forgotten >= HOUR:
                        forgotten = now
                        self._once(self._sweep)
        except Exception as error:
            self.failure = error

    def _until_done(self, job: Job) -> None:
        wait, until = FIRST_WAIT, math.inf
        while not self._once(job):
            if self._closing.is_set():
                until = min(until, time.monotonic() + PATIENCE)
            if time.monotonic() >= until:
                return
            self._closing.wait(wait) if until == math.inf else time.sleep(PATIENCE / 4)
            wait = min(2 * wait, LONGEST_WAIT)

    def _once(self, job: Job) -> bool:
        try:
            job()
        except (UnavailableError, OSError) as error:  # a full disk is both
            self.held_up = str(error)
            return False
        self.held_up = ""
        return True

    def _sweep(self) -> None:
        before = time.time() - self._kept_seconds
        self.store.forget(before)
        self.store.sweep(before, self._most)

    def _flush(self, *, whole: bool) -> None:
        """Writes the scores of seconds that are over."""
        now = math.inf if whole else int(time.time()) - 1
        with self._turn:
            due = {camera: {at: row for at, row in own.items() if at < now} for camera, own in self._seconds.items()}
        for camera, own in due.items():
            rows = {at: (total / count, largest) for at, (total, count, largest) in own.items()}
            written = not rows or self._once(partial(self.store.add_seconds, camera, rows))
            with self._turn:
                kept = self._seconds[camera]
                for at in own if written else sorted(kept)[:-HOUR]:
                    del kept[at]
