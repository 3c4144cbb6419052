"""`tsvad learn`: a camera is recorded, learned from, and watched with what was learned."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import av
import numpy as np
import pytest

from twostream_vad.live import tape
from twostream_vad.live.tape import files
from twostream_vad.video.frames import open_source

Tsvad = Callable[..., CompletedProcess[str]]
RATE = 10


@pytest.fixture(scope="module")
def video(plaza: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds of the plaza, H.264, a key frame every half second."""
    path = tmp_path_factory.mktemp("learn") / "plaza.mp4"
    images = [frame.image for name in ("01", "02", "03") for frame in open_source(plaza / "training/frames" / name)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "5", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for image in images[: 9 * RATE]:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "MINUTE", 2.0)
    monkeypatch.setattr(tape, "SHORTEST", 1.0)


def test_a_camera_is_learned_and_then_watched(tsvad: Tsvad, video: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "cam"
    said = tsvad("learn", video, out, "--hours", 7 / 3600, "--recipe", tiny_recipe)
    assert said.returncode == 0, said.stderr
    assert f"next: tsvad watch {out / 'run'}" in said.stderr
    assert len(files(out / "recording")) >= 3
    recorded = [frame.image for path in files(out / "recording") for frame in open_source(path)]
    shown = {frame.image.tobytes() for frame in open_source(video)}
    assert all(image.tobytes() in shown for image in recorded)  # packets were copied
    assert tsvad("watch", out / "run", video, "--fast", "--out", tmp_path / "watch").returncode == 0


def test_a_recording_goes_on_where_it_was_stopped(tsvad: Tsvad, video: Path, tiny_recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "cam"
    assert "less than can be learned" in tsvad("learn", video, out, "--hours", 3 / 3600).stderr
    before = files(out / "recording")
    assert 0 < len(before) < 3
    (out / "recording" / ".x.mp4.part").write_bytes(b"of a killed process")
    assert tsvad("learn", video, out, "--hours", 7 / 3600, "--recipe", tiny_recipe).returncode == 0
    assert files(out / "recording")[: len(before)] == before
    assert not list((out / "recording").glob(".*"))


def test_a_minute_in_trouble_is_left_out(tsvad: Tsvad, tmp_path: Path) -> None:
    path = tmp_path / "dark.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"g": "5"})
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for _ in range(5 * RATE):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((96, 128, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    tape.MINUTE = 4.5
    said = tsvad("learn", path, tmp_path / "cam", "--hours", 10 / 3600)
    assert said.returncode == 2
    assert "left out: the picture is black" in said.stderr
    assert files(tmp_path / "cam" / "recording") == []


def test_the_disk_that_it_may_take_is_a_bound(tsvad: Tsvad, video: Path, tmp_path: Path) -> None:
    said = tsvad("learn", video, tmp_path / "cam", "--disk", 1e-6)
    assert said.returncode == 2
    assert len(files(tmp_path / "cam" / "recording")) == 1
