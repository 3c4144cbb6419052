"""What alerts are tested with: an outbox in memory, and messages."""

import threading
import time
from collections.abc import Callable

import pytest

from twostream_vad.live.alerts import courier
from twostream_vad.live.events import Message, Phase


def message(number: int = 1, phase: Phase = "begun", camera: str = "gate", key: str = "", tries: int = 0) -> Message:
    """The message with this id, of event KEY or CAMERA-NUMBER."""
    key = key or f"{camera}-{number}"
    event = {"key": key, "camera": camera, "start": 12.5, "end": None, "score": 3.25, "place": [0.5, 0.25]}
    return Message(number, key, phase, event, b"\xff\xd8 a picture \xff\xd9", tries)


def until(met: Callable[[], object]) -> None:
    """Waits for what must come soon."""
    end = time.monotonic() + 20
    while not met():
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.005)


class Memory:
    """An outbox in memory; ``faults`` are raised by what is called next, one each. ``whys`` are those of failures."""

    def __init__(self, *messages: Message) -> None:
        self._lock, self._due = threading.Lock(), {each.id: (0.0, each) for each in messages}
        self.faults: list[Exception] = []
        self.whys: list[str] = []
        self.waits: list[float] = []

    def put(self, new: Message) -> None:
        with self._lock:
            self._due[new.id] = 0.0, new

    def due(self, target: str, now: float, most: int) -> list[Message]:  # noqa: ARG002
        self._fail()
        with self._lock:
            return [each for _, (due, each) in sorted(self._due.items()) if due <= now][:most]

    def delivered(self, message_id: int) -> None:
        self._fail()
        with self._lock:
            del self._due[message_id]

    def postponed(self, message_id: int, until: float, why: str) -> None:
        self._fail()
        with self._lock:
            old = self._due[message_id][1]
            new = Message(old.id, old.key, old.phase, old.event, old.picture, old.tries + 1)
            self._due[message_id] = until, new
            self.whys.append(why)
            self.waits.append(until - time.time())

    @property
    def empty(self) -> bool:
        return not self._due

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Couriers that wait for hundredths of seconds."""
    monkeypatch.setattr(courier, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(courier, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(courier, "LONGEST_REST", 0.02)
    monkeypatch.setattr(courier, "POLL", 0.01)
