"""Couriers: order, tries, and what happens when the target, the outbox or the program is gone."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from twostream_vad.live.alerts import courier
from twostream_vad.live.alerts.courier import Courier, pause
from twostream_vad.live.alerts.target import Target, Undelivered
from twostream_vad.live.events import Message

from .conftest import Memory, message, until


class Told(Target):
    """A target that keeps the ids that it was told; ``faults`` are raised by the next tries, None for none."""

    name = "told"

    def __init__(self, *faults: Exception | None) -> None:
        self.tried: list[int] = []
        self.told: list[int] = []
        self.closed = False
        self._faults = list(faults)

    def deliver(self, message: Message) -> None:
        self.tried.append(message.id)
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault
        self.told.append(message.id)

    def close(self) -> None:
        self.closed = True


Send = Callable[[Target, Memory], Courier]


@pytest.fixture
def send() -> Iterator[Send]:
    """Starts couriers, and closes them."""
    started: list[Courier] = []

    def start(target: Target, outbox: Memory) -> Courier:
        started.append(Courier(target, outbox))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.usefixtures("hasty")
def test_messages_are_delivered_once_each_in_their_order(send: Send) -> None:
    target, outbox = Told(), Memory(*(message(number) for number in range(1, 51)))
    sent = send(target, outbox)
    until(lambda: outbox.empty)
    assert target.told == list(range(1, 51))
    assert (sent.delivered, sent.failed, sent.trouble) == (50, 0, "")


def test_a_new_message_leaves_at_once(monkeypatch: pytest.MonkeyPatch, send: Send) -> None:
    monkeypatch.setattr(courier, "POLL", 3600.0)
    target, outbox = Told(), Memory(message(1))
    sent = send(target, outbox)
    until(lambda: outbox.empty)
    outbox.put(message(2))
    sent.wake()
    until(lambda: outbox.empty)
    assert target.told == [1, 2]


@pytest.mark.usefixtures("hasty")
def test_messages_keep_their_order_while_a_target_is_away(send: Send) -> None:
    target, outbox = Told(*(Undelivered("away") for _ in range(4))), Memory(message(1), message(2), message(3))
    sent = send(target, outbox)
    until(lambda: outbox.empty)
    assert target.tried == [1, 1, 1, 1, 1, 2, 3]
    assert (sent.delivered, sent.failed, sent.trouble) == (3, 4, "")


def test_a_target_that_is_away_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch, send: Send) -> None:
    monkeypatch.setattr(courier, "FIRST_WAIT", 60.0)
    monkeypatch.setattr(courier, "POLL", 0.01)
    target, outbox = Told(Undelivered("away")), Memory(message(1))
    sent = send(target, outbox)
    until(lambda: sent.failed)
    outbox.put(message(2))
    sent.wake()
    sent.close()
    assert target.tried == [1]
    assert sent.trouble == "away"


@pytest.mark.usefixtures("hasty")
def test_a_refused_message_does_not_hold_up_the_others(send: Send) -> None:
    target, outbox = Told(Undelivered("no", message_only=True)), Memory(message(1), message(2), message(3))
    send(target, outbox)
    until(lambda: outbox.empty)
    assert target.told == [2, 3, 1]
    assert outbox.whys == ["no"]


def test_a_refused_message_waits_longer_each_time(send: Send) -> None:
    refusals = [Undelivered("no", message_only=True) for _ in range(3)]
    outbox = Memory(message(1, tries=0), message(2, tries=5), message(3, tries=20))
    send(Told(*refusals), outbox)
    until(lambda: len(outbox.waits) == 3)
    for waited, meant in zip(outbox.waits, (1, 32, 600), strict=True):
        assert 0.75 * meant - 0.5 < waited < 1.25 * meant + 0.5


@pytest.mark.parametrize(("tries", "seconds"), [(0, 1), (1, 2), (5, 32), (9, 512), (10, 600), (100_000, 600)])
def test_waits_double_up_to_ten_minutes_and_are_never_the_same(tries: int, seconds: float) -> None:
    waits = {pause(tries, 600.0) for _ in range(100)}
    assert len(waits) > 90
    assert 0.75 * seconds <= min(waits) < max(waits) <= 1.25 * seconds


@pytest.mark.usefixtures("hasty")
def test_a_courier_outlives_its_outbox(send: Send) -> None:
    target, outbox = Told(), Memory(message(1))
    outbox.faults += [RuntimeError("no database") for _ in range(5)]
    sent = send(target, outbox)
    until(lambda: outbox.empty)
    assert target.told == [1]
    assert sent.trouble == ""


class Forgetful(Memory):
    """An outbox that cannot be written at first."""

    def __init__(self, *messages: Message) -> None:
        super().__init__(*messages)
        self.unwritten = 3

    def delivered(self, message_id: int) -> None:
        self.unwritten -= 1
        if self.unwritten >= 0:
            raise RuntimeError("the disk is full")
        super().delivered(message_id)


@pytest.mark.usefixtures("hasty")
def test_what_was_delivered_is_not_delivered_again_because_the_outbox_could_not_be_written(send: Send) -> None:
    target, outbox = Told(), Forgetful(message(1))
    sent = send(target, outbox)
    until(lambda: outbox.empty)
    assert target.told == [1]
    assert sent.delivered == 1


@pytest.mark.usefixtures("hasty")
def test_a_fault_of_ours_concerns_one_message_and_shows_nothing_of_it(send: Send) -> None:
    target, outbox = Told(KeyError("geheim")), Memory(message(1), message(2))
    send(target, outbox)
    until(lambda: outbox.empty)
    assert target.told == [2, 1]
    assert outbox.whys == ["KeyError, a fault of this program"]


def test_closing_delivers_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "POLL", 3600.0)
    monkeypatch.setattr(courier, "LAST", 20.0)
    target, outbox = Told(), Memory(message(1))
    sent = Courier(target, outbox)
    until(lambda: outbox.empty)
    outbox.put(message(2))
    sent.close()
    assert target.told == [1, 2]
    assert target.closed


class Hanging(Told):
    """A target that takes a message when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def deliver(self, message: Message) -> None:
        self.tried.append(message.id)
        self.go.wait()
        self.told.append(message.id)


def test_closing_waits_for_no_delivery_that_hangs_and_nothing_is_delivered_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(courier, "LAST", 0.2)
    target, outbox = Hanging(), Memory(message(1), message(2))
    sent = Courier(target, outbox)
    until(lambda: target.tried)
    began = time.monotonic()
    sent.close()
    assert time.monotonic() - began < 2
    assert target.closed
    target.go.set()
    sent._thread.join()
    assert target.tried == [1]
    assert [each.id for each in outbox.due("told", time.time(), 9)] == [2]
