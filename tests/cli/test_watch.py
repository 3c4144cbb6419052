"""`tsvad watch`: the same events as of a scored file, and an end in good order."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest

from twostream_vad import Detector
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
    begun, ended = [line for line in lines if line["kind"] == "event"]
    assert begun["key"] == ended["key"]
    assert begun["key"].startswith("gate-")
    assert (begun["end"], begun["repeats"]) == (None, None)
    assert begun["score"] == scores.fused[loud[0]]
    assert ended["score"] == scores.fused.max(initial=-np.inf, where=~np.isnan(scores.fused))
    assert ended["end"] - ended["start"] == pytest.approx(scores.times[loud[-1]] - scores.times[loud[0]], abs=1e-6)
    assert "nearest normal" in begun["nearest"] or "nothing like this" in begun["nearest"]
    states = [line["state"] for line in lines if line["kind"] == "state"]
    assert states == ["waiting for a key frame", "fine"]
    assert lines[-1] == {"kind": "summary", "camera": "gate", "read": 30, "lost": 0, "left_out": 0, "openings": 1}
    assert json.loads((tmp_path / f"{begun['key']}.json").read_text()) == {
        key: value for key, value in ended.items() if key != "kind"
    }
    picture = cv2.imread(str(tmp_path / f"{begun['key']}.jpg"))
    assert picture is not None
    assert picture.shape == next(iter(open_source(video))).image.shape


def test_cameras_of_one_detector_are_watched_together(tsvad: Tsvad, placed: Path, video: Path) -> None:
    said = tsvad("watch", placed, f"a={video}", video, "--fast", "--threshold", -100, "--cool-down", 0)
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


def test_what_cannot_be_watched_is_said(
    refused: Refused, tsvad: Tsvad, placed: Path, video: Path, tmp_path: Path
) -> None:
    assert "no camera: give an address" in refused("watch", placed)
    assert "two cameras are called a" in refused("watch", placed, f"a={video}", f"a={video}")
    assert "no such file" in refused("watch", placed, "nowhere.mp4")
    assert "a folder is no camera" in refused("watch", placed, tmp_path)
    (tmp_path / "notes.mp4").write_text("no video")
    said = tsvad("watch", placed, tmp_path / "notes.mp4")
    assert (said.returncode, said.stderr.splitlines()[-1]) == (
        2,
        f"tsvad: {tmp_path / 'notes.mp4'}: Invalid data found when processing input; give a video file, or the address "
        "of a camera",
    )
    assert "is no detector" in refused("watch", tmp_path, video)
    assert "not above the threshold" in refused("watch", placed, video, "--threshold", 1, "--release", 2)
