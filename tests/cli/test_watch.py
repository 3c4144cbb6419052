"""`tsvad watch`: the same events as of a scored file, and an end in good order."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
import sqlalchemy as sa

from twostream_vad import Detector
from twostream_vad.detector.bundle import Bundle
from twostream_vad.live.recorder import Recorder
from twostream_vad.live.store import Store
from twostream_vad.live.tables import OUTBOX
from twostream_vad.video.frames import open_source

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def video(plaza: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test video of the plaza as a file without loss."""
    path = tmp_path_factory.mktemp("watch") / "plaza.avi"
    frames = open_source(plaza / "testing/frames/01", rate=12.5)
    writer: cv2.VideoWriter | None = None
    for frame in frames:
        height, width = frame.image.shape[:2]
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 12.5, (width, height))
        writer.write(np.ascontiguousarray(frame.image[:, :, ::-1]))
    assert writer is not None
    writer.release()
    return path


@pytest.mark.parametrize("run", ["fitted", "placed", "edged", "joined"])
def test_events_are_the_alarms_of_the_scored_file(
    run: str, tsvad: Tsvad, video: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(run)
    scores = Detector.load(folder).score(video)
    threshold = float(np.nanquantile(scores.fused, 0.6))
    loud = np.flatnonzero(scores.fused >= threshold)
    said = tsvad("watch", folder, f"gate={video}", "--fast", "--json", "--threshold", threshold, "--out", tmp_path)
    assert said.returncode == 0
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    begun, ended = [line["event"] for line in lines if line["kind"] == "event"]
    assert [line["phase"] for line in lines if line["kind"] == "event"] == ["begun", "ended"]
    assert begun["key"] == ended["key"]
    assert begun["key"].startswith("gate-")
    assert (begun["end"], begun["repeats"], begun["kind"]) == (None, None, "anomaly")
    assert begun["score"] == scores.fused[loud[0]]
    assert ended["score"] == scores.fused.max(initial=-np.inf, where=~np.isnan(scores.fused))
    assert ended["end"] - ended["start"] == pytest.approx(scores.times[loud[-1]] - scores.times[loud[0]], abs=1e-6)
    assert "nearest normal" in begun["nearest"] or "nothing like this" in begun["nearest"]
    assert begun["detector"] == Bundle(folder).identity
    states = [line["state"] for line in lines if line["kind"] == "state"]
    assert states == ["waiting for a key frame", "fine"]
    assert lines[-1] == {"kind": "summary", "camera": "gate", "read": 30, "lost": 0, "left_out": 0, "openings": 1}
    with Store(tmp_path) as store:
        assert [event.plain for event in store.events()] == [ended]
        second = int(begun["start"])
        kept = store.seconds("gate", second - 60, second + 60)
        assert np.nanmax(kept[1]) == np.float32(ended["score"])
    picture = cv2.imread(str(tmp_path / f"{begun['key']}.jpg"))
    assert picture is not None
    assert picture.shape == next(iter(open_source(video))).image.shape


def test_cameras_of_one_detector_are_watched_together(tsvad: Tsvad, placed: Path, video: Path, tmp_path: Path) -> None:
    said = tsvad(
        "watch", placed, f"a={video}", video, "--fast", "--threshold", -100, "--cool-down", 0, "--out", tmp_path
    )
    assert said.returncode == 0
    assert {line.split()[1].partition("-")[0] for line in said.stdout.splitlines()} == {"a", "camera2"}
    assert len(said.stdout.splitlines()) == 4
    assert "a: 30 frames, 0 lost, 0 left out, 1 openings" in said.stderr


def test_sigterm_ends_it_in_good_order_and_no_password_is_seen(placed: Path, tmp_path: Path) -> None:
    start = "from twostream_vad.cli import main; main()"
    words = [sys.executable, "-c", start, "watch", str(placed), "gate=rtsp://guard:geheim@127.0.0.1:9/live"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "gate is gone: " in line
        began = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        out, rest = process.communicate(timeout=20)
    assert time.monotonic() - began < 2
    assert process.returncode == 0
    assert "geheim" not in line + out + rest
    assert "gate: 0 frames" in rest


def test_a_promise_of_a_few_seconds_of_video_is_said_to_be_none(
    tsvad: Tsvad, placed: Path, video: Path, tmp_path: Path
) -> None:
    said = tsvad("watch", placed, f"gate={video}", "--fast", "--per-day", 2, "--out", tmp_path)
    assert said.returncode == 0
    assert "gate: too little normal video to promise 2 false alarms a day" in said.stderr


def test_every_target_is_told_and_a_failing_one_later(tsvad: Tsvad, placed: Path, video: Path, tmp_path: Path) -> None:
    told, out = tmp_path / "told", tmp_path / "out"
    script = f"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + chr(10))"
    (tmp_path / "tell.py").write_text(script)
    works, fails = f"exec:{sys.executable} {tmp_path / 'tell.py'}", f"exec:{sys.executable} -c 'raise SystemExit(3)'"
    words = ("watch", placed, f"gate={video}", "--fast", "--threshold", -100, "--out", out)
    assert tsvad(*words, "--alert", works, "--alert", fails).returncode == 0
    messages = [json.loads(line) for line in told.read_text().splitlines()]
    assert [message["phase"] for message in messages] == ["begun", "ended"]
    assert messages[0]["event"]["camera"] == "gate"
    with Store(out) as store:
        assert store.waiting == 2


def test_a_killed_watch_loses_no_event_and_tells_none_twice(placed: Path, video: Path, tmp_path: Path) -> None:
    told, out = tmp_path / "told", tmp_path / "out"
    (tmp_path / "tell.py").write_text(f"import sys; open({str(told)!r}, 'a').write(sys.stdin.read() + chr(10))")
    start = "from twostream_vad.cli import main; main()"
    words = ["watch", str(placed), f"gate={video}", "--threshold", "-100", "--out", str(out), "--json"]
    words += ["--alert", f"exec:{sys.executable} {tmp_path / 'tell.py'}"]
    keys = []
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", start, *words], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            begun = next(event for event in map(json.loads, process.stdout) if event.get("phase") == "begun")
            keys.append(begun["event"]["key"])
            process.kill()
    with Store(out) as store:
        recorder = Recorder(store, ["later"])
        recorder.close()
        assert [event.key for event in store.events()] == keys[::-1]
        assert all(event.end is not None for event in store.events())
        own = [(each.key, each.phase) for target in {*_targets(store)} for each in store.due(target, time.time(), 99)]
    sent = [(each["key"], each["phase"]) for each in map(json.loads, filter(None, told.read_text().splitlines()))]
    assert sorted({*sent, *own}) == sorted((key, phase) for key in keys for phase in ("begun", "ended"))


def _targets(store: Store) -> list[str]:
    with store._reading() as connection:
        return list(connection.scalars(sa.select(OUTBOX.c.target)))


def test_a_plan_is_followed_as_it_changes(placed: Path, video: Path, tmp_path: Path) -> None:
    plan = tmp_path / "cameras.yaml"
    shared = f"detector: {placed}\nthreshold: -100\ncameras:\n"
    one, other = f"  one: {{address: {video}}}\n", f"  other: {{address: {video}}}\n"
    wait = "  wait: {address: 'rtsp://guard:geheim@127.0.0.1:9/live'}\n"
    plan.write_text(shared + one + wait)
    start = "from twostream_vad.cli import main; main()"
    words = [sys.executable, "-c", start, "watch", str(plan), "--out", str(tmp_path / "out"), "--metrics", "0"]
    service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # systemd's end
    service.bind(str(tmp_path / "notify"))
    service.settimeout(60)
    with (
        service,
        subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
        ) as process,
    ):
        assert process.stderr is not None
        assert service.recv(100) == b"READY=1"
        assert service.recv(100) == b"WATCHDOG=1"
        said = [process.stderr.readline()]
        port = int(said[0].rpartition(":")[2].partition("/")[0])

        def until(word: str) -> None:
            while word not in said[-1]:
                said.append(process.stderr.readline())  # type: ignore[union-attr]
                assert said[-1], said

        until("one is fine")
        assert b"well" in urlopen(f"http://127.0.0.1:{port}/healthz").read()
        plan.write_text(shared.replace("threshold", "treshold") + one)
        until("cameras.yaml, line 2: unknown key treshold")
        plan.write_text(shared + one + wait + other)
        until("3 cameras")
        until("other is fine")
        numbers = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        assert 'tsvad_frames_read_total{camera="one"}' in numbers
        assert 'tsvad_fine{camera="wait"} 0.0' in numbers
        assert sum("one is fine" in line for line in said) == 1  # it was left alone
        process.send_signal(signal.SIGTERM)
        while service.recv(100) != b"STOPPING=1":
            pass
        out, rest = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "geheim" not in "".join(said) + out + rest + numbers
    kept = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"geheim" in path.read_bytes() for path in kept)


def test_what_cannot_be_watched_is_said(
    refused: Refused, tsvad: Tsvad, placed: Path, video: Path, tmp_path: Path
) -> None:
    assert "no camera: give an address" in refused("watch", placed)
    assert "two cameras are called a" in refused("watch", placed, f"a={video}", f"a={video}")
    assert "no such file" in refused("watch", placed, "nowhere.mp4")
    assert "a folder is no camera" in refused("watch", placed, tmp_path)
    (tmp_path / "notes.mp4").write_text("no video")
    said = tsvad("watch", placed, tmp_path / "notes.mp4", "--out", tmp_path / "out")
    assert (said.returncode, said.stderr.splitlines()[-1]) == (
        2,
        f"tsvad: {tmp_path / 'notes.mp4'}: Invalid data found when processing input; give a video file, or the address "
        "of a camera",
    )
    assert "is no detector" in refused("watch", tmp_path, video, "--out", tmp_path / "out")
    assert "not above the threshold" in refused(
        "watch", placed, video, "--threshold", 1, "--release", 2, "--out", tmp_path / "out"
    )
    assert "give one of them" in refused("watch", placed, video, "--threshold", 1, "--per-day", 2)
    assert "names the cameras" in refused("watch", "cameras.yaml", video)
    assert "exec:PROGRAM" in refused("watch", placed, video, "--alert", "ftp://x", "--out", tmp_path / "out")
    assert "another port" in refused("watch", placed, video, "--metrics", 70000, "--out", tmp_path / "out")
