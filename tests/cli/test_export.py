"""`tsvad export`: what it says, and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from twostream_vad.video.frames import ImageFolder

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def test_a_detector_is_measured_on_the_video_that_is_given(
    tsvad: Tsvad, placed: Path, plaza: Path, tmp_path: Path
) -> None:
    normal = plaza / "training/frames/01"
    said = tsvad("export", placed / "detector", "--to", "openvino", "--out", tmp_path / "out", "--normal", normal)
    assert said.returncode == 0, said.stderr
    first, second = said.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'out'}: ")
    assert first.endswith(" MB, fp32; README.md is its card")
    assert "scores differ by" in second
    assert "; 0 frames alarm in one only" in second


def test_a_detector_alone_asks_for_normal_video(refused: Refused, placed: Path, tmp_path: Path) -> None:
    said = refused("export", placed / "detector", "--to", "onnx", "--out", tmp_path / "out")
    assert "holds no video to measure the export on: give normal video of its camera, --normal FOLDER" in said


def test_what_a_format_has_not_is_refused_with_what_has_it(refused: Refused, placed: Path, tmp_path: Path) -> None:
    said = refused("export", placed, "--to", "onnx", "--precision", "bf16", "--out", tmp_path / "out")
    assert "--to onnx has no bf16: it has fp32, int8; bf16 has --to openvino or torch" in said


def test_a_file_of_video_is_refused_with_how_to_make_a_folder(
    refused: Refused, placed: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    image = film("one").files[0]
    said = refused("export", placed, "--to", "onnx", "--out", tmp_path / "out", "--normal", image)
    assert f"ffmpeg -i {image} FOLDER/%06d.png" in said
