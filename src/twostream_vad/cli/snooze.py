"""`tsvad snooze`: a camera that announces nothing for a while."""

import time
from pathlib import Path

from ..errors import TsvadError
from .watch import need_libraries, open_store


def snooze(camera: str, minutes: float = 30.0, *, watched: Path = Path("watch"), store: str | None = None) -> None:
    """Let a camera that is being watched announce no anomaly for 5 to 60 minutes; 0 wakes it.

    While somebody works before it, for example. It is scored all the same, and its trouble is told.

    Args:
        camera: Its name.
        minutes: From now.
        watched: The store's folder: --out of tsvad watch.
        store: A PostgreSQL database, as of tsvad watch.
    """
    need_libraries()
    from ..live import snooze as files

    with open_store(watched, store, reading=True) as kept:
        if kept.last_second(camera) is None:
            raise TsvadError(f"{kept.shown} has no scores of {camera}: give the name of a camera that is watched there")
    until = files.snooze(watched, camera, minutes)
    print(
        f"{camera} is snoozed until {time.strftime('%H:%M', time.localtime(until))}"
        if minutes
        else f"{camera} is awake"
    )
