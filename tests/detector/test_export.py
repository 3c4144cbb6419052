"""A detector as graphs of other formats: the same scores, without torch too, and a report that says so."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from twostream_vad import Detector
from twostream_vad.detector.bundle import PREDICTOR, Bundle
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.export import parity, write
from twostream_vad.detector.export.parity import Parity
from twostream_vad.detector.export.runtime import Format
from twostream_vad.detector.export.write import ExportError, Wish, export
from twostream_vad.runs.run import Run
from twostream_vad.runs.videos import normal_videos
from twostream_vad.storage import sha256_of
from twostream_vad.video.frames import ImageFolder

EXAMPLE = Path(__file__).parents[2] / "docs/score_exported.py"
WITHOUT_TORCH = """
import runpy, sys
sys.modules.update(dict.fromkeys(("torch", "twostream_vad", "scipy", "cv2")))  # importing any of them fails
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(autouse=True)
def two_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "KINDS", ("hurries", "wanderers"))


def exported(run: Path, out: Path, wish: Wish) -> Parity:
    return export(Bundle(run / "detector"), out, wish, normal_videos(Run.open(run)), lambda *_: None)


def film_losslessly(frames: Path, out: Path) -> Path:
    """A folder of frames as a video with the same pixels, at the rate of the tests' run."""
    with av.open(str(out), "w") as file:
        stream = file.add_stream("ffv1", rate=Fraction(25, 2))
        stream.pix_fmt = "bgr0"
        folder = ImageFolder(frames)
        stream.height, stream.width = folder.read(0).shape[:2]
        for frame in folder:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        file.mux(stream.encode())
    return out


@pytest.mark.parametrize(
    ("kind", "form", "most"),
    [
        ("placed", "onnx", 1e-4),
        ("placed", "openvino", 1e-4),
        ("placed", "torch", 1e-4),
        ("fitted", "onnx", 2e-3),
        ("edged", "onnx", 3e-4),
        ("edged", "openvino", 3e-4),
        ("edged", "torch", 3e-4),
    ],
)
def test_an_export_scores_as_its_detector_does(
    kind: str, form: Format, most: float, request: pytest.FixtureRequest, plaza: Path, tmp_path: Path
) -> None:
    run, out, frames = request.getfixturevalue(kind), tmp_path / "out", plaza / "testing/frames/02"
    out.mkdir()
    for older in ("export.json", "older.onnx"):
        (out / older).touch()
    found = exported(run, out, Wish(form))
    assert found.frames > 50
    assert (
        found.relative < most
    )  # one value that rounds to another float16 is 1e-4, of whole crops, by the hash net, 1e-3
    assert found.median < most / 5
    assert found.changed == 0
    assert f"{found.auc[1]:.2f} %" in (out / "README.md").read_text("utf-8")
    lines = (out / "SHA256SUMS").read_text("utf-8").splitlines()
    sums = {line[66:]: line[:64] for line in lines}
    assert {*sums, "SHA256SUMS"} == {path.name for path in out.iterdir()}
    assert all(sha256_of(out / name) == digest for name, digest in sums.items())
    if form == "torch":
        return
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, EXAMPLE, out, film_losslessly(frames, tmp_path / "video.mkv")],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    detector = Detector.load(run, TORCH)
    own = detector.score(frames).fused
    number, score, alarm = np.array([line.split(",") for line in said.stdout.splitlines()], np.float64).T
    assert (number == np.arange(len(own))).all()
    np.testing.assert_allclose(score, own, atol=most * np.nanmax(np.abs(own)))
    assert np.isfinite(score).any()
    assert (alarm == (score >= detector.threshold)).all()


def test_bfloat16_is_near_and_says_so(placed: Path, tmp_path: Path) -> None:
    found = exported(placed, tmp_path / "out", Wish("openvino", "bf16"))
    assert 1e-5 < found.relative < 0.2
    assert "bf16" in (tmp_path / "out/README.md").read_text("utf-8")


def test_eight_bits_are_small_and_refused_where_they_lose_too_much(
    placed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MOST_FALL", -101.0)
    with pytest.raises(ExportError, match=r"points of AUC on pseudo-anomalies .*: nothing written; take bf16"):
        exported(placed, tmp_path / "out", Wish("onnx", "int8"))
    assert list(tmp_path.iterdir()) == []
    found = exported(placed, tmp_path / "out", Wish("onnx", "int8", anyway=True))
    assert 1e-3 < found.median < 0.2
    weights = Bundle(placed / "detector").path(PREDICTOR).stat().st_size
    assert (tmp_path / "out/predict.onnx").stat().st_size < 0.6 * weights


def test_another_folder_is_left_alone(placed: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(ExportError, match="is not empty and no export; choose another --out"):
        exported(placed, tmp_path, Wish("onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_edgenet_is_refused_in_eight_bits(edged: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"not exported in int8; take bf16"):
        exported(edged, tmp_path / "out", Wish("onnx", "int8"))
    assert not (tmp_path / "out").exists()
