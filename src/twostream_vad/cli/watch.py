"""`tsvad watch`: cameras in, events out, until it is told to stop."""

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..errors import TsvadError
from ..live.service import told
from .common import ANY_ENGINE, EngineOptions, Flag, packed, say
from .process import set_up_process, until_told, with_cores

if TYPE_CHECKING:
    from ..detector.detector import Detector
    from ..live.address import Address
    from ..live.alerts.courier import Courier
    from ..live.camera import Health
    from ..live.events import Event, Phase
    from ..live.guard import Guard
    from ..live.plan import Plan
    from ..live.recorder import Recorder
    from ..live.store import Store

NAME = re.compile(r"(?:(?P<name>[\w-]{1,64})=)?(?P<address>.+)", re.DOTALL)
TURN = 0.2  # seconds from one look at everything to the next
STORE = "TSVAD_STORE"


def watch(
    detector: Path,
    *cameras: Annotated[str, Parameter(negative=())],
    out: Path = Path("watch"),
    store: str | None = None,
    alert: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    days: float = 30.0,
    disk: float = 20.0,
    metrics: int | None = None,
    per_day: float | None = None,
    threshold: float | None = None,
    release: float | None = None,
    least: float = 0.0,
    cool_down: float = 60.0,
    login: Path | None = None,
    transport: Literal["tcp", "udp"] = "tcp",
    fast: Flag = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    engine: EngineOptions = ANY_ENGINE,
) -> None:
    """Watch cameras: a line for each event as it begins and as it ends, and for each change of a camera's state.

    A camera is rtsp://…, http://…, webcam:0, or a file, which is played at its own pace; NAME=ADDRESS gives it a name.
    User and password may stand in the address, in the file --login, or in TSVAD_CAMERA_LOGIN, as USER:PASSWORD; they
    are shown nowhere. A camera that is lost is opened again. Ctrl-C or SIGTERM ends it.

    Args:
        detector: A detector or a fitted run; or cameras.yaml, which names detectors, cameras and all else, and is read
            again when it changes.
        cameras: Any number of them, all of what the detector has learned; they share its nets.
        out: The folder of the store: events.db, and of each event the picture, with the heat map over it, and a clip.
        store: A PostgreSQL database in place of events.db, postgresql://USER@HOST/NAME; or TSVAD_STORE.
        alert: Where each event is told too: http(s)://…, mqtt(s)://HOST, or exec:PROGRAM; may be given several times.
        days: Scores, clips and pictures are kept for so long; events stay, and what a person has judged.
        disk: Gigabytes that clips and pictures may take; the oldest go first.
        metrics: A port on 127.0.0.1 for /metrics (Prometheus) and /healthz.
        per_day: False alarms a day, at most, from which the threshold follows; said is what that promise is worth.
        threshold: Of the score, in place of the detector's own, which normal video set.
        release: An event ends below this score; the threshold unless given.
        least: Seconds that a score must stay at the threshold to be an event.
        cool_down: Seconds after an event in which another one at the same place is told as its repeat.
        login: A file whose first line is USER:PASSWORD, of all cameras that name none.
        transport: Of RTSP.
        fast: Read files as fast as they can be scored.
        as_json: Lines of JSON.
    """
    need_libraries()
    from ..live.guard import Guard
    from ..live.plan import Place, Plan, read_plan
    from ..live.recorder import Recorder

    if not (days > 0 and disk > 0):
        raise TsvadError("--days and --disk must be more than 0")
    file = detector if detector.suffix in (".yaml", ".yml") else None
    if file is not None and cameras:
        raise TsvadError(f"{file} names the cameras: leave the others away, or give a detector in its place")
    if file is not None:
        plan = read_plan(file)
    else:
        if threshold is not None and per_day is not None:
            raise TsvadError("--threshold and --per-day: give one of them, the threshold follows from the other")
        rules = {"threshold": threshold, "per_day": per_day, "release": release, "least": least, "cool_down": cool_down}
        found, addresses = packed(detector), _addresses(cameras, login)
        places = {name: Place(name, address, found, transport, **rules) for name, address in addresses.items()}  # type: ignore[arg-type]
        plan = Plan(places, alert)
    set_up_process(None)
    lines = Lines(as_json)
    with ExitStack() as stack:
        stopped = stack.enter_context(until_told())
        kept = stack.enter_context(open_store(out, store))
        office = Office(kept)
        stack.callback(office.close)

        def said(event: "Event", phase: "Phase") -> None:
            office.wake()
            lines.event(event, phase)

        recorder = Recorder(kept, office.targets(plan), said, days=days, most=int(1e9 * disk))
        stack.callback(recorder.close)
        guard = Guard(recorder, _loader(engine), lines.state, say, folder=out, paced=not fast)
        stack.callback(guard.close)
        if metrics is not None:
            stack.callback(_metrics(guard, recorder, office, metrics))
        guard.follow(plan)
        told("READY=1")
        _watch_on(plan, file, guard, recorder, office, stopped)
        told("STOPPING=1")
    guard.revive()
    if recorder.failure is not None:
        raise recorder.failure
    for name, post in guard.posts.items():
        lines.summary(name, asdict(post.monitor.camera.counts))


def _watch_on(
    plan: "Plan", file: Path | None, guard: "Guard", recorder: "Recorder", office: "Office", stopped: threading.Event
) -> None:
    """Until it is told to stop, or there is nothing more to watch; follows the plan as its file changes."""
    from ..live.guard import when_changed
    from ..live.snooze import FILE

    known: set[Exception] = set()
    changed = None if file is None else when_changed(file)
    snoozes, folder = when_changed(recorder.store.folder / FILE), recorder.store.folder
    _snooze(guard, folder)
    while not stopped.wait(TURN) and not guard.over:
        if recorder.failure is not None:
            raise recorder.failure
        for name, failure in guard.failures.items():
            if failure not in known:
                known.add(failure)
                say(f"{time.strftime('%H:%M:%S')} {name} is not watched: {failure}")
        guard.revive()
        if snoozes():
            _snooze(guard, folder)
        if not guard.stuck:
            told("WATCHDOG=1")
        if file is not None and changed is not None and changed():
            plan = _followed(file, plan, guard, recorder, office)


def _snooze(guard: "Guard", folder: Path) -> None:
    """Cameras that somebody has snoozed; a broken file is said and changes nothing."""
    from ..live.snooze import snoozed

    try:
        guard.snooze(snoozed(folder))
    except TsvadError as error:
        say(f"{time.strftime('%H:%M:%S')} {error}")


def open_store(folder: Path, url: str | None, *, reading: bool = False) -> "Store":
    """The store in a folder, or of a database's URL, or of the environment's."""
    from ..live.store import Store

    return Store(folder, url or os.environ.get(STORE) or None, reading=reading)


def need_libraries() -> None:
    """TsvadError where what watching wants is not installed."""
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ModuleNotFoundError as error:
        raise TsvadError(f"watching wants {error.name}: pip install 'twostream-vad[live]'") from None


def _loader(options: EngineOptions) -> "Callable[[Path], Detector]":
    """Loads detectors, each by all cores."""
    from ..detector.bundle import Bundle
    from ..detector.detector import Detector
    from ..detector.loading import beside

    chosen = with_cores(options.chosen(None))

    def load(folder: Path) -> Detector:
        bundle = Bundle(folder)
        return Detector.load(bundle, replace(chosen, kept=beside(bundle), ranges=options.ranges(bundle.folder)))

    return load


def _followed(file: Path, plan: "Plan", guard: "Guard", recorder: "Recorder", office: "Office") -> "Plan":
    """The plan as it is now; the one before where it cannot be followed."""
    from ..live.plan import read_plan

    try:
        new = read_plan(file)
        targets = office.targets(new) if (new.alerts, new.places.keys()) != (plan.alerts, plan.places.keys()) else None
        guard.follow(new)
    except TsvadError as error:
        say(f"{time.strftime('%H:%M:%S')} {error}; what was watched before still is")
        return plan
    recorder.targets = recorder.targets if targets is None else targets
    say(f"{time.strftime('%H:%M:%S')} {file}: {len(new.places)} cameras")
    return new


def _metrics(guard: "Guard", recorder: "Recorder", office: "Office", port: int) -> "Callable[[], None]":
    from ..live.metrics import Collector, Metrics

    served = Metrics(Collector(guard, recorder, lambda: office.couriers), port)
    say(f"metrics on http://127.0.0.1:{served.port}/metrics")
    return served.close


class Office:
    """Where alerts leave from: a courier a target."""

    def __init__(self, store: "Store") -> None:
        self.couriers: list[Courier] = []
        self._store = store

    def targets(self, plan: "Plan") -> tuple[str, ...]:
        """Sends couriers to the plan's targets in place of those before; their names. TsvadError for no target."""
        from ..live.alerts.courier import Courier
        from ..live.alerts.targets import target_of

        found, names = [target_of(text, plan.places) for text in plan.alerts], Counter[str]()
        for target in found:  # names show no secrets, and may be alike
            names[target.name] += 1
            target.name += f"#{names[target.name]}" if names[target.name] > 1 else ""
        self.close()
        self.couriers = [Courier(target, self._store) for target in found]
        return tuple(target.name for target in found)

    def wake(self) -> None:
        """Something new is to be delivered."""
        for courier in self.couriers:
            courier.wake()

    def close(self) -> None:
        """All of them end at the same time."""
        closing = [threading.Thread(target=courier.close) for courier in self.couriers]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        self.couriers = []


def _addresses(given: tuple[str, ...], login: Path | None) -> "dict[str, Address]":
    """Name → address; cameras without a name are numbered. TsvadError for none, or a name that is there twice."""
    from ..live.address import Address

    found: dict[str, Address] = {}
    for number, each in enumerate(given, start=1):
        match = NAME.fullmatch(each)
        assert match is not None
        named = match["name"] is not None and "://" not in match["name"]
        name, address = (match["name"], match["address"]) if named else (f"camera{number}", each)
        if name in found:
            raise TsvadError(f"two cameras are called {name}: give each a name of its own, NAME=ADDRESS")
        found[name] = Address.parse(address, login)
    if not found:
        raise TsvadError("no camera: give an address, such as rtsp://HOST/PATH or webcam:0, or a video file")
    return found


class Lines:
    """What is printed."""

    def __init__(self, as_json: bool) -> None:
        self._json, self._turn = as_json, threading.Lock()

    def event(self, event: "Event", phase: "Phase") -> None:
        """An event that is in the store, as it begins, or as it ended."""
        name = "" if event.kind == "anomaly" else f"{event.kind}: "
        if phase == "ended":
            assert event.end is not None
            most = f": {event.score:.2f} at most" if not name else ""
            plain = f"{name}ended after {event.end - event.start:.1f} s{most}"
        elif name:
            plain = f"{name}{event.nearest}"
        else:
            again = f", again {event.repeats}" if event.repeats else ""
            where = f" at {event.zone}" if event.zone else ""
            plain = f"begins: {event.score:.2f} (threshold {event.threshold:.2f}), {event.stream}{where}{again}"
            plain += f"; {event.nearest}" if event.nearest else ""
        self._print({"kind": "event", "phase": phase, "event": event.plain}, f"{event.key} {plain}")

    def state(self, name: str, health: "Health") -> None:
        """A camera's new state."""
        why = f": {health.why}" if health.why else ""
        self._print({"kind": "state", "camera": name} | asdict(health), f"{name} is {health.state}{why}")

    def summary(self, name: str, counts: dict[str, int]) -> None:
        """What a camera has given."""
        plain = f"{counts['read']} frames, {counts['lost']} lost, {counts['left_out']} left out"
        plain += f", {counts['openings']} openings"
        self._print({"kind": "summary", "camera": name} | counts, f"{name}: {plain}")

    def _print(self, told: dict[str, Any], plain: str) -> None:
        with self._turn:
            if self._json:
                print(json.dumps(told), flush=True)
            elif told["kind"] == "event":
                print(f"{time.strftime('%H:%M:%S')} {plain}", flush=True)
            else:
                say(f"{time.strftime('%H:%M:%S')} {plain}")
