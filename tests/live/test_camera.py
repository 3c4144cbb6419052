"""Cameras that behave, stall, hang up, crash and change; no test waits longer than a camera's own time-outs."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twostream_vad.live import camera as module
from twostream_vad.live.address import Address
from twostream_vad.live.camera import Camera, Health, LiveFrame, Look, Timeouts
from twostream_vad.live.decoder import Arrivals
from twostream_vad.video.frames import open_source

Serve = Callable[..., Any]
Stream = Callable[..., bytes]
Until = Callable[[Callable[[], bool]], None]
QUICK = Timeouts(3.0, 1.0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("FIRST_WAIT", 0.1), ("QUIET", 0.3), ("GRACE", 1.0)):
        monkeypatch.setattr(module, name, seconds)


def taken(camera: Camera, count: int) -> list[LiveFrame]:
    found: list[LiveFrame] = []
    while len(found) < count and (frame := camera.take(20.0)) is not None:
        found.append(frame)
    return found


def test_a_file_gives_each_frame_as_a_second_reader_does(recording: Path) -> None:
    wanted = list(open_source(recording))
    with Camera(Address.parse(str(recording)), paced=False) as camera:
        found = taken(camera, 100)
        assert camera.ended
    assert len(found) == len(wanted) == 40
    for frame, other in zip(found, wanted, strict=True):
        assert frame.image is not None
        assert np.array_equal(frame.image, other.image)
        assert frame.time == pytest.approx(other.time, abs=1e-3)
    assert (camera.counts.read, camera.counts.lost, camera.counts.left_out) == (40, 0, 0)


def test_a_paced_file_takes_its_own_time(recording: Path) -> None:
    with Camera(Address.parse(str(recording))) as camera:
        found = taken(camera, 40)
    assert found[-1].arrived - found[0].arrived >= 39 / 25 - 0.1


def test_a_camera_that_hangs_up_is_opened_again_and_says_so(served: Serve, stream: Stream) -> None:
    told: list[Health] = []
    server = served(stream(10), stream(15))
    with Camera(Address.parse(server.address), timeouts=QUICK, changed=told.append) as camera:
        found = taken(camera, 25)
    assert {frame.opened for frame in found} == {1, 2}
    states = [health.state for health in told]
    assert states[:5] == ["waiting for a key frame", "fine", "gone", "opening", "waiting for a key frame"]
    assert all(health.why for health in told if health.state == "gone")


def test_a_camera_that_falls_silent_is_given_up_and_opened_again(served: Serve, stream: Stream) -> None:
    told: list[Health] = []
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=QUICK, changed=told.append) as camera:
        found = taken(camera, 70)
    assert found[-1].opened >= 2
    assert "silent" in [health.state for health in told]


def test_a_decoder_that_is_killed_takes_nothing_else_down(served: Serve, stream: Stream, until: Until) -> None:
    told: list[Health] = []
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 20), changed=told.append) as camera:
        taken(camera, 30)
        assert camera._process is not None
        os.kill(camera._process.pid, signal.SIGKILL)
        until(lambda: camera.counts.openings == 2 and len(taken(camera, 1)) == 1)
    assert any(health.why == "its decoder has crashed (-9)" for health in told)


def test_a_decoder_that_hangs_is_replaced(served: Serve, stream: Stream, until: Until) -> None:
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=QUICK) as camera:
        taken(camera, 20)
        assert camera._process is not None
        os.kill(camera._process.pid, signal.SIGSTOP)
        until(lambda: camera.counts.openings == 2)


def test_another_size_is_another_opening(served: Serve, stream: Stream) -> None:
    server = served(stream(10), stream(10, width=80))
    with Camera(Address.parse(server.address), timeouts=QUICK) as camera:
        found = taken(camera, 20)
    assert {(frame.opened, frame.image.shape) for frame in found if frame.image is not None} == {
        (1, (48, 64, 3)),
        (2, (48, 80, 3)),
    }


def test_garbage_is_no_stream_and_hurts_nobody(served: Serve, until: Until) -> None:
    told: list[Health] = []
    server = served(bytes(np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8)))
    with Camera(Address.parse(server.address), timeouts=QUICK, changed=told.append) as camera:
        until(lambda: camera.counts.openings >= 2)
    assert camera.counts.read == camera.counts.lost
    assert told[-1].state in ("gone", "opening")


def test_when_scoring_falls_behind_all_that_waits_is_left_out_and_counted(
    served: Serve, stream: Stream, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(module, "WAITING", 8)
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 20)) as camera:
        until(lambda: camera.counts.read >= 50)
        read = camera.counts.read
        first = camera.take(1.0)
    assert first is not None
    assert first.left_out % 8 == 0
    assert 0 < first.left_out <= camera.counts.left_out < read


def test_nobody_can_read_the_password(served: Serve, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSVAD_CAMERA_LOGIN", "guard:geheim")
    told: list[Health] = []
    server = served(stream(30), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 20), changed=told.append) as camera:
        taken(camera, 10)
        assert camera._process is not None
        folder = Path(f"/proc/{camera._process.pid}")
        seen = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert b"geheim" not in seen
    assert "geheim" not in listed + repr(told) + repr(camera.address)


def test_states_by_the_pictures() -> None:
    look, image, other = Look(), np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 9, np.uint8)
    assert look.state(image, 0.0, 10.0) == "fine"
    assert look.state(image, 9.0, None) == "fine"
    assert look.state(image, 10.5, None) == "frozen"
    assert look.state(other, 11.0, None) == "fine"
    few = Look()
    found = [few.state(image if step % 2 else other, step / 4, 10.0) for step in range(60)]
    assert (found[0], found[-1]) == ("fine", "slow")


def test_stamps_are_believed_as_long_as_they_keep_time() -> None:
    good, constant, absurd = Arrivals(), Arrivals(), Arrivals()
    for step in range(400):
        now = step / 25
        assert good.read(5.0 + now, 100 + now) == 5.0 + now
        constant.read(7.0, 100 + now)
        absurd.read(5.0 + 1000 * now, 100 + now)
    assert (good.believed, constant.believed, absurd.believed) == (True, False, False)
    assert constant.read(7.0, 300.0) == 300.0
