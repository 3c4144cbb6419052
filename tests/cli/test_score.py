"""`tsvad score RUN VIDEO`: any shape of video, folder or file, into a CSV and a picture."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import av
import cv2
import numpy as np
import pytest

from twostream_vad.scores.files import read_scores
from twostream_vad.video.frames import ImageFolder

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

COLUMNS = ["frame", "time", "recovery", "retrieval", "fused", "causal", "recovery_raw", "retrieval_raw"]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == COLUMNS
        return list(reader)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A square video file of 26 frames at 10 a second."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for index in range(26):
            image = np.full((96, 96, 3), 80, np.uint8)
            image[30:60, 2 * index : 2 * index + 20] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_a_square_video_file_has_a_row_a_frame_and_a_picture(tsvad: Tsvad, fitted: Path, clip: Path) -> None:
    out = clip.with_name("scores.csv")
    said = tsvad("score", fitted, clip, "--out", out)
    assert said.returncode == 0
    rows = read_csv(out)
    assert [int(row["frame"]) for row in rows] == list(range(26))
    np.testing.assert_allclose([float(row["time"]) for row in rows], np.arange(26) / 10, atol=1e-3)
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture is not None
    assert picture.std() > 5
    worst = max(rows, key=lambda row: float(row["fused"]))
    assert said.stdout.startswith(f"26 frames; most anomalous: frame {worst['frame']} at ")
    assert len(said.stderr.splitlines()) == 1
    assert "at or above the alarm threshold" in said.stdout.splitlines()[1]
    assert said.stdout.splitlines()[2:] == [str(out), str(out.with_suffix(".png"))]


def test_raw_scores_stand_at_their_frames_and_are_empty_elsewhere(tsvad: Tsvad, fitted: Path, clip: Path) -> None:
    tsvad("score", fitted, clip, "--out", clip.with_suffix(".csv"))
    rows = read_csv(clip.with_suffix(".csv"))
    assert [bool(row["recovery_raw"]) for row in rows] == [frame >= 8 for frame in range(26)]
    assert [bool(row["retrieval_raw"]) for row in rows] == [4 <= frame < 23 for frame in range(26)]


def test_a_portrait_folder_goes_into_the_run_unless_told_otherwise(
    tsvad: Tsvad, copied: Path, film: Callable[..., ImageFolder]
) -> None:
    folder = film("door", frames=24, height=160, width=128).path
    assert tsvad("score", copied, folder).returncode == 0
    assert len(read_csv(copied / "results/door.csv")) == 24
    assert (copied / "results/door.png").exists()


def test_a_test_video_scores_as_it_did_in_the_stages(tsvad: Tsvad, fitted: Path, plaza: Path, tmp_path: Path) -> None:
    tsvad("score", fitted, plaza / "testing/frames/01", "--out", tmp_path / "01.csv")
    fused = [float(row["fused"]) for row in read_csv(tmp_path / "01.csv")]
    np.testing.assert_allclose(fused, read_scores(fitted / "results/fused.npz")["01"], atol=1e-4)


def test_a_video_shorter_than_a_snippet_is_scored_and_said_to_be_too_short(
    tsvad: Tsvad, fitted: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    said = tsvad("score", fitted, film(frames=5).path, "--out", tmp_path / "short.csv")
    assert said.returncode == 0
    assert re.match(r"5 frames are too few: context recovery needs \d+, knowledge retrieval needs \d+;", said.stdout)
    assert "most anomalous" not in said.stdout
    rows = read_csv(tmp_path / "short.csv")
    assert [row["recovery_raw"] + row["retrieval_raw"] for row in rows] == [""] * 5


def test_the_picture_must_not_take_the_csvs_place(refused: Refused, fitted: Path, clip: Path) -> None:
    assert "scores.csv" in refused("score", fitted, clip, "--out", clip.with_name("scores.png"))


def test_what_is_no_video_is_refused(refused: Refused, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    assert "notes.mp4 breaks before frame 0" in refused("score", fitted, tmp_path / "notes.mp4")
    assert "missing.mp4" in refused("score", fitted, tmp_path / "missing.mp4")


def test_what_is_no_run_is_refused(refused: Refused, tmp_path: Path, clip: Path) -> None:
    assert "is no run" in refused("score", tmp_path, clip)
