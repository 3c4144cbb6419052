"""A command for each stage, on a fitted run: done, refused with the remedy, or shown."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from twostream_vad.recipes import load_recipe
from twostream_vad.runs.pipeline import STAGES
from twostream_vad.runs.run import Run

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]

ELSEWHERE = ("prepare", "train-joint", "train-edge")
COMMANDS = [stage.command for stage in STAGES.values() if stage.name not in ELSEWHERE]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_stage_that_is_done_stays(command: str, tsvad: Tsvad, copied: Path) -> None:
    records = Run.open(copied).records()
    said = tsvad(*command.split(), copied, "--note", "again")
    assert (said.returncode, f"{command}: done, in" in said.stderr) == (0, True)
    assert Run.open(copied).records() == records
    log = json.loads((copied / "logs/commands.jsonl").read_text().splitlines()[-1])
    assert (log["command"], log["note"]) == (command, "again")


def test_what_a_recipe_does_not_train_says_how_it_would(refused: Refused, copied: Path) -> None:
    assert "--set edge.width=1 asks for one" in refused("train", "edge", copied)
    assert "--set joint.steps=400 joins them" in refused("train", "joint", copied)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dry_run_writes_nothing(command: str, tsvad: Tsvad, copied: Path) -> None:
    before = contents(copied)
    said = tsvad(*command.split(), copied, "--dry-run", "--redo")
    assert (said.returncode, "nothing written" in said.stderr) == (0, True)
    assert contents(copied) == before


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_changed_setting_is_refused_and_leaves_the_recipe(dry: list[str], refused: Refused, copied: Path) -> None:
    before = (copied / "recipe.yaml").read_bytes()
    said = refused("train", "retrieval", copied, "--set", "retrieval.lr=0.5", *dry)
    assert "retrieval.lr 0.003125 → 0.5" in said
    assert "--redo replaces its outputs" in said
    assert (copied / "recipe.yaml").read_bytes() == before


def test_redo_takes_the_changed_setting_over(tsvad: Tsvad, copied: Path) -> None:
    change = ("--set", "retrieval.epochs=2", "--set", "retrieval.mutual=0", "--redo")
    assert tsvad("train", "retrieval", copied, *change).returncode == 0
    run = Run.open(copied)
    assert (run.recipe.retrieval.epochs, run.recipe.retrieval.mutual) == (2, 0)
    assert run.is_done("train-retrieval")
    assert not run.is_done("index")


def test_after_a_stage_done_anew_the_next_ones_are_wanted_in_order(
    tsvad: Tsvad, refused: Refused, copied: Path
) -> None:
    tsvad("train", "retrieval", copied, "--set", "retrieval.epochs=2", "--redo")
    assert f"run `tsvad index {copied}` first (or again)" in refused("retrieval", "select-weight", copied)
    assert f"run `tsvad pack {copied}` first (or again)" in refused("score", "retrieval", copied)
    assert "an earlier stage was done anew" in refused("index", copied)
    assert tsvad("index", copied, "--redo").returncode == 0


def test_a_folder_that_is_no_run_is_left_alone(refused: Refused, tmp_path: Path) -> None:
    assert "is no run" in refused("features", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_windows_are_printed_with_the_chosen_one(tsvad: Tsvad, copied: Path) -> None:
    best = json.loads((copied / "recovery/selection.json").read_text())[0]
    printed = tsvad("recovery", "select-window", copied).stdout
    (chosen,) = [line for line in printed.splitlines() if "chosen" in line]
    assert str(best["window"]) in chosen
    assert all(f"│ {window} " in printed for window in (128, 32, 16))


def test_weights_are_printed_with_the_chosen_one(tsvad: Tsvad, copied: Path) -> None:
    (weight, auc), *_ = json.loads((copied / "results/weight.json").read_text())
    printed = tsvad("retrieval", "select-weight", copied).stdout
    (chosen,) = [line for line in printed.splitlines() if "chosen" in line]
    assert f"{weight:g}" in chosen
    assert f"{auc:.4f}" in chosen


def test_prepare_starts_a_run_and_prints_what_it_counted(
    tsvad: Tsvad, plaza: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    said = tsvad("prepare", plaza, tmp_path / "run", "--recipe", tiny_recipe, "--workers", 1)
    assert said.stdout.splitlines() == ["training: 3 videos, 90 frames", "testing: 2 videos, 60 frames"]
    assert Run.open(tmp_path / "run").recipe == load_recipe(tiny_recipe)
    assert Run.open(tmp_path / "run").is_done("prepare")


def test_prepare_again_keeps_the_runs_recipe(tsvad: Tsvad, plaza: Path, copied: Path) -> None:
    assert tsvad("prepare", plaza, copied).returncode == 0
    assert Run.open(copied).recipe.name == "tiny"


def test_a_dry_prepare_writes_nothing(tsvad: Tsvad, plaza: Path, tmp_path: Path) -> None:
    said = tsvad("prepare", plaza, tmp_path / "run", "--dry-run")
    assert (said.returncode, "folder: 3 training and 2 test videos" in said.stderr) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_a_stage_behind_a_symbolic_link_is_done_there(tsvad: Tsvad, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(copied)
    before = (copied / "results/fused.npz").read_bytes()
    (copied / "results/fused.npz").write_bytes(b"")
    assert tsvad("fuse", tmp_path / "link", "--redo").returncode == 0
    assert (copied / "results/fused.npz").read_bytes() == before
