import hashlib
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest

from twostream_vad.cli.app import app
from twostream_vad.datasets.errors import DatasetError
from twostream_vad.detector.bundle import DESCRIPTION, Bundle, write_bundle
from twostream_vad.doctor.findings import Finding


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for place in ("training/frames/1", "testing/frames/2"):
        (tmp_path / place).mkdir(parents=True)
        for index in range(60):
            cv2.imwrite(str(tmp_path / place / f"{index:03d}.png"), rng.integers(50, 200, (12, 18, 3), np.uint8))
    np.savez(tmp_path / "labels.npz", **{"2": np.ones(60)})  # type: ignore[arg-type]
    return tmp_path


def run(*arguments: object) -> int:
    try:
        app(
            ["doctor", *map(str, arguments)],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except SystemExit as stop:
        return int(str(stop.code))
    return 0


def test_a_clean_dataset_prints_nothing_and_gives_0(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "0 findings in 0 videos; 120 frames read in " in said.err


def test_findings_stand_under_their_video_and_give_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "training/frames/1/030.png").write_bytes(b"")
    (data / "training/frames/1/Thumbs.db").touch()
    assert run(data) == 1
    said = capsys.readouterr()
    video, stray, empty = said.out.splitlines()
    assert video == "training/1"
    assert stray.startswith("  warning stray-file: Thumbs.db is no image")
    assert empty.startswith("  error empty-frame: frame 30: ")
    assert empty.endswith("is empty. Extract or copy this frame again.")
    assert "2 findings in 1 video; 119 frames read" in said.err


def test_json_has_findings_and_notes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "training/frames/1/030.png").write_bytes(b"")
    assert run(data, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["layout"], report["videos"], report["frames"]) == ("folder", 2, 119)
    (finding,), (note,) = report["findings"], report["notes"]
    assert set(finding) == {"kind", "severity", "video", "what", "remedy", "frames"}
    assert (finding["kind"], finding["video"], finding["frames"]) == ("empty-frame", "training/1", [[30, 30]])
    assert (note["kind"], note["severity"]) == ("all-anomalous", "note")


def test_notes_are_printed_when_asked_for_and_change_no_exit_code(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, "--notes") == 0
    assert capsys.readouterr().out.startswith("notes\ntesting/2\n  note all-anomalous: every frame is anomalous")


def test_labels_from_elsewhere_are_taken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("other") / "gt.npz"
    np.savez(file, **{"2": np.ones(59)})  # type: ignore[arg-type]
    assert run(data, "--labels", file) == 1


def test_nothing_readable_gives_2(tmp_path: Path) -> None:
    (tmp_path / "training/frames/1").mkdir(parents=True)
    (tmp_path / "training/frames/1/000.png").write_bytes(b"no image")
    assert run(tmp_path) == 2


def test_a_folder_that_is_no_dataset_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no videos"):
        run(tmp_path)


@pytest.fixture
def alarmed(copied: Path) -> Path:
    """The fitted run with a detector whose alarm threshold every frame reaches."""
    bundle = Bundle(copied)
    described = bundle.description
    low = described.calibration.model_copy(update={"threshold": -1e9})
    files = {name: bundle.path(name) for name in bundle.hashes if name != DESCRIPTION}
    write_bundle(copied / "detector", described.model_copy(update={"calibration": low}), files)
    return copied


@pytest.mark.parametrize("place", ["", "detector"])
def test_training_segments_that_raise_the_alarm_of_a_run_are_findings(
    place: str, data: Path, alarmed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "training/frames/1/Thumbs.db").touch()
    assert run(data, "--run", alarmed / place) == 1
    said = capsys.readouterr()
    video, stray, segment = said.out.splitlines()
    assert (video, stray.split(":")[0]) == ("training/1", "  warning stray-file")
    assert segment.startswith("  warning anomalous-looking: frames 7-59 (0.6 to 4.7 s): score up to ")
    assert "2 findings in 1 video; 120 frames read in " in said.err
    assert "score: 1/1" in said.err


def test_json_has_the_segments(
    data: Path, fitted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Finding("anomalous-looking", "warning", "training/1", "frames 7-59", "watch it", ((7, 59),))
    unscored = Finding("not-judged", "note", "training/1", "it breaks", "copy it again")
    monkeypatch.setattr("twostream_vad.doctor.suspects.suspicious_segments", lambda *_: [segment, unscored])
    assert run(data, "--run", fitted, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert [(found["kind"], found["frames"]) for found in report["findings"]] == [("anomalous-looking", [[7, 59]])]
    assert [note["kind"] for note in report["notes"]] == ["not-judged", "all-anomalous"]


def test_a_run_that_is_not_fitted_to_the_end_is_refused_before_anything_is_read(
    data: Path, copied: Path, refused: Callable[..., str]
) -> None:
    records = json.loads((copied / "stages.json").read_text())
    records["calibrate"]["done"] = False
    (copied / "stages.json").write_text(json.dumps(records))
    assert f"{copied} is not fitted to the end" in refused("doctor", data, "--run", copied)


def test_a_folder_that_is_no_detector_is_refused(data: Path, refused: Callable[..., str]) -> None:
    assert f"{data} is no detector" in refused("doctor", data, "--run", data)


def test_help_names_the_run(tsvad: Callable[..., CompletedProcess[str]]) -> None:
    assert "--run" in tsvad("doctor", "--help").stdout


def test_the_block_for_an_issue_has_counts_hashes_findings_and_versions(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "training/frames/1/030.png").write_bytes(b"")
    assert run(data, "--paste") == 1
    first, program, layout, training, testing, labels, *found, pyav, numbers, python, last = (
        capsys.readouterr().out.splitlines()
    )
    assert (first, layout, last) == ("```text", "layout: folder", "```")
    assert training.startswith("training: 1 videos, 59 frames, sha256 ")
    assert testing.startswith("testing: 1 videos, 60 frames, sha256 ")
    assert labels == f"labels: .npz, sha256 {hashlib.sha256((data / 'labels.npz').read_bytes()).hexdigest()[:16]}"
    assert found == ["error empty-frame: 1", "note all-anomalous: 1"]
    assert program == f"twostream-vad {version('twostream-vad')} doctor"
    assert f"PyAV {version('av')}: libavcodec " in pyav
    assert f"torch {version('torch')}" in numbers
    assert python.startswith(f"Python {platform.python_version()}, ")
    assert str(data) not in " ".join((program, layout, training, testing, labels, *found, pyav, numbers, python))


def test_the_blocks_hash_is_of_the_frames_of_one_split(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def hashes() -> list[str]:
        run(data, "--paste")
        return [line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines() if "frames" in line]

    before = hashes()
    image = cv2.imread(str(data / "testing/frames/2/059.png"))
    assert image is not None
    image[0, 0, 0] ^= 1
    cv2.imwrite(str(data / "testing/frames/2/059.png"), image)
    after = hashes()
    assert after[0] == before[0]
    assert after[1] != before[1]
