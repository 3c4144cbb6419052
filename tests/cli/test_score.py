"""`tsvad score DETECTOR VIDEO`: any shape and rate of video, folder or file, into a CSV, a picture and a page."""

import csv
import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.runs.run import Run
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


def write_video(path: Path, images: list[NDArray[np.uint8]], rate: float) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(rate))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.gop_size = "yuv420p", 12
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A square video file of 26 frames at the detector's 12.5 a second."""
    images = []
    for index in range(26):
        image = np.full((96, 96, 3), 80, np.uint8)
        image[30:60, 2 * index : 2 * index + 20] = 200
        images.append(image)
    write_video(tmp_path / "clip.mp4", images, rate=12.5)
    return tmp_path / "clip.mp4"


def test_a_square_video_file_has_a_row_a_frame_and_a_picture(tsvad: Tsvad, fitted: Path, clip: Path) -> None:
    out = clip.with_name("scores.csv")
    said = tsvad("score", fitted, clip, "--out", out)
    assert said.returncode == 0
    rows = read_csv(out)
    assert [int(row["frame"]) for row in rows] == list(range(26))
    np.testing.assert_allclose([float(row["time"]) for row in rows], np.arange(26) / 12.5, atol=1e-3)
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture is not None
    assert picture.std() > 5
    lines = said.stdout.splitlines()
    assert lines[0] == "the video is 96 x 96, the detector's camera 160 x 128: another shape shows other places"
    threshold = Detector.load(fitted).threshold
    above = sum(bool(row["causal"]) and float(row["causal"]) >= threshold for row in rows)
    assert f": {above} frames at or above the threshold {threshold:.2f} of the causal score" in lines[1]
    assert lines[-2:] == [str(out), str(out.with_suffix(".png"))]


def test_raw_scores_stand_at_their_frames_and_are_empty_elsewhere(tsvad: Tsvad, fitted: Path, clip: Path) -> None:
    tsvad("score", fitted, clip, "--out", clip.with_suffix(".csv"))
    rows = read_csv(clip.with_suffix(".csv"))
    assert [bool(row["recovery_raw"]) for row in rows] == [frame >= 8 for frame in range(26)]
    assert [bool(row["retrieval_raw"]) for row in rows] == [4 <= frame < 23 for frame in range(26)]


def test_video_of_another_rate_is_resampled_and_said_to_be(
    tsvad: Tsvad, fitted: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    source, path = film("fast", 60, height=128, width=160), tmp_path / "fast.mkv"
    write_video(path, [source.read(index) for index in range(60)], rate=25)
    said = tsvad("score", fitted, path, "--out", tmp_path / "fast.csv")
    assert said.stdout.startswith(
        "resampled by its time stamps from 25 to the detector's 12.5 frames a second: 60 frames, 30 looked at; "
    )
    causal = [row["causal"] for row in read_csv(tmp_path / "fast.csv")]
    assert causal[0::2] == causal[1::2]
    assert "" not in causal[14:]


def test_a_portrait_folder_goes_into_the_run_unless_told_otherwise(
    tsvad: Tsvad, copied: Path, film: Callable[..., ImageFolder]
) -> None:
    folder = film("door", frames=24, height=160, width=128).path
    assert tsvad("score", copied, folder).returncode == 0
    assert len(read_csv(copied / "results/door.csv")) == 24
    assert (copied / "results/door.png").exists()


def test_by_a_detector_alone_the_csv_is_the_runs_byte_for_byte_and_lies_here(
    tsvad: Tsvad, copied: Path, plaza: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = plaza / "testing/frames/01"
    tsvad("score", copied, video, "--out", tmp_path / "run.csv")
    tsvad("pack", copied, "--out", tmp_path / "elsewhere/detector")
    shutil.rmtree(copied)
    for path in (tmp_path / "elsewhere").rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    monkeypatch.chdir(tmp_path)
    assert tsvad("score", tmp_path / "elsewhere/detector", video).returncode == 0
    assert (tmp_path / "01.csv").read_bytes() == (tmp_path / "run.csv").read_bytes()


def test_a_test_video_scores_as_it_did_in_the_stages(tsvad: Tsvad, fitted: Path, plaza: Path, tmp_path: Path) -> None:
    tsvad("score", fitted, plaza / "testing/frames/01", "--out", tmp_path / "01.csv", "--engine", "torch")
    rows = read_csv(tmp_path / "01.csv")
    for column, file in (("fused", "fused"), ("causal", "causal")):
        staged = read_scores(fitted / f"results/{file}.npz")["01"]
        assert [row[column] or "0" for row in rows] == [f"{score:.6g}" for score in staged]


def test_each_alarm_has_its_time_its_picture_and_its_nearest_normal_event(
    tsvad: Tsvad, fitted: Path, plaza: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Detector.load

    def nervous(*arguments: Any) -> Detector:
        detector = load(*arguments)
        detector.threshold = -1e9
        return detector

    monkeypatch.setattr(Detector, "load", nervous)
    said = tsvad("score", fitted, plaza / "testing/frames/01", "--out", tmp_path / "01.csv", "--html")
    assert "30 frames, 1 alarm: 23 frames at or above the threshold" in said.stdout
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("  ")]
    assert re.match(r"  0\.56 to 2\.32 s \(frames 7–29\): .*, (recovery|retrieval); (nearest normal|no bucket)", line)
    assert said.stdout.splitlines()[-1] == str(tmp_path / "01.html")
    page = (tmp_path / "01.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") >= 2
    assert "Content-Security-Policy" in page


def test_without_an_alarm_the_highest_score_is_told(
    tsvad: Tsvad, fitted: Path, plaza: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Detector.load

    def calm(*arguments: Any) -> Detector:
        detector = load(*arguments)
        detector.threshold = 1e9
        return detector

    monkeypatch.setattr(Detector, "load", calm)
    said = tsvad("score", fitted, plaza / "testing/frames/01", "--out", tmp_path / "01.csv", "--html")
    assert "30 frames, no alarm: highest score " in said.stdout
    assert (tmp_path / "01.html").exists()


def test_the_papers_curves_are_drawn_on_request(tsvad: Tsvad, fitted: Path, plaza: Path, tmp_path: Path) -> None:
    video = plaza / "testing/frames/01"
    for name, more in (("causal", ()), ("paper", ("--paper",))):
        assert tsvad("score", fitted, video, "--out", tmp_path / f"{name}.csv", *more).returncode == 0
    assert (tmp_path / "paper.csv").read_bytes() == (tmp_path / "causal.csv").read_bytes()
    assert (tmp_path / "paper.png").read_bytes() != (tmp_path / "causal.png").read_bytes()


def test_a_video_shorter_than_a_snippet_is_scored_and_said_to_be_too_short(
    tsvad: Tsvad, fitted: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    said = tsvad("score", fitted, film(frames=5).path, "--out", tmp_path / "short.csv")
    assert said.returncode == 0
    assert re.search(r"5 frames are too few: recovery needs \d+, retrieval needs \d+;", said.stdout)
    rows = read_csv(tmp_path / "short.csv")
    assert [row["recovery_raw"] + row["retrieval_raw"] for row in rows] == [""] * 5


def test_a_run_that_is_not_fitted_to_the_end_names_the_command(
    refused: Refused, copied: Path, plaza: Path, clip: Path
) -> None:
    Run.open(copied).begin("index", redo=True)
    assert f"`tsvad fit {plaza} --out {copied}` goes on" in refused("score", copied, clip)


def test_the_picture_must_not_take_the_csvs_place(refused: Refused, fitted: Path, clip: Path) -> None:
    assert "scores.csv" in refused("score", fitted, clip, "--out", clip.with_name("scores.png"))


def test_what_is_no_video_is_refused(refused: Refused, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video")
    assert "notes.mp4 breaks before frame 0" in refused("score", fitted, tmp_path / "notes.mp4")
    assert "missing.mp4" in refused("score", fitted, tmp_path / "missing.mp4")


def test_what_is_no_detector_is_refused(refused: Refused, tmp_path: Path, clip: Path) -> None:
    assert "is no detector" in refused("score", tmp_path, clip)


def test_damaged_frames_are_rows_without_a_score_and_are_said(
    tsvad: Tsvad, fitted: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    source, path = film("cut", 60, height=128, width=160), tmp_path / "cut.mp4"
    write_video(path, [source.read(index) for index in range(60)], rate=12.5)
    with av.open(str(path)) as container:
        packets = [(packet.pos or 0, packet.size, packet.pts) for packet in container.demux(video=0) if packet.size]
    place, size, _ = max(packets[20:24], key=lambda packet: packet[1])
    data = bytearray(path.read_bytes())
    data[place + 8 : place + size] = b"\xff" * (size - 8)
    path.write_bytes(data)
    said = tsvad("score", fitted, path, "--out", tmp_path / "cut.csv")
    rows = read_csv(tmp_path / "cut.csv")
    assert [int(row["frame"]) for row in rows] == list(range(60))
    lost = [index for index, row in enumerate(rows) if not any(row[name] for name in COLUMNS[2:])]
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert 10 < lost[0] <= 23 <= lost[-1] < 36
    assert said.stdout.startswith(f"frames {lost[0]}-{lost[-1]} are missing or damaged\n")
    assert rows[59]["causal"]


def test_a_stream_that_does_not_tell_its_rate_asks_for_it(
    tsvad: Tsvad, refused: Refused, fitted: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    source, path = film("raw", 24, height=128, width=160), tmp_path / "raw.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", source.read(index))[1].tobytes() for index in range(24)))
    assert "give the rate it was recorded at: `tsvad score --rate`" in refused("score", fitted, path)
    assert tsvad("score", fitted, path, "--rate", 12.5, "--out", tmp_path / "raw.csv").returncode == 0
    assert float(read_csv(tmp_path / "raw.csv")[-1]["time"]) == pytest.approx(23 / 12.5, abs=1e-3)
