"""All cameras of a plan at work, and each change of the plan followed while the others go on."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..detector.detector import Detector
from ..detector.group import Group
from ..detector.zones import Zone
from ..errors import TsvadError
from ..scores.promise import NormalEvents, Promise, Promises
from .camera import Camera, Health
from .decisions import Rules
from .drift import Drift
from .monitor import Keeper, Monitor
from .plan import Place, Plan
from .trouble import Trouble

RETRY = 60.0  # seconds after which a camera that has failed is tried again
STUCK = 30.0  # seconds without a sign of a monitor after which its decisions are not made any more


@dataclass(frozen=True)
class Post:
    """A place that is watched, and how it goes."""

    place: Place
    monitor: Monitor


class Guard:
    """Watches the places of a plan.

    ``load`` gives the detector of a folder; ``changed`` is told of cameras' states, ``say`` what a promise is worth.

    Cameras of one detector, and with the same zones, are scored in common batches; all share its nets. ``folder``
    takes clips; ``paced`` is as of `Camera`, ``troubles`` says whether cameras' own trouble is looked for.
    """

    def __init__(
        self,
        keeper: Keeper,
        load: Callable[[Path], Detector],
        changed: Callable[[str, Health], None],
        say: Callable[[str], None],
        *,
        folder: Path | None = None,
        paced: bool = True,
        troubles: bool = True,
    ) -> None:
        self.posts: dict[str, Post] = {}
        self._keeper, self._load, self._changed, self._say = keeper, load, changed, say
        self._folder, self._paced, self._troubles = folder, paced, troubles
        self._detectors: dict[Path, Detector] = {}
        self._groups: dict[tuple[Path, tuple[Zone, ...]], Group] = {}
        self._snoozed: Mapping[str, float] = {}

    def snooze(self, until: Mapping[str, float]) -> None:
        """Cameras announce no anomaly until then, seconds since the epoch; those not named are awake."""
        self._snoozed = dict(until)
        for name, post in self.posts.items():
            post.monitor.snoozed = self._snoozed.get(name, 0.0)

    def follow(self, plan: Plan) -> None:
        """Stops what the plan has no more, begins what is new in it, and leaves alone what has not changed.

        Raises TsvadError for a detector that cannot be loaded, or a threshold that it cannot promise; then all is as
        before.
        """
        known = {name: post.place for name, post in self.posts.items()}
        new = {name: place for name, place in plan.places.items() if known.get(name) != place}
        ready = {name: (self._group(place), self._rules(place)) for name, place in new.items()}
        for name in [name for name in self.posts if name not in plan.places or name in new]:
            self.posts.pop(name).monitor.close()
        for name, (group, rules) in ready.items():
            self.posts[name] = Post(new[name], self._monitor(new[name], group, rules))
        self._tidy()

    @property
    def over(self) -> bool:
        """Whether no camera will give anything more."""
        return all(post.monitor.over and not self._again(post) for post in self.posts.values())

    @property
    def failures(self) -> dict[str, Exception]:
        """Cameras that are not watched any more, such as one whose picture has another shape now, and why."""
        found = {name: post.monitor.failure for name, post in self.posts.items()}
        return {name: failure for name, failure in found.items() if failure is not None}

    def revive(self) -> None:
        """Begins anew with what has failed, a minute after its last sign.

        Raises what is wrong where that is no user's fault, or where nothing at all was ever watched.
        """
        failures, now = self.failures, time.monotonic()
        never = len(failures) == len(self.posts) and not any(post.monitor.pace.last for post in self.posts.values())
        for name, failure in failures.items():
            if never or not isinstance(failure, TsvadError):
                raise failure
            post = self.posts[name]
            if self._again(post) and now - post.monitor.pace.beat > RETRY:
                group, rules = self._group(post.place), self._rules(post.place)
                self.posts[name] = Post(post.place, self._monitor(post.place, group, rules))

    @property
    def stuck(self) -> list[str]:
        """Cameras whose decisions are not made any more."""
        now = time.monotonic()
        at_work = {name: post.monitor for name, post in self.posts.items() if not post.monitor.over}
        return [name for name, monitor in at_work.items() if now - monitor.pace.beat > STUCK]

    def close(self) -> None:
        """Ends all of it, at once."""
        for post in self.posts.values():
            post.monitor.stop()
        for post in self.posts.values():
            post.monitor.close()
        for group in self._groups.values():
            group.close()

    @staticmethod
    def _again(post: Post) -> bool:
        return post.monitor.failure is not None and post.place.address.kind != "file"

    def _monitor(self, place: Place, group: Group, rules: Rules) -> Monitor:
        name, detector = place.name, self._detectors[place.detector]
        normal = _normal_of(detector)
        camera = Camera(
            place.address,
            transport=place.transport,
            paced=self._paced,
            changed=lambda health: self._changed(name, health),
        )
        monitor = Monitor(
            name,
            camera,
            group,
            rules,
            self._keeper,
            zones=place.zones,
            schedule=place.schedule,
            folder=self._folder,
            detector="" if detector.bundle is None else detector.bundle.identity,
            trouble=Trouble() if self._troubles else None,
            drift=None if normal is None else Drift(normal),
        )
        monitor.snoozed = self._snoozed.get(name, 0.0)
        return monitor

    def _group(self, place: Place) -> Group:
        key = place.detector, place.zones
        if key not in self._groups:
            whole = self._detector(place.detector)
            self._groups[key] = Group(whole.within(place.zones) if place.zones else whole)
        return self._groups[key]

    def _detector(self, folder: Path) -> Detector:
        if folder not in self._detectors:
            self._detectors[folder] = self._load(folder)
        return self._detectors[folder]

    def _rules(self, place: Place) -> Rules:
        threshold = place.threshold
        if threshold is None and place.per_day is not None:
            promise = promised(self._detector(place.detector), place.per_day)
            self._say(f"{place.name}: {promise.said()}")
            threshold = promise.threshold
        if threshold is None:
            threshold = self._detector(place.detector).threshold
        return Rules(threshold, place.release, place.least, cool_down=place.cool_down)

    def _tidy(self) -> None:
        """Lets go what no camera needs any more."""
        used = {(post.place.detector, post.place.zones) for post in self.posts.values()}
        for key in [key for key in self._groups if key not in used]:
            self._groups.pop(key).close()
        for folder in [folder for folder in self._detectors if folder not in {each for each, _ in used}]:
            del self._detectors[folder]


def promised(detector: Detector, per_day: float) -> Promise:
    """The threshold for so many false alarms a day; TsvadError where the detector does not know normal video's."""
    normal = _normal_of(detector)
    if normal is None:
        raise TsvadError(
            "this detector cannot promise a number of false alarms: no normal video was held out when it was "
            "calibrated, or an older version did so; fit again with three training videos or more, or give a threshold"
        )
    return Promises(normal).promise(per_day)


def _normal_of(detector: Detector) -> NormalEvents | None:
    """How often a detector's normal video is loud; None where it does not know."""
    return None if detector.bundle is None else detector.bundle.description.calibration.normal


def when_changed(path: Path) -> Callable[[], bool]:
    """Says whether a file has been written since it was last asked, and is there."""
    seen: Mapping[str, object] = {}

    def state() -> Mapping[str, object]:
        with suppress(OSError):
            found = path.stat()
            return {"time": found.st_mtime_ns, "size": found.st_size, "file": found.st_ino}
        return {}

    seen = state()

    def changed() -> bool:
        nonlocal seen
        before, seen = seen, state()
        return bool(seen) and seen != before

    return changed
