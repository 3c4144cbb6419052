"""What cameras have told, kept: events, a second's scores, and what is still to be delivered. SQLite or PostgreSQL."""

import contextlib
import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import alembic.command
import alembic.config
import numpy as np
import sqlalchemy as sa
from alembic.util.exc import CommandError
from numpy.typing import NDArray
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ..errors import TsvadError
from .address import hidden
from .events import Event, Message, Phase
from .tables import EVENTS, MINUTES, OUTBOX

DATABASE = "events.db"
PATIENCE = 1.0  # seconds for the lock of a process that has just ended
MINUTE = 60  # seconds, and rows of a minute's scores
FULL = ("disk is full", "disk I/O error", "readonly", "locked", "unable to open")
"""What SQLite says when a later try may go well."""
OWN = {column.name for column in EVENTS.columns} - {"verdict", "more"}  # fields of an event with a column of their own
IN_MORE = ("place", "zone", "nearest")

Scores = NDArray[np.float32]


class UnavailableError(TsvadError):
    """The store cannot be written or read now: a later try may go well."""


class Store:
    """The store in a folder, which holds pictures and clips too, or of a database's URL.

    One process writes at a time; any number may look on, ``reading`` alone. Every method raises UnavailableError where
    the database is full, locked or gone, and has changed nothing then. Raises TsvadError where another process writes
    it, it is of a newer version, or no store.
    """

    def __init__(self, folder: Path, url: str | None = None, *, reading: bool = False) -> None:
        self.folder = folder
        self.shown = str(folder / DATABASE) if url is None else hidden(url)
        self._holder: sa.Connection | None = None
        self._turn, self._held = threading.Lock(), False  # to take the lock; whether it was ever had
        self._lock: IO[str] | None = None
        if reading:
            if url is None and not (folder / DATABASE).exists():
                raise TsvadError(f"{folder} holds no {DATABASE}: give the folder that `tsvad watch --out` writes")
            self._engine = _engine(folder / DATABASE, url)
            return
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undone:
            self._lock = undone.enter_context(_lock(folder))
            self._engine = _engine(folder / DATABASE, url)
            undone.callback(self._engine.dispose)
            undone.callback(self._let_go)
            self._migrate()
            undone.pop_all()
        for part in folder.glob(".*.part*"):  # of a process that was killed
            part.unlink(missing_ok=True)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the store go."""
        self._let_go()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()

    def begin(self, event: Event, targets: Sequence[str]) -> None:
        """Keeps an event that begins, and that these targets are to be told; one that is kept already stays."""
        with self._writing() as connection:
            if connection.scalar(sa.select(EVENTS.c.key).where(EVENTS.c.key == event.key)) is None:
                plain = event.plain
                more = {name: plain[name] for name in IN_MORE if plain[name]}
                connection.execute(EVENTS.insert().values({name: plain[name] for name in OWN} | {"more": more}))
                self._post(connection, event, "begun", targets)

    def end(self, event: Event, targets: Sequence[str]) -> None:
        """Keeps how an event ended, and that these targets are to be told."""
        last = {name: getattr(event, name) for name in ("end", "peak", "score", "stream")}
        with self._writing() as connection:
            kept = EVENTS.c.key == event.key
            changed = connection.execute(EVENTS.update().where(kept, EVENTS.c.end.is_(None)).values(last))
            if changed.rowcount:
                self._post(connection, event, "ended", targets)

    def note(self, key: str, /, **more: Any) -> None:
        """Adds to what may change later of an event, such as its clip."""
        with self._writing() as connection:
            kept = EVENTS.c.key == key
            before = connection.scalar(sa.select(EVENTS.c.more).where(kept).with_for_update())
            if before is not None:
                connection.execute(EVENTS.update().where(kept).values(more=before | more))

    def events(self, *, camera: str | None = None, open_only: bool = False, most: int = 100) -> list[Event]:
        """Events, the newest first."""
        wanted = sa.select(EVENTS).order_by(EVENTS.c.start.desc(), EVENTS.c.key).limit(most)
        wanted = wanted if camera is None else wanted.where(EVENTS.c.camera == camera)
        wanted = wanted.where(EVENTS.c.end.is_(None)) if open_only else wanted
        with self._reading() as connection:
            return [_event(dict(row._mapping)) for row in connection.execute(wanted)]

    def add_seconds(self, camera: str, seconds: Mapping[int, tuple[float, float]]) -> None:
        """Keeps the mean and the largest score of seconds since the epoch; what is kept of other seconds stays."""
        minutes: dict[int, Scores] = {}
        for second, (mean, largest) in seconds.items():
            minute = minutes.setdefault(second // MINUTE, np.full((2, MINUTE), np.nan, np.float32))
            minute[:, second % MINUTE] = mean, largest
        with self._writing() as connection:
            for number, scores in minutes.items():
                here = (MINUTES.c.camera == camera) & (MINUTES.c.minute == number)
                kept = connection.scalar(sa.select(MINUTES.c.scores).where(here))
                if kept is not None:
                    scores = np.where(np.isnan(scores), _scores(kept), scores)
                    connection.execute(MINUTES.update().where(here).values(scores=scores.tobytes()))
                else:
                    connection.execute(MINUTES.insert().values(camera=camera, minute=number, scores=scores.tobytes()))

    def seconds(self, camera: str, start: int, end: int) -> Scores:
        """Mean and largest score of the seconds from ``start`` to before ``end``, (2, seconds); NaN where none is."""
        first, last = start // MINUTE, -(-end // MINUTE)
        found = np.full((2, (last - first) * MINUTE), np.nan, np.float32)
        wanted = sa.select(MINUTES.c.minute, MINUTES.c.scores).where(
            MINUTES.c.camera == camera, MINUTES.c.minute >= first, MINUTES.c.minute < last
        )
        with self._reading() as connection:
            for minute, scores in connection.execute(wanted):
                found[:, (minute - first) * MINUTE : (minute - first + 1) * MINUTE] = _scores(scores)
        return found[:, start - first * MINUTE : end - first * MINUTE]

    def last_second(self, camera: str) -> float | None:
        """When a camera's last kept score was, seconds since the epoch; None where it has none."""
        newest = sa.select(MINUTES.c.minute, MINUTES.c.scores).where(MINUTES.c.camera == camera)
        with self._reading() as connection:
            row = connection.execute(newest.order_by(MINUTES.c.minute.desc()).limit(1)).first()
        if row is None:
            return None
        known = np.flatnonzero(~np.isnan(_scores(row.scores)[1]))
        return float(row.minute * MINUTE + (known[-1] if len(known) else 0))

    def forget(self, before: float) -> None:
        """Drops scores from before a time."""
        with self._writing() as connection:
            connection.execute(MINUTES.delete().where(MINUTES.c.minute < int(before) // MINUTE))

    def sweep(self, before: float, most: int) -> int:
        """Removes clips and pictures from before a time, then the oldest beyond so many bytes; gives their number.

        Those of events with a verdict stay, and all events.
        """
        kept = sa.select(EVENTS.c.key).where(EVENTS.c.verdict.is_not(None))
        with self._reading() as connection:
            judged = set(connection.scalars(kept))
        found = [path for kind in ("*.mp4", "*.jpg") for path in self.folder.glob(kind) if path.stem not in judged]
        ages = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in found)
        total, removed = sum(size for _, size, _ in ages), 0
        for written, size, path in ages:
            if written >= before and total <= most:
                break
            path.unlink(missing_ok=True)
            total, removed = total - size, removed + 1
        return removed

    def due(self, target: str, now: float, most: int) -> list[Message]:
        """What a target is to be told by now, the oldest first."""
        wanted = sa.select(OUTBOX).where(OUTBOX.c.target == target, OUTBOX.c.due <= now)
        with self._reading() as connection:
            rows = connection.execute(wanted.order_by(OUTBOX.c.id).limit(most)).all()
        return [Message(row.id, row.key, row.phase, row.event, self._picture(row.key), row.tries) for row in rows]

    def delivered(self, message_id: int) -> None:
        """Takes a message out of the outbox."""
        with self._writing() as connection:
            connection.execute(OUTBOX.delete().where(OUTBOX.c.id == message_id))

    def postponed(self, message_id: int, until: float, why: str) -> None:
        """Leaves a message for a later try."""
        later = OUTBOX.update().where(OUTBOX.c.id == message_id)
        with self._writing() as connection:
            connection.execute(later.values(due=until, why=why[:512], tries=OUTBOX.c.tries + 1))

    @property
    def waiting(self) -> int:
        """Messages that are still to be delivered."""
        with self._reading() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(OUTBOX)) or 0)

    def _picture(self, key: str) -> bytes | None:
        try:
            return (self.folder / f"{key}.jpg").read_bytes()
        except OSError:
            return None

    def _post(self, connection: sa.Connection, event: Event, phase: Phase, targets: Sequence[str]) -> None:
        for target in targets:
            told = {"key": event.key, "phase": phase, "target": target, "event": event.plain}
            connection.execute(OUTBOX.insert().values(told | {"due": time.time(), "tries": 0, "why": ""}))

    def _migrate(self) -> None:
        steps = alembic.config.Config()
        steps.set_main_option("script_location", "twostream_vad.live:migrations")
        with self._writing() as connection:
            steps.attributes["connection"] = connection
            try:
                alembic.command.upgrade(steps, "head")
            except CommandError as error:
                raise TsvadError(f"{self.shown}: a store of a newer version ({error}); use that version") from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._told():
            self._hold()
            with self._engine.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the database in our words."""
        try:
            yield
        except DBAPIError as error:
            why = hidden(str(error.orig).strip().splitlines()[0])
            passing = self._engine.name != "sqlite" or any(each in why for each in FULL)
            if error.connection_invalidated or (isinstance(error, OperationalError) and passing):
                self._let_go()
                raise UnavailableError(f"{self.shown}: {why}; it is tried again") from None
            raise TsvadError(f"{self.shown}: {why}; move it away to begin a new store") from None

    def _hold(self) -> None:
        """PostgreSQL's lock of this store, which is gone when its connection is."""
        if self._engine.name != "postgresql":
            return
        with self._turn:  # two threads that both asked for it would refuse each other
            if self._holder is not None:
                return
            holder = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            holder.detach()  # closed, it is closed
            if not holder.scalar(sa.select(sa.func.pg_try_advisory_lock(sa.func.hashtext("twostream-vad store")))):
                holder.close()
                if self._held:  # the server may not have noticed yet that the connection is gone which had the lock
                    raise UnavailableError(f"{self.shown}: another session has the store's lock; it is tried again")
                raise TsvadError(f"{self.shown}: another tsvad writes this store; give it a database of its own")
            self._holder, self._held = holder, True

    def _let_go(self) -> None:
        holder, self._holder = self._holder, None
        if holder is not None:
            with contextlib.suppress(SQLAlchemyError):
                holder.close()


def _engine(path: Path, url: str | None) -> sa.Engine:
    try:
        address = sa.make_url(f"sqlite:///{path}" if url is None else url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() not in ("sqlite", "postgresql"):
            raise TsvadError(f"{hidden(url or '')}: the store is SQLite's or PostgreSQL's; give postgresql://HOST/NAME")
        engine = sa.create_engine(address, pool_pre_ping=False, hide_parameters=True)
    except sa.exc.ArgumentError:
        raise TsvadError("the store's address is none; give postgresql://USER@HOST/NAME") from None
    except ModuleNotFoundError:
        raise TsvadError("PostgreSQL wants its driver: pip install 'twostream-vad[postgres]'") from None
    if engine.name == "sqlite":
        sa.event.listen(engine, "connect", _as_wished)
    return engine


def _as_wished(connection: sqlite3.Connection, _: object) -> None:
    """What is written stays written when the machine loses its power."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _lock(folder: Path) -> IO[str]:
    """Holds the folder. One that a killed process was just starting may still have it for a moment."""
    lock, until = (folder / ".lock").open("w"), time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() >= until:
                lock.close()
                raise TsvadError(f"{folder}: another tsvad writes there; give another --out") from None
            time.sleep(PATIENCE / 20)


def _scores(kept: bytes) -> Scores:
    return np.frombuffer(kept, np.float32).reshape(2, MINUTE)


def _event(row: Mapping[str, Any]) -> Event:
    more = row["more"]
    place, own = more.get("place"), {name: row[name] for name in OWN}
    return Event(
        **own, place=tuple(place) if place else None, zone=more.get("zone", ""), nearest=more.get("nearest", "")
    )
