"""The store: the same facts of SQLite and of PostgreSQL."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from twostream_vad.errors import TsvadError
from twostream_vad.live.events import Event, Phase
from twostream_vad.live.recorder import Recorder
from twostream_vad.live.store import MINUTE, Store, UnavailableError
from twostream_vad.live.tables import METADATA

EVENT = Event("gate-1", "gate", 100.25, None, 101.5, 3.5, 2.0, "recovery", (0.25, 0.5), "door", "training 01", None)
Made = Callable[..., Store]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binaries() -> Path | None:
    """Where PostgreSQL's server is; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).parent if there else None


class Postgres:
    """A PostgreSQL of one's own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        where = binaries()
        assert where is not None
        self.binaries, self.data, self.port = where, folder / "data", free_port()
        self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
        if self.as_user:
            shutil.chown(folder, "postgres", "postgres")
            for parent in folder.parents[:3]:  # pytest's folders are this user's alone
                parent.chmod(parent.stat().st_mode | 0o011)
        self._run("initdb", "-D", str(self.data), "-U", "guard", "--auth=trust", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        """Of its database."""
        return f"postgresql://guard:geheim@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Starts it; waits until it answers."""
        words = [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*self.as_user, *words, "-k", str(self.data), "-c", "fsync=off"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        until = time.monotonic() + 30
        ready = [*self.as_user, str(self.binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        while subprocess.run(ready, cwd="/", check=False).returncode and time.monotonic() < until:
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills it as a power failure would."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def _run(self, name: str, *words: str) -> None:
        subprocess.run([*self.as_user, str(self.binaries / name), *words], check=True, capture_output=True, cwd="/")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    found = Postgres(tmp_path_factory.mktemp("postgres"))
    yield found
    found.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def made(request: pytest.FixtureRequest) -> Made:
    """Opens a store in a folder; PostgreSQL's has been emptied before."""
    if request.param == "sqlite":
        return Store
    url = request.getfixturevalue("server").url
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for table in ("alembic_version", *METADATA.tables):
            connection.execute(sa.text(f"drop table if exists {table}"))
    engine.dispose()
    return lambda folder, **how: Store(folder, url, **how)


def test_an_event_is_kept_as_it_began_and_as_it_ended(made: Made, tmp_path: Path) -> None:
    ended = replace(EVENT, end=110.0, score=4.5, peak=105.0, stream="retrieval")
    with made(tmp_path) as store:
        store.begin(EVENT, [])
        assert store.events() == store.events(open_only=True) == [EVENT]
        store.end(ended, [])
        assert store.events(open_only=True) == []
    with made(tmp_path) as store:
        assert store.events(camera="gate") == [ended]
        assert store.events(camera="door") == []


def test_what_is_kept_twice_is_there_once_and_told_once(made: Made, tmp_path: Path) -> None:
    ended = replace(EVENT, end=110.0)
    with made(tmp_path) as store:
        for _ in range(2):
            store.begin(EVENT, ["here"])
        for _ in range(2):
            store.end(ended, ["here"])
        store.begin(EVENT, ["here"])
        assert store.events() == [ended]
        assert [(each.key, each.phase) for each in store.due("here", time.time(), 9)] == [
            ("gate-1", "begun"),
            ("gate-1", "ended"),
        ]


def test_a_message_waits_until_it_is_delivered(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as store:
        store.begin(EVENT, ["here", "there"])
        (tmp_path / "gate-1.jpg").write_bytes(b"picture")
    with made(tmp_path) as store:
        now = time.time()
        (message,) = store.due("here", now, 9)
        assert (message.event["place"], message.picture, message.tries) == ([0.25, 0.5], b"picture", 0)
        store.postponed(message.id, now + 60, "x" * 1000)
        assert store.due("here", now + 59, 9) == []
        assert store.due("here", now + 60, 9)[0].tries == 1
        store.delivered(message.id)
        assert (store.due("here", now + 99, 9), store.waiting) == ([], 1)


def test_what_is_noted_is_added_to_what_is_kept(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as store:
        store.begin(EVENT, [])
        store.note("gate-1", clip="gate-1.mp4")
        store.note("nobody", clip="x")
        assert store.events() == [EVENT]


def test_scores_are_read_as_they_were_written(made: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    start = 1_000_000_007
    truth = np.full((2, 400), np.nan, np.float32)
    with made(tmp_path) as store:
        for block in range(0, 400, 7):
            seconds = rng.permutation(np.arange(block, min(block + 7, 400)))[:5]
            values = rng.normal(size=(len(seconds), 2)).astype(np.float32)
            truth[:, seconds] = values.T
            store.add_seconds("gate", {start + int(at): (a, b) for at, (a, b) in zip(seconds, values, strict=True)})
        np.testing.assert_array_equal(store.seconds("gate", start, start + 400), truth)
        assert np.isnan(store.seconds("door", start, start + 400)).all()
        assert store.last_second("gate") == start + np.flatnonzero(~np.isnan(truth[1]))[-1]
        assert store.last_second("door") is None
        store.forget(start + 200)
        left = store.seconds("gate", start, start + 400)
        first = np.flatnonzero(~np.isnan(left[0]))[0]
        assert 200 - MINUTE <= first <= 200


def test_a_store_that_is_being_written_can_be_read(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as store:
        store.begin(EVENT, ["here"])
        store.add_seconds("gate", {100: (0.5, 1.5)})
        with made(tmp_path, reading=True) as looked_at:
            assert looked_at.events() == [EVENT]
            assert looked_at.seconds("gate", 100, 101).tolist() == [[0.5], [1.5]]
            store.end(replace(EVENT, end=110.0), [])
            assert looked_at.events(open_only=True) == []
        store.begin(replace(EVENT, key="gate-2"), [])
    with made(tmp_path) as again:
        assert len(again.events()) == 2


def test_where_no_store_is_none_is_made_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(TsvadError, match=r"holds no events.db: give the folder that `tsvad watch --out` writes"):
        Store(tmp_path, reading=True)
    assert list(tmp_path.iterdir()) == []


def test_old_files_and_those_beyond_a_size_go_and_judged_ones_stay(tmp_path: Path) -> None:
    now = time.time()
    with Store(tmp_path) as store:
        for number in range(6):
            store.begin(replace(EVENT, key=f"k{number}"), [])
            for kind in ("mp4", "jpg"):
                path = tmp_path / f"k{number}.{kind}"
                path.write_bytes(b"x" * 100)
                os.utime(path, (now - 60 + number, now - 60 + number))
        with store._writing() as connection:
            connection.execute(sa.text("update events set verdict = 'anomaly' where key = 'k0'"))
        assert store.sweep(now - 58, 10**9) == 2
        assert {path.stem for path in tmp_path.glob("*.mp4")} == {"k0", "k2", "k3", "k4", "k5"}
        assert store.sweep(now - 100, 400) == 4
        assert {path.stem for path in tmp_path.glob("*.jpg")} == {"k0", "k4", "k5"}
        assert len(store.events()) == 6


def test_only_one_process_writes_a_store(made: Made, tmp_path: Path) -> None:
    with made(tmp_path / "a"), pytest.raises(TsvadError, match="another tsvad writes"):
        made(tmp_path / "a")


def test_a_database_is_written_by_one_process_whatever_its_folder(server: Postgres, tmp_path: Path) -> None:
    with Store(tmp_path / "a", server.url), pytest.raises(TsvadError, match="another tsvad writes") as raised:
        Store(tmp_path / "b", server.url)
    assert "geheim" not in str(raised.value)


def test_threads_that_write_after_an_outage_share_its_lock(server: Postgres, tmp_path: Path) -> None:
    def deliver(number: int) -> None:
        """As a courier does; the server may take a moment to notice that the connection with the lock is gone."""
        for _ in range(200):
            try:
                return store.delivered(number)
            except UnavailableError:
                time.sleep(0.05)
        raise AssertionError("it was never available again")

    with Store(tmp_path, server.url) as store, ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            store._let_go()
            list(pool.map(deliver, range(8)))


def test_a_lock_that_another_session_has_after_an_outage_is_waited_for(server: Postgres, tmp_path: Path) -> None:
    with Store(tmp_path, server.url) as store:
        lock = sa.text("select pg_advisory_lock(hashtext('twostream-vad store'))")  # waits until it is let go
        engine = sa.create_engine(server.url.replace("postgresql:", "postgresql+psycopg:"))
        store._let_go()
        with engine.connect() as other:
            other.execute(lock)
            with pytest.raises(UnavailableError, match="another session has the store's lock; it is tried again"):
                store.delivered(1)
            other.detach()
        engine.dispose()
        for _ in range(200):
            with contextlib.suppress(UnavailableError):
                store.delivered(1)
                break
            time.sleep(0.05)
        store.delivered(1)


def test_a_newer_store_is_refused(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as store, store._writing() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(TsvadError, match="newer version"):
        made(tmp_path)


def test_migrations_end_in_the_tables_that_are_used(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as store, store._reading() as connection:
        found = sa.inspect(connection)
        for name, table in METADATA.tables.items():
            assert {each["name"] for each in found.get_columns(name)} == {each.name for each in table.columns}
            assert {each["name"] for each in found.get_indexes(name)} >= {each.name for each in table.indexes}


def test_what_is_no_store_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"x" * 5000)
    with pytest.raises(TsvadError, match=r"events\.db: .*not a database"):
        Store(tmp_path)
    with pytest.raises(TsvadError, match="PostgreSQL"):
        Store(tmp_path / "b", "mysql://guard:geheim@host/name")


def test_a_month_of_four_cameras_is_small_and_a_day_is_read_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with Store(tmp_path) as store:
        rows = [
            {
                "camera": f"camera{camera}",
                "minute": minute,
                "scores": rng.normal(size=(2, MINUTE)).astype("f4").tobytes(),
            }
            for camera in range(4)
            for minute in range(1440)
        ]
        with store._writing() as connection:
            connection.execute(METADATA.tables["minutes"].insert(), rows)
        began = time.perf_counter()
        assert not np.isnan(store.seconds("camera1", 0, 86400)).any()
        assert time.perf_counter() - began < 0.5  # 0.05 where nothing else is at work: bench/store.py
    size = (tmp_path / "events.db").stat().st_size
    assert 30 * size < 500e6


def told_of(store: Store) -> tuple[Recorder, list[tuple[str, Phase]]]:
    said: list[tuple[str, Phase]] = []
    return Recorder(store, ["here"], lambda event, phase: said.append((event.key, phase))), said


def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds; fails after 20 seconds."""
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_an_event_is_on_the_disk_before_it_is_said(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        seen: list[bool] = []
        recorder = Recorder(store, [], lambda event, _: seen.append(store.events()[0].key == event.key))
        recorder.begin(EVENT, b"picture")
        recorder.close()
        assert seen == [True]
        assert (tmp_path / "gate-1.jpg").read_bytes() == b"picture"


def test_what_a_killed_process_left_open_ends_with_its_cameras_last_score(made: Made, tmp_path: Path) -> None:
    with made(tmp_path) as store:
        store.begin(EVENT, ["here"])
        store.add_seconds("gate", {100: (1, 2), 130: (1, 2)})
    with made(tmp_path) as store:
        recorder, said = told_of(store)
        recorder.close()
        assert said == [("gate-1", "ended")]
        assert store.events()[0].end == 130
        assert [each.phase for each in store.due("here", time.time(), 9)] == ["begun", "ended"]


def test_events_wait_while_the_database_is_gone_and_none_is_lost(server: Postgres, tmp_path: Path) -> None:
    with Store(tmp_path, server.url) as store:
        recorder, said = told_of(store)
        recorder.begin(replace(EVENT, key="before"), None)
        until(lambda: len(said) == 1)
        server.kill()
        for number in range(5):
            recorder.begin(replace(EVENT, key=f"event{number}"), b"picture")
            recorder.end(replace(EVENT, key=f"event{number}", end=200.0))
        until(lambda: recorder.held_up != "")
        assert len(said) == 1
        assert "geheim" not in recorder.held_up
        server.start()
        until(lambda: len(said) == 11)
        recorder.close()
        assert recorder.failure is None
        assert {event.key for event in store.events()} >= {f"event{number}" for number in range(5)}
        with pytest.raises(TsvadError, match="another tsvad writes"):  # it has the lock again
            Store(tmp_path / "b", server.url)


def test_events_wait_while_the_disk_is_full_and_none_is_lost(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        with store._reading() as connection:
            pages = connection.scalar(sa.text("pragma page_count"))
        sa.event.listen(store._engine, "checkout", lambda raw, *_: raw.execute(f"pragma max_page_count={limit[0]}"))
        limit = [pages]
        recorder, said = told_of(store)
        for number in range(50):
            recorder.begin(replace(EVENT, key=f"event{number}", nearest="x" * 500), None)
        until(lambda: "full" in recorder.held_up)
        before = len(said)
        assert before < 50
        limit[0] = 1 << 30
        until(lambda: len(said) == 50)
        recorder.close()
        assert len(store.events(most=99)) == 50


def test_a_seconds_mean_and_largest_score_are_kept(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        recorder, _ = told_of(store)
        now = int(time.time())
        for moment, score in ((0.0, 1.0), (0.5, 2.0), (0.9, np.nan), (1.0, -1.0)):
            recorder.score("gate", now + moment, score)
        recorder.close()
        np.testing.assert_array_equal(
            store.seconds("gate", now - 1, now + 3), [[np.nan, 1.5, -1, np.nan], [np.nan, 2, -1, np.nan]]
        )


def test_a_process_that_is_killed_at_any_time_leaves_a_whole_store(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from twostream_vad.live.store import Store; "
        "from twostream_vad.live.events import Event\n"
        "with Store(Path(sys.argv[1])) as store:\n"
        "  for n in range(int(sys.argv[2]), 10**6):\n"
        "    store.begin(Event(f'k{n}', 'gate', n, None, n, 1, 1), ['here']); print(n, flush=True)"
    )
    last = -1
    for _ in range(3):
        words = [sys.executable, "-c", script, str(tmp_path), str(last + 1)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last = int(line)
                if last % 20 == 19:
                    process.kill()
        with Store(tmp_path) as store:
            kept = {event.key for event in store.events(most=10**6)}
            assert kept >= {f"k{number}" for number in range(last + 1)}
            assert len(kept) == store.waiting
            last = len(kept) - 1
