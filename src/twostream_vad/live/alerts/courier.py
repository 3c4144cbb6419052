"""Delivers the messages of one target, again and again until it has them."""

import random
import threading
import time

from ..events import Message
from .target import Outbox, Target, Undelivered

POLL = 1.0  # seconds after which the outbox is looked at, though nobody says that there is something new
MOST = 20  # messages taken at once
FIRST_WAIT = 1.0  # seconds before the next try, twice as many each time
LONGEST_WAIT = 600.0  # for a message that the target refuses
LONGEST_REST = 60.0  # for a target that takes none
LAST = 1.0  # seconds that are left to deliver when all ends


class Courier:
    """Delivers in a thread of its own, oldest first, until it is closed.

    While a target takes nothing, its messages wait in their order; one that it refuses does not hold up the others. A
    message is delivered at least once: twice only where this process ends between delivery and the note of it.
    ``trouble`` is why the last try failed; empty where it did not.
    """

    def __init__(self, target: Target, outbox: Outbox) -> None:
        self.target = target
        self.delivered, self.failed, self.trouble = 0, 0, ""
        self._outbox, self._ready = outbox, threading.Condition()
        self._woken, self._closing, self._given_up = False, False, False
        self._failures, self._rests_until = 0, 0.0  # in a row; on the monotonic clock
        self._unmarked = set[tuple[str, str]]()  # key and phase: delivered, which the outbox does not know yet
        self._thread = threading.Thread(target=self._work, name=f"courier {target.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Says that there is a new message, which then leaves at once."""
        with self._ready:
            self._woken = True
            self._ready.notify_all()

    def close(self) -> None:
        """Delivers what is due in a second; what is not delivered by then stays in the outbox."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        self._thread.join(LAST)
        self._given_up = True
        self.target.close()

    def _work(self) -> None:
        self.target.open()
        while True:
            with self._ready:
                self._woken, last = False, self._closing
            try:
                self._round()
            except Exception as error:  # a database may be gone for a while; the messages are still there
                self.trouble = f"the outbox: {type(error).__name__}"
                self._rest()
            if last:
                return
            with self._ready:
                self._ready.wait_for(lambda: self._woken or self._closing, POLL)

    def _round(self) -> None:
        while not self._given_up and time.monotonic() >= self._rests_until:
            messages = self._outbox.due(self.target.name, time.time(), MOST)
            for message in messages:
                if self._given_up or not self._try(message):
                    return
            if not messages:
                return

    def _try(self, message: Message) -> bool:
        """Whether the target may take another one."""
        own = message.key, message.phase
        try:
            if own not in self._unmarked:
                self.target.deliver(message)
        except Exception as error:
            if self._given_up:
                return False
            why = str(error) if isinstance(error, Undelivered) else f"{type(error).__name__}, a fault of this program"
            goes_on = getattr(error, "message_only", True)
            self.failed, self.trouble = self.failed + 1, why
            if not goes_on:
                self._rest()
            wait = pause(message.tries, LONGEST_WAIT) if goes_on else 0.0
            self._outbox.postponed(message.id, time.time() + wait, why)
            return goes_on
        self._unmarked.add(own)
        self._outbox.delivered(message.id)
        self._unmarked.discard(own)
        self.delivered, self.trouble, self._failures = self.delivered + 1, "", 0
        return True

    def _rest(self) -> None:
        self._rests_until = time.monotonic() + pause(self._failures, LONGEST_REST)
        self._failures += 1


def pause(tries: int, longest: float) -> float:
    """Seconds until the next try after so many that failed before: doubled each time, each a quarter more or less."""
    return min(FIRST_WAIT * 2.0 ** min(tries, 30), longest) * random.uniform(0.75, 1.25)
