"""One camera at work: its frames go to a detector, its scores to decisions, its events to whoever keeps them."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..detector.group import Group, Member
from ..detector.watcher import FrameScore
from ..detector.zones import Zone
from ..errors import TsvadError
from ..report.thumbnails import lit
from ..retrieval.exemplars import sentence
from ..video.pictures import jpeg
from .camera import Camera, Image, LiveFrame
from .decisions import Change, Decisions, Place, Repeats, Rules, Span
from .drift import Drift
from .events import Event
from .schedule import ALWAYS, Schedule
from .trouble import Seen, Trouble

WAIT = 0.5  # seconds without a frame after which an open event may end by time alone
LATENCIES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, math.inf)  # seconds
DRIFT = "drift"  # the kind of event
MARGIN = 5.0  # seconds of a clip before its event and after it


class Keeper(Protocol):
    """Who keeps what a monitor tells: a `recorder.Recorder`. None of it holds a monitor up."""

    def begin(self, event: Event, picture: bytes | None, /) -> None:
        """An event begins."""

    def end(self, event: Event, /) -> None:
        """It has ended."""

    def score(self, camera: str, moment: float, score: float, /) -> None:
        """A frame's score, NaN for none."""

    def note(self, key: str, /, **more: object) -> None:
        """What there is to add to an event."""


@dataclass
class Pace:
    """How a monitor keeps up; times are `time.monotonic`'s."""

    latency: float = 0.0  # seconds from a frame's arrival to its score, of all together
    within: list[int] = field(default_factory=lambda: [0] * len(LATENCIES))  # frames scored within each of `LATENCIES`
    last: float = 0.0  # when the last frame was scored
    beat: float = 0.0  # when the monitor was last seen at work
    held: str = ""  # why no anomaly is announced at present


class Monitor:
    """Watches a camera until it has ended or the monitor is closed.

    Anomalies are those within the ``schedule`` while the camera is in no trouble; trouble is an event of its own, and
    so is a ``drift`` of its scores. Clips go into ``folder``, none where it is None. ``detector`` is the hash of the
    bundle. See `failure`.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        group: Group,
        rules: Rules,
        keeper: Keeper,
        *,
        zones: tuple[Zone, ...] = (),
        schedule: Schedule = ALWAYS,
        folder: Path | None = None,
        detector: str = "",
        trouble: Trouble | None = None,
        drift: Drift | None = None,
    ) -> None:
        self.name, self.camera, self.group, self.pace = name, camera, group, Pace(beat=time.monotonic())
        self.failure: Exception | None = None
        self.snoozed = 0.0  # until when no anomaly is announced, seconds since the epoch
        self._decisions, self._repeats, self._keeper = Decisions(rules), Repeats(rules), keeper
        self._zones, self._schedule, self._folder, self._detector = zones, schedule, folder, detector
        self._trouble, self._seen, self._drift = trouble, Seen(), drift
        self._event: Event | None = None
        self._troubled: Event | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"monitor {name}", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether nothing more will be scored."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Asks it to end; see `close`."""
        self._stopped.set()

    def close(self) -> None:
        """Ends after the frame at hand; an open event ends with it."""
        self.stop()
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
            self.pace.beat = time.monotonic()
            frame = self.camera.take(WAIT)
            if frame is None:
                if self.camera.live:
                    self._decide(time.time(), np.nan, None, None)
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
            now = wall(frame.arrived) if self.camera.live else began + score.time
            self._look(now, frame)
            self._decide(now, score.fused, score, image)
            self._keep_pace(frame)
        if self.camera.failure:
            where = self.camera.address.shown
            raise TsvadError(f"{where}: {self.camera.failure}; give a video file, or the address of a camera")
        for change in self._decisions.end():
            self._change(change, None, None)
        self._end_trouble(time.time() if self.camera.live else began)
        if member is not None:
            self.group.leave(member)

    def _keep_pace(self, frame: LiveFrame) -> None:
        now = time.monotonic()
        for place, limit in enumerate(LATENCIES):
            self.pace.within[place] += now - frame.arrived <= limit
        self.pace.latency += now - frame.arrived
        self.pace.last = now

    def _look(self, now: float, frame: LiveFrame) -> None:
        """Whether the camera itself is in trouble."""
        if self._trouble is None or frame.image is None:
            return
        before, self._seen = self._seen, self._trouble.push(now, frame.image)
        if self._seen.kind != before.kind:
            self._end_trouble(now)
            if self._seen.kind is not None:
                since = self._seen.since
                key = self._key(since)
                self._troubled = Event(
                    f"{key}-{self._seen.kind}", self.name, since, None, now, 0.0, 0.0,
                    nearest=self._seen.why, kind=self._seen.kind, detector=self._detector,
                )  # fmt: skip
                self._keeper.begin(self._troubled, jpeg(frame.image))

    def _end_trouble(self, now: float) -> None:
        if self._troubled is not None:
            self._keeper.end(replace(self._troubled, end=max(now, self._troubled.start)))
            self._troubled = None

    def _decide(self, now: float, fused: float, score: FrameScore | None, image: Image | None) -> None:
        self._keeper.score(self.name, now, fused)
        out = not self._schedule.holds(datetime.fromtimestamp(now))
        snoozed = "snoozed" if now < self.snoozed else ""
        self.pace.held = self._seen.why or ("outside of its schedule" if out else snoozed)
        counted = np.nan if self.pace.held else fused
        if self._drift is not None and (why := self._drift.push(now, counted)):
            key = f"{self._key(now)}-{DRIFT}"
            event = Event(key, self.name, now, now, now, fused, 0.0, nearest=why, kind=DRIFT, detector=self._detector)
            self._keeper.begin(event, None)
            self._keeper.end(event)
        for change in self._decisions.push(now, counted, "" if score is None else loudest(score)):
            self._change(change, score, image)

    def _change(self, change: Change, score: FrameScore | None, image: Image | None) -> None:
        span = change.span
        if change.kind == "begun":
            assert score is not None
            assert image is not None
            self._begin(span, score, image)
        elif self._event is not None:
            self._event = self._now(self._event, span, span.end if change.kind == "ended" else None)
            if change.kind == "ended":
                self._repeats.end(self._event.repeats or self._event.key, span.end)
                self._keeper.end(self._event)
                if self._folder is not None and self.camera.live:
                    self.camera.end_clip(self._clip_of(self._event), monotonic(span.end) + MARGIN)
                self._event = None

    def _begin(self, span: Span, score: FrameScore, image: Image) -> None:
        heat, nearest, stream = score.heat(), score.nearest(), self.group.detector.streams["retrieval"]
        place, key = hottest(heat), self._key(span.start)
        self._event = Event(
            key, self.name, span.start, None, span.peak, span.score, self._decisions.rules.threshold, span.stream,
            place, self._zone_of(place), "" if nearest is None else sentence(nearest, stream.snippet.span),
            self._repeats.begin(key, span.start, place), detector=self._detector,
        )  # fmt: skip
        self._keeper.begin(self._event, lit(image, heat))
        if self._folder is not None and self.camera.live:
            clip = self._clip_of(self._event)
            self.camera.clip(clip, monotonic(span.start) - MARGIN, self._noted(key, clip))

    def _noted(self, key: str, clip: Path) -> Callable[[str], None]:
        def done(why: str) -> None:
            self._keeper.note(key, **({"no_clip": why} if why else {"clip": clip.name}))

        return done

    def _clip_of(self, event: Event) -> Path:
        assert self._folder is not None
        return self._folder / f"{event.key}.mp4"

    def _key(self, moment: float) -> str:
        when = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        return f"{self.name}-{when}Z"

    def _zone_of(self, place: Place | None) -> str:
        """The zone watched alone that the place lies in."""
        alone = [zone for zone in self._zones if zone.use == "alone"]
        return next((zone.name for zone in alone if place is not None and zone.holds(place)), "")

    @staticmethod
    def _now(event: Event, span: Span, end: float | None) -> Event:
        return replace(event, end=end, peak=span.peak, score=span.score, stream=span.stream)


def wall(moment: float) -> float:
    """Seconds since the epoch of a time on the monotonic clock."""
    return time.time() - (time.monotonic() - moment)


def monotonic(moment: float) -> float:
    """The time on the monotonic clock of seconds since the epoch."""
    return time.monotonic() - (time.time() - moment)


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
