"""One camera at work: its frames go to a detector, its scores to decisions, its events to whoever wants them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ..detector.group import Group, Member
from ..detector.watcher import FrameScore
from ..errors import TsvadError
from ..retrieval.exemplars import sentence
from .camera import Camera, Image
from .decisions import Change, Decisions, Place, Repeats, Rules, Span

WAIT = 0.5  # seconds without a frame after which an open event may end by time alone


@dataclass(frozen=True)
class Event:
    """What was unlike normal at one camera, as it is known so far; times are seconds since the epoch.

    ``place`` is where the heat was highest when it began; ``repeats`` the key of an event that it says again;
    ``nearest`` the nearest normal event in words; ``end`` is None while it goes on.
    """

    key: str
    camera: str
    start: float
    end: float | None
    peak: float
    score: float
    threshold: float
    stream: str
    place: Place | None
    nearest: str
    repeats: str | None


@dataclass(frozen=True)
class Shown:
    """What there is to see of an event as it begins: the picture, and where it is unlike normal, (H, W)."""

    image: Image
    heat: NDArray[np.float32] | None


class Monitor:
    """Watches a camera until it has ended or the monitor is closed.

    ``tell`` gets each event as it begins, with what there is to see, and again when it has ended. It is called by the
    monitor's own thread, and what it raises ends that: see `failure`.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        group: Group,
        rules: Rules,
        tell: Callable[[Event, Shown | None], None],
    ) -> None:
        self.name, self.camera, self.group = name, camera, group
        self.failure: Exception | None = None
        self._decisions, self._repeats = Decisions(rules), Repeats(rules)
        self._tell = tell
        self._event: Event | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"monitor {name}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether nothing more will be scored."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """Ends after the frame at hand; an open event ends with it."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._watch()
        except Exception as error:
            self.failure = error
        finally:
            self.camera.close()

    def _watch(self) -> None:
        member: Member | None = None
        opened, last, began = 0, None, time.time()
        while not (self._stopped.is_set() or self.camera.ended):
            frame = self.camera.take(WAIT)
            if frame is None:
                if self.camera.live:
                    self._change(self._decisions.push(time.time(), np.nan), None, None)
                continue
            if member is None or frame.opened != opened:  # no snippet spans a gap in the stream
                if member is not None:
                    self.group.leave(member)
                member, opened, last = self.group.watch(self.camera.rate), frame.opened, None
            image = last if frame.image is None else frame.image
            if image is None:
                continue
            if frame.left_out and last is not None:
                member.push(last, lost=True).result()
            score, last = member.push(image, frame.time, lost=frame.image is None).result(), image
            # A file that is read as fast as it can be scored goes by its own clock.
            now = time.time() - (time.monotonic() - frame.arrived) if self.camera.live else began + score.time
            self._change(self._decisions.push(now, score.fused, loudest(score)), score, image)
        if self.camera.failure:
            where = self.camera.address.shown
            raise TsvadError(f"{where}: {self.camera.failure}; give a video file, or the address of a camera")
        self._change(self._decisions.end(), None, None)
        if member is not None:
            self.group.leave(member)

    def _change(self, changes: list[Change], score: FrameScore | None, image: Image | None) -> None:
        for change in changes:
            span = change.span
            if change.kind == "begun":
                assert score is not None
                assert image is not None
                self._begin(span, score, image)
            elif self._event is not None:
                self._event = self._now(self._event, span, span.end if change.kind == "ended" else None)
                if change.kind == "ended":
                    self._repeats.end(self._event.repeats or self._event.key, span.end)
                    self._tell(self._event, None)
                    self._event = None

    def _begin(self, span: Span, score: FrameScore, image: Image) -> None:
        heat, nearest, stream = score.heat(), score.nearest(), self.group.detector.streams["retrieval"]
        place = hottest(heat)
        when = datetime.fromtimestamp(span.start, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        key = f"{self.name}-{when}Z"
        self._event = Event(
            key, self.name, span.start, None, span.peak, span.score, self._decisions.rules.threshold, span.stream,
            place, "" if nearest is None else sentence(nearest, stream.snippet.span),
            self._repeats.begin(key, span.start, place),
        )  # fmt: skip
        self._tell(self._event, Shown(image, heat))

    @staticmethod
    def _now(event: Event, span: Span, end: float | None) -> Event:
        return replace(event, end=end, peak=span.peak, score=span.score, stream=span.stream)


def loudest(score: FrameScore) -> str:
    """The stream whose own score is highest; empty where none has one."""
    own = {name: value for name, value in score.streams.items() if not np.isnan(value)}
    return max(own, key=lambda name: own[name]) if own else ""


def hottest(heat: NDArray[np.float32] | None) -> Place | None:
    """The middle of the hottest pixel, as shares of width and height; None where there is no heat."""
    if heat is None:
        return None
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return (float(column) + 0.5) / heat.shape[1], (float(row) + 0.5) / heat.shape[0]
