"""Where messages wait, and what they are delivered to."""

import json
from collections.abc import Sequence
from typing import Protocol

from ..events import Message


class Outbox(Protocol):
    """Messages that wait; used by the threads of several couriers at once. Times are seconds since the epoch."""

    def due(self, target: str, now: float, most: int) -> Sequence[Message]:
        """Up to ``most`` of a target's messages whose time has come, oldest first."""

    def delivered(self, message_id: int) -> None:
        """The target has it."""

    def postponed(self, message_id: int, until: float, why: str) -> None:
        """A try has failed; the next one is not before ``until``."""


class Undelivered(Exception):  # noqa: N818
    """The target has not taken a message; why, without secrets. ``message_only``: it may well take another one."""

    def __init__(self, why: str, *, message_only: bool = False) -> None:
        super().__init__(why)
        self.message_only = message_only


class Target(Protocol):
    """Where messages go. ``name`` is the same whenever the target is, and shows no secret."""

    name: str

    def open(self) -> None:
        """Called once before the first message; waits for nothing."""
        return

    def deliver(self, message: Message) -> None:
        """Returns once the target has it; Undelivered where it has not, soon."""

    def close(self) -> None:
        """Takes a second at most, while another thread may be delivering."""
        return


def body(message: Message) -> bytes:
    """What a message says, as JSON: its ``key``, ``phase`` and ``event``."""
    return json.dumps({"key": message.key, "phase": message.phase, "event": dict(message.event)}).encode()
