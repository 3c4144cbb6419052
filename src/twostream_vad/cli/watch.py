"""`tsvad watch`: cameras in, events out, until it is told to stop."""

import json
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..errors import TsvadError
from .common import ANY_ENGINE, DetectorFolder, EngineOptions, Flag, packed, say
from .process import set_up_process, with_cores

if TYPE_CHECKING:
    from ..live.address import Address
    from ..live.camera import Camera, Health
    from ..live.monitor import Event, Monitor, Shown

NAME = re.compile(r"(?:(?P<name>[\w-]{1,64})=)?(?P<address>.+)", re.DOTALL)
TURN = 0.2  # seconds from one look at the monitors to the next


def watch(
    detector: DetectorFolder,
    *cameras: Annotated[str, Parameter(negative=())],
    out: Path | None = None,
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
        cameras: Any number of them, all of what the detector has learned; they share its nets.
        out: A folder that gets each event as KEY.json, and as KEY.jpg its picture with the heat map over it.
        threshold: Of the score, in place of the detector's own, which normal video set.
        release: An event ends below this score; the threshold unless given.
        least: Seconds that a score must stay at the threshold to be an event.
        cool_down: Seconds after an event in which another one at the same place is told as its repeat.
        login: A file whose first line is USER:PASSWORD, of all cameras that name none.
        transport: Of RTSP.
        fast: Read files as fast as they can be scored.
        as_json: Lines of JSON.
    """
    from ..detector.bundle import Bundle
    from ..detector.detector import Detector
    from ..detector.group import Group
    from ..detector.loading import beside
    from ..live.camera import Camera
    from ..live.decisions import Rules
    from ..live.monitor import Monitor

    addresses = _addresses(cameras, login)
    set_up_process(None)
    bundle = Bundle(packed(detector))
    loaded = Detector.load(bundle, with_cores(engine.chosen(beside(bundle))))
    rules = Rules(loaded.threshold if threshold is None else threshold, release, least, cool_down=cool_down)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    lines, stopped = Lines(out, as_json), threading.Event()
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, lambda *_: stopped.set()))
        group = stack.enter_context(Group(loaded))
        monitors = []
        for name, address in addresses.items():
            camera = Camera(address, transport=transport, paced=not fast, changed=lines.state_of(name))
            monitors.append(Monitor(name, camera, group, rules, lines.event))
            stack.callback(monitors[-1].close)
        while not stopped.wait(TURN) and not all(monitor.over for monitor in monitors):
            _raise_failures(monitors)
    _raise_failures(monitors)
    for monitor in monitors:
        lines.summary(monitor.name, monitor.camera)


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


def _raise_failures(monitors: "list[Monitor]") -> None:
    for monitor in monitors:
        if monitor.failure is not None:
            raise monitor.failure


class Lines:
    """What is printed, and what is written of an event."""

    def __init__(self, out: Path | None, as_json: bool) -> None:
        self._out, self._json, self._turn = out, as_json, threading.Lock()

    def event(self, event: "Event", shown: "Shown | None") -> None:
        """An event as it begins, or as it ended. It is on disk before it is told."""
        from ..report.thumbnails import lit
        from ..storage import whole_file, write_text

        told = asdict(event)
        if self._out is not None:
            if shown is not None:
                with whole_file(self._out / f"{event.key}.jpg") as temporary:
                    temporary.write_bytes(lit(shown.image, shown.heat))
            write_text(self._out / f"{event.key}.json", json.dumps(told, indent=1) + "\n")
        if event.end is None:
            again = f", again {event.repeats}" if event.repeats else ""
            plain = f"begins: {event.score:.2f} (threshold {event.threshold:.2f}), {event.stream}{again}"
            plain += f"; {event.nearest}" if event.nearest else ""
        else:
            plain = f"ended after {event.end - event.start:.1f} s: {event.score:.2f} at most"
        self._print({"kind": "event"} | told, f"{event.key} {plain}")

    def state_of(self, name: str) -> "Callable[[Health], None]":
        """What is told of a camera's states."""

        def told(health: "Health") -> None:
            why = f": {health.why}" if health.why else ""
            self._print({"kind": "state", "camera": name} | asdict(health), f"{name} is {health.state}{why}")

        return told

    def summary(self, name: str, camera: "Camera") -> None:
        """What a camera has given."""
        counts = camera.counts
        plain = f"{counts.read} frames, {counts.lost} lost, {counts.left_out} left out, {counts.openings} openings"
        self._print({"kind": "summary", "camera": name} | asdict(counts), f"{name}: {plain}")

    def _print(self, told: dict[str, Any], plain: str) -> None:
        with self._turn:
            if self._json:
                print(json.dumps(told), flush=True)
            elif told["kind"] == "event":
                print(f"{time.strftime('%H:%M:%S')} {plain}", flush=True)
            else:
                say(f"{time.strftime('%H:%M:%S')} {plain}")
