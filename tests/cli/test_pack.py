"""`tsvad pack`: the detector of a fitted run in a folder that stands on its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from twostream_vad.detector.bundle import Bundle
from twostream_vad.runs.run import Run
from twostream_vad.video.frames import ImageFolder

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_copy_scores_alike_when_the_run_is_gone(
    tsvad: Tsvad, copied: Path, film: Callable[..., ImageFolder], tmp_path: Path
) -> None:
    video, out = film("new").path, tmp_path / "detector"
    tsvad("score", copied, video, "--out", tmp_path / "before.csv")
    said = tsvad("pack", copied, "--out", out)
    assert said.returncode == 0
    assert said.stdout.startswith(f"{out}: {len(Bundle(out).hashes)} files, ")
    assert contents(out) == contents(copied / "detector")
    shutil.rmtree(copied)
    assert tsvad("score", out, video, "--out", tmp_path / "after.csv").returncode == 0
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()


def test_without_out_it_says_where_the_detector_lies(tsvad: Tsvad, copied: Path) -> None:
    said = tsvad("pack", copied)
    assert said.returncode == 0
    assert said.stdout.startswith(f"{copied / 'detector'}: ")
    assert "pack: done, in" in said.stderr


def test_a_folder_with_something_else_is_refused_and_left_alone(tsvad: Tsvad, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").touch()
    said = tsvad("pack", copied, "--out", tmp_path / "mine")
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.splitlines()[-1] == (
        f"tsvad: {tmp_path / 'mine'} is not empty and no detector; choose another --out"
    )
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_an_older_detector_is_replaced(tsvad: Tsvad, copied: Path, tmp_path: Path) -> None:
    tsvad("pack", copied, "--out", tmp_path / "out")
    assert tsvad("pack", copied, "--out", tmp_path / "out").returncode == 0
    assert contents(tmp_path / "out") == contents(copied / "detector")
    assert not list(tmp_path.glob(".out*"))


def test_a_dry_run_writes_nothing(tsvad: Tsvad, copied: Path, tmp_path: Path) -> None:
    before = contents(copied)
    said = tsvad("pack", copied, "--out", tmp_path / "out", "--dry-run")
    assert (said.returncode, said.stdout, "nothing written" in said.stderr) == (0, "", True)
    assert contents(copied) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [[], ["--dry-run"]])
def test_a_run_that_is_not_calibrated_names_the_command(words: list[str], refused: Refused, copied: Path) -> None:
    Run.open(copied).begin("calibrate", redo=True)
    assert f"run `tsvad calibrate {copied}` first" in refused("pack", copied, *words)
