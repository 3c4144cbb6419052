"""Cameras that behave, stall, hang up, crash and change; no test waits longer than a camera's own time-outs."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from twostream_vad.live import camera as module
from twostream_vad.live.address import Address
from twostream_vad.live.camera import Camera, Health, LiveFrame, Look, Timeouts
from twostream_vad.live.decoder import FINISH, Arrivals
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


def played(path: Path, codec: str = "libx264", frames: int = 90, rotation: int = 0, **options: str) -> Path:
    """A video of 25 frames a second with a key frame every 10, no two of them alike."""
    with av.open(str(path), "w") as out:
        options = {"g": "10", "bf": "0", "sc_threshold": "0"} | options
        stream: Any = out.add_stream(codec, rate=25, options=options)
        if rotation:
            stream.set_display_rotation(rotation)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for index in range(frames):
            image = np.full((48, 64, 3), 60 + 2 * index % 120, np.uint8)
            image[10:20, index % 40 : index % 40 + 10] = 220
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def images_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_clip_has_the_frames_of_its_span_to_the_bit_from_a_key_frame_on(tmp_path: Path, until: Until) -> None:
    source, path, told = played(tmp_path / "a.mkv"), tmp_path / "clip.mp4", list[str]()
    with Camera(Address.parse(str(source))) as camera:
        found = taken(camera, 40)
        began = min(
            frame.arrived - index / 25 for index, frame in enumerate(found)
        )  # a busy machine is late, not early
        start, end = began + 25.5 / 25, began + 59.5 / 25
        camera.clip(path, start, told.append)
        camera.end_clip(path, end)
        found += taken(camera, 100)
        until(lambda: bool(told))
    assert told == [""]
    wanted, images = images_of(source), images_of(path)
    first = next(index for index, image in enumerate(wanted) if np.array_equal(image, images[0]))
    last = first + len(images) - 1
    assert first % 10 == 0
    assert first <= 25 < last
    assert found[first + 10].arrived > start
    assert end <= found[last].arrived < found[89].arrived
    assert all(np.array_equal(image, other) for image, other in zip(images, wanted[first : last + 1], strict=True))


def test_clips_are_finished_when_a_file_ends(tmp_path: Path, until: Until) -> None:
    source, path, told = played(tmp_path / "a.mkv", frames=30), tmp_path / "clip.mp4", list[str]()
    with Camera(Address.parse(str(source))) as camera:
        taken(camera, 5)
        camera.clip(path, 0.0, told.append)
        assert len(taken(camera, 100)) == 25
        until(lambda: camera.ended)
        assert told == [""]
        camera.clip(tmp_path / "late.mp4", 0.0, told.append)
        assert told == ["", "the camera is gone"]
    assert len(images_of(path)) == 30


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_what_there_is_of_a_clip_is_kept_when_the_connection_is_lost(
    served: Serve, tmp_path: Path, until: Until, codec: str
) -> None:
    source, path, told = played(tmp_path / "a.mkv", codec, 60), tmp_path / "clip.mp4", list[str]()
    server = served(source.read_bytes(), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 3)) as camera:
        taken(camera, 50)
        camera.clip(path, 0.0, told.append)
        until(lambda: bool(told))
    assert told == [""]
    images = images_of(path)
    assert 50 <= len(images) <= 60
    for image, other in zip(images, images_of(source), strict=False):
        assert np.mean((image.astype(float) - other) ** 2) < 255**2 / 10**3.2  # a PSNR of 32
    for secret in (b"guard", b"geheim", b"127.0.0.1"):
        assert secret not in path.read_bytes()


def writing(camera: Camera, folder: Path, until: Until) -> list[str]:
    """A clip that is being written, and what will be told of it."""
    told: list[str] = []
    taken(camera, 40)
    camera.clip(folder / "clip.mp4", 0.0, told.append)
    until(lambda: bool(list(folder.iterdir())))
    return told


def test_nothing_is_left_of_a_clip_whose_decoder_is_killed(
    served: Serve, stream: Stream, tmp_path: Path, until: Until
) -> None:
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 20)) as camera:
        told = writing(camera, tmp_path, until)
        assert camera._process is not None
        os.kill(camera._process.pid, signal.SIGKILL)
        until(lambda: bool(told))
    assert told == ["its decoder has crashed (-9)"]
    assert list(tmp_path.iterdir()) == []


def test_a_camera_that_is_closed_finishes_its_clips(
    served: Serve, stream: Stream, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FINISH", 20.0)  # a busy disk may take more than a second
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 20)) as camera:
        told = writing(camera, tmp_path, until)
        camera.close()
    assert told == [""]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert len(images_of(tmp_path / "clip.mp4")) >= 40


def test_a_camera_whose_decoder_hangs_is_closed_soon_and_drops_its_clips(
    served: Serve, stream: Stream, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FINISH <= 1.0
    monkeypatch.setattr(module, "FINISH", 0.2)
    server = served(stream(60), stalls=True)
    with Camera(Address.parse(server.address), timeouts=Timeouts(5, 20)) as camera:
        told = writing(camera, tmp_path, until)
        assert camera._process is not None
        os.kill(camera._process.pid, signal.SIGSTOP)
        began = time.monotonic()
        camera.close()
    assert time.monotonic() - began < 2.0
    assert told == ["the camera was closed"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the system limits no other process")
def test_a_full_disk_costs_the_clip_and_no_frame(tmp_path: Path, until: Until) -> None:
    source, told = played(tmp_path / "a.mkv"), list[str]()
    with Camera(Address.parse(str(source)), paced=False) as camera:
        found = taken(camera, 10)
        assert camera._process is not None
        resource.prlimit(camera._process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        camera.clip(tmp_path / "clip.mp4", 0.0, told.append)
        until(lambda: len(list(tmp_path.iterdir())) == 2)
        camera.end_clip(tmp_path / "clip.mp4", 0.0)
        found += taken(camera, 100)
        until(lambda: bool(told))
    assert told == ["File too large"]
    assert (len(found), camera.counts.openings, list(tmp_path.iterdir())) == (90, 1, [source])


@pytest.mark.parametrize(
    "how", [{"rotation": 90}, {"rotation": 180}, {"x264-params": "interlaced=1:tff=1"}], ids=["90", "180", "interlaced"]
)
def test_pictures_are_turned_upright_and_lose_their_comb_as_those_of_files_do(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    source = played(tmp_path / "a.mp4", frames=20, **how)
    with Camera(Address.parse(str(source)), paced=False) as camera:
        found = taken(camera, 100)
    wanted = list(open_source(source))
    assert len(found) == len(wanted) == 20
    for frame, other in zip(found, wanted, strict=True):
        assert frame.image is not None
        assert np.array_equal(frame.image, other.image)
        assert frame.time == pytest.approx(other.time, abs=1e-3)
