"""Cameras behind a real RTSP server, GStreamer's: the frames of the file, to the bit."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from twostream_vad.live.address import Address
from twostream_vad.live.camera import Camera, Health, LiveFrame
from twostream_vad.video.frames import open_source

SERVER = Path(__file__).parents[2] / "bench/rtsp.py"
PYTHON = "/usr/bin/python3"  # Debian's, which has GStreamer's bindings
FRAMES = 60
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise that moves, which no frame is like another of; H.264."""
    path, rng = tmp_path_factory.mktemp("rtsp") / "film.mp4", np.random.default_rng(1)
    ground = rng.integers(0, 255, (144, 256, 3), dtype=np.uint8).repeat(2, 0)[:144]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv420p"
        for number in range(FRAMES):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(ground, 3 * number, 1), format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def address(film: Path) -> Iterator[str]:
    """Of the film at a server that wants a login, without it."""
    probe = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not shutil.which(PYTHON) or subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("GStreamer's RTSP server is not installed (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi)")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    words = [PYTHON, str(SERVER), str(port), f"film={film}", "--login", "guard:geheim"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield f"127.0.0.1:{port}/film"
        server.kill()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_are_those_of_the_file(transport: Literal["tcp", "udp"], film: Path, address: str) -> None:
    shown = [frame.image.tobytes() for frame in open_source(film)]
    found: list[LiveFrame] = []
    with Camera(Address.parse(f"rtsp://guard:geheim@{address}"), transport=transport) as camera:
        while (frame := camera.take(20.0)) is not None and frame.opened == 1:
            found.append(frame)
        assert camera.rate == 25
    images = [frame.image.tobytes() for frame in found if frame.image is not None]
    if transport == "udp":  # of which packets may be lost
        assert len(images) > FRAMES / 2
        return
    assert images == shown
    times = [frame.time for frame in found if frame.time is not None]
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=0.005)


def test_a_wrong_password_is_said_and_not_shown(address: str, until: Until) -> None:
    told: list[Health] = []
    with Camera(Address.parse(f"rtsp://guard:geheim2@{address}"), changed=told.append):
        until(lambda: any(health.state == "gone" for health in told))
    assert "401" in next(health.why for health in told if health.state == "gone")
    assert not any("geheim" in health.why for health in told)


def test_a_clip_of_the_stream_is_the_streams_own_packets(
    film: Path, address: str, tmp_path: Path, until: Until
) -> None:
    done: list[str] = []
    shown = {frame.image.tobytes() for frame in open_source(film)}
    with Camera(Address.parse(f"rtsp://guard:geheim@{address}")) as camera:
        first = camera.take(20.0)
        assert first is not None
        camera.clip(tmp_path / "a.mp4", first.arrived, done.append)
        while camera.take(0.5) is not None and camera.counts.read < 40:
            pass
        camera.end_clip(tmp_path / "a.mp4", 0.0)
        until(lambda: bool(done))
    assert done == [""]
    images = [frame.image.tobytes() for frame in open_source(tmp_path / "a.mp4")]
    assert len(images) >= 35
    assert set(images) <= shown
