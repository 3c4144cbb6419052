"""`tsvad fit`, `plaza` and `demo`: begun, refused, killed and gone on with."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import Mock

import pytest
from safetensors.numpy import load_file

from twostream_vad.cli import fit as commands
from twostream_vad.cli.common import Options, at_work
from twostream_vad.runs import fit as fitting
from twostream_vad.runs.run import Run

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

KILLED = """
import os, signal
from twostream_vad.cli import main
from twostream_vad.training.log import TrainingLog

write = TrainingLog.write

def write_and_die(*args, **values):
    write(*args, **values)
    os.kill(os.getpid(), signal.SIGKILL)

TrainingLog.write = write_and_die
main({words!r})
"""
"""A command that kills itself, as by `kill -9`, when its first training has logged its first step."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fit_killed_in_training_goes_on_to_the_same_net(
    plaza: Path, tiny_recipe: Path, fitted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    words = ["fit", str(plaza), "--recipe", str(tiny_recipe), "--out", str(run)]
    killed = subprocess.run([sys.executable, "-c", KILLED.format(words=words)], stderr=subprocess.DEVNULL, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len((run / "recovery/logs/steps.jsonl").read_text().splitlines()) == 1
    assert Run.open(run).is_done("prepare")
    assert not Run.open(run).is_done("train-recovery")
    fitting.run_stage(Run.open(run), "train-recovery")
    ours, undisturbed = load_file(run / "recovery/model.safetensors"), load_file(fitted / "recovery/model.safetensors")
    assert sorted(ours) == sorted(undisturbed)
    assert all((ours[name] == undisturbed[name]).all() for name in ours)


def test_a_fit_that_is_done_does_nothing_and_says_what_is_next(tsvad: Tsvad, copied: Path, plaza: Path) -> None:
    before = contents(copied / "recovery") | contents(copied / "results")
    said = tsvad("fit", plaza, "--out", copied)
    assert said.returncode == 0
    assert f"next: tsvad evaluate {copied}" in said.stderr
    assert f"the detector, which needs nothing else: {copied}/detector" in said.stderr
    assert "which none of that reached, expect " in said.stderr
    assert contents(copied / "recovery") | contents(copied / "results") == before


def test_a_changed_setting_is_refused_before_anything_is_written(refused: Refused, copied: Path, plaza: Path) -> None:
    before = contents(copied)
    said = refused("fit", plaza, "--out", copied, "--set", "retrieval.epochs=2")
    assert "retrieval.epochs 1 → 2" in said
    assert "--redo" in said
    after = contents(copied)
    assert {path for path in after if after[path] != before.get(path)} == {"logs/commands.jsonl", ".lock"} & set(after)


def test_redo_does_anew_what_the_change_touches_and_no_more(tsvad: Tsvad, copied: Path, plaza: Path) -> None:
    trained = (copied / "retrieval/model.safetensors").stat().st_mtime_ns
    said = tsvad("fit", plaza, "--out", copied, "--set", "fusion.retrieval=0.25", "--redo")
    assert said.returncode == 0
    assert json.loads((copied / "results/weight.json").read_text()) == [[0.25, None]]
    assert (copied / "retrieval/model.safetensors").stat().st_mtime_ns == trained
    assert Run.open(copied).is_done("fuse")


def test_a_run_on_other_data_is_refused(refused: Refused, copied: Path, tmp_path: Path) -> None:
    assert "choose another --out" in refused("fit", tmp_path, "--out", copied)


def test_another_recipe_is_refused(refused: Refused, copied: Path, plaza: Path) -> None:
    assert "--redo" in refused("fit", plaza, "--out", copied, "--recipe", "small")


def test_an_unknown_setting_names_those_known(refused: Refused, plaza: Path, tmp_path: Path) -> None:
    said = refused("fit", plaza, "--out", tmp_path / "run", "--set", "recovery.learning_rate=1")
    assert "unknown key recovery.learning_rate; known there: " in said
    assert not (tmp_path / "run").exists()


def test_a_dry_run_writes_nothing(tsvad: Tsvad, plaza: Path, tmp_path: Path) -> None:
    said = tsvad("fit", plaza, "--out", tmp_path / "run", "--dry-run")
    assert said.returncode == 0
    assert "3 training and 2 test videos" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_the_fit_would(refused: Refused, copied: Path, plaza: Path) -> None:
    before = contents(copied)
    assert "retrieval.bits" in refused("fit", plaza, "--out", copied, "--set", "retrieval.bits=9", "--dry-run")
    assert contents(copied) == before


def test_a_run_that_another_process_works_on_is_refused(refused: Refused, copied: Path, plaza: Path) -> None:
    with at_work(copied, "fit", Options()):
        assert "another tsvad works there; wait for it with --wait-for" in refused("fit", plaza, "--out", copied)


def test_without_test_videos_nothing_is_scored(
    tsvad: Tsvad, plaza: Path, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/training").symlink_to(plaza / "training")
    begun: list[str] = []
    run_stage = fitting.run_stage

    def begin(run: Run, name: str, **options: Any) -> None:
        begun.append(name)
        if name == "prepare":
            run_stage(run, name, **options)

    monkeypatch.setattr(fitting, "run_stage", begin)
    monkeypatch.setattr(commands, "_say_promise", lambda _: None)  # there is no detector
    said = tsvad("fit", tmp_path / "data", "--recipe", tiny_recipe, "--out", tmp_path / "run")
    assert said.returncode == 0
    assert begun == [
        *("prepare", "train-recovery", "train-encoder", "features", "train-retrieval", "index", "select-window"),
        *("select-weight", "calibrate", "pack"),
    ]


def test_plaza_renders_a_dataset(tsvad: Tsvad, tmp_path: Path) -> None:
    few = ("--training-videos", 1, "--testing-videos", 1, "--frames", 2)
    assert tsvad("plaza", tmp_path / "plaza", "--seed", 3, *few).returncode == 0
    assert len(list((tmp_path / "plaza").rglob("*.jpg"))) == 4
    assert json.loads((tmp_path / "plaza/plaza.json").read_text())["settings"]["seed"] == 3


def test_the_demo_renders_fits_and_evaluates(tsvad: Tsvad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plaza, fit, evaluate = Mock(), Mock(), Mock()
    monkeypatch.setattr(commands, "plaza", plaza)
    monkeypatch.setattr(commands, "fit", fit)
    monkeypatch.setattr("twostream_vad.cli.evaluate.evaluate", evaluate)
    assert tsvad("demo", "--seed", 3, "--out", tmp_path).returncode == 0
    plaza.assert_called_once_with(tmp_path / "data", seed=3)
    (data,), asked = fit.call_args
    assert (data, asked["out"], asked["options"].set) == (tmp_path / "data", tmp_path / "run", ("seed=3",))
    evaluate.assert_called_once_with(tmp_path / "run")
