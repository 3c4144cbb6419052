"""A run folder: made, opened, refused; its stages begin once, resume, go stale and are redone."""

import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.recipes import load_recipe, override_recipe
from twostream_vad.runs.pipeline import STAGES
from twostream_vad.runs.run import Run, RunError
from twostream_vad.settings import Recipe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least that is a dataset."""
    root = tmp_path_factory.mktemp("data")
    for place in ("training/frames/1", "testing/frames/2"):
        (root / place).mkdir(parents=True)
        cv2.imwrite(str(root / place / "000.png"), np.zeros((8, 8, 3), np.uint8))
    return root


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("demo")


@pytest.fixture
def run(tmp_path: Path, data: Path, recipe: Recipe) -> Run:
    return Run.create(tmp_path / "run", recipe, data)


def finish(run: Run, *names: str) -> None:
    """As if these stages had run."""
    for name in names:
        run.begin(name)
        run.end(name)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def with_(run: Run, *overrides: str) -> Run:
    return Run.open(run.folder, overrides)


# making and opening


def test_a_new_run_is_opened_as_it_was_made(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    (tmp_path / "labels.npz").touch()
    Run.create(tmp_path / "run", recipe, data, tmp_path / "labels.npz")
    opened = Run.open(tmp_path / "run")
    assert (opened.recipe, opened.data, opened.labels) == (recipe, data, tmp_path / "labels.npz")


def test_one_that_is_there_takes_the_new_recipe_when_a_stage_begins(run: Run, recipe: Recipe) -> None:
    other = override_recipe(recipe, ["seed=7"])
    again = Run.create(run.folder, other, run.data)
    assert Run.open(run.folder).recipe == recipe
    again.begin("prepare")
    assert Run.open(run.folder).recipe == other


def test_labels_given_once_are_kept(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "labels.npz").touch()
    Run.create(run.folder, recipe, run.data, tmp_path / "labels.npz").begin("prepare")
    assert Run.create(run.folder, recipe, run.data).labels == tmp_path / "labels.npz"


def test_a_run_on_other_data_is_refused_by_both_names(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"is a run on {run.data}, not on {tmp_path}; choose another --out"):
        Run.create(run.folder, recipe, tmp_path)


def test_a_folder_of_other_things_is_refused(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="not empty and no run; choose another --out"):
        Run.create(tmp_path, recipe, data)


def test_a_mistyped_dataset_leaves_no_folder_behind(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    with pytest.raises(DatasetError, match="dta"):
        Run.create(tmp_path / "run", recipe, data.with_name("dta"))
    assert not (tmp_path / "run").exists()


def test_a_label_file_that_is_not_there_is_refused_before_anything_is_done(
    tmp_path: Path, data: Path, recipe: Recipe
) -> None:
    with pytest.raises(RunError, match=r"gt\.npz is not there; give --labels"):
        Run.create(tmp_path / "run", recipe, data, tmp_path / "gt.npz")
    assert not (tmp_path / "run").exists()


def test_nothing_is_written_when_only_asked(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    assert Run.create(tmp_path / "run", recipe, data, write=False).source().layout == "folder"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("make", [Path.absolute, Path.mkdir, Path.touch])
def test_what_is_no_run_is_refused_with_the_command_that_makes_one(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    make(tmp_path / "my run")
    with pytest.raises(RunError, match=r"my run is no run; `tsvad fit DATA --recipe NAME --out '.*/my run'` makes one"):
        Run.open(tmp_path / "my run")


@pytest.mark.parametrize(("file", "text"), [("run.json", "{"), ("run.json", "{}"), ("recipe.yaml", "a: [")])
def test_a_damaged_run_is_refused_by_name(file: str, text: str, run: Run) -> None:
    run.path(file).write_text(text)
    with pytest.raises(RunError, match="is damaged"):
        Run.open(run.folder)


def test_a_run_may_lie_behind_a_symbolic_link(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    Run.create(tmp_path / "run", recipe, data)
    assert Run.open(tmp_path / "disk").recipe == recipe
    assert (tmp_path / "run").is_symlink()


def test_a_link_to_a_disk_that_is_away_says_so(tmp_path: Path, data: Path, recipe: Recipe) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    with pytest.raises(RunError, match=r"is a link to .*disk, which is not there"):
        Run.create(tmp_path / "run", recipe, data)


# stages


def test_a_stage_is_done_when_it_has_ended_and_begins_no_more(run: Run) -> None:
    assert run.begin("prepare")
    assert not run.is_done("prepare")
    run.end("prepare")
    assert run.is_done("prepare")
    assert not run.begin("prepare")


def test_a_stage_that_did_not_end_begins_again(run: Run) -> None:
    run.begin("prepare")
    assert Run.open(run.folder).begin("prepare")


def test_a_stage_wants_those_before_it(run: Run) -> None:
    with pytest.raises(RunError, match=rf"run `tsvad prepare {run.folder}` first"):
        run.begin("train-recovery")


def test_a_changed_setting_is_refused_by_key_with_both_values(run: Run) -> None:
    finish(run, "prepare", "train-recovery")
    before = contents(run.folder)
    with pytest.raises(RunError, match=r"settings \(recovery\.lr 0\.001 → 0\.5\); --redo replaces its outputs"):
        with_(run, "recovery.lr=0.5").begin("train-recovery")
    assert contents(run.folder) == before


def test_check_refuses_as_begin_does_and_writes_nothing(run: Run) -> None:
    finish(run, "prepare")
    before = contents(run.folder)
    run.check("train-recovery", ["recovery.lr=0.5"])
    with pytest.raises(RunError, match="train recovery"):
        run.check("select-window")
    assert contents(run.folder) == before


def test_settings_that_a_stage_does_not_read_leave_it_done(run: Run) -> None:
    finish(run, "prepare", "train-recovery")
    assert with_(run, "retrieval.bits=16", "fusion.retrieval=1", "recovery.windows=[128]").is_done("train-recovery")


def test_what_stands_on_a_stage_with_other_settings_is_done_no_more(run: Run) -> None:
    finish(run, "prepare", "train-recovery", "train-encoder", "features", "index", "select-window")
    changed = with_(run, "recovery.lr=0.5")
    assert not changed.is_done("select-window")
    with pytest.raises(RunError, match="run `tsvad train recovery"):
        changed.begin("select-window")


def test_what_stands_on_a_stage_done_anew_is_refused_and_says_so(run: Run) -> None:
    finish(run, "prepare", "train-recovery", "train-encoder")
    changed = with_(run, "recovery.lr=0.5")
    changed.begin("train-recovery", redo=True)
    changed.end("train-recovery")
    assert changed.is_stale("train-encoder")
    with pytest.raises(RunError, match="an earlier stage was done anew"):
        changed.begin("train-encoder")


def test_redo_deletes_this_stages_outputs_and_no_others(run: Run) -> None:
    finish(run, "prepare", "train-recovery", "train-encoder", "features", "train-retrieval", "index", "select-window")
    for name, stage in STAGES.items():
        for output in stage.outputs:
            run.path(output).parent.mkdir(parents=True, exist_ok=True)
            run.path(output).write_text(name)
    run.path("retrieval/features").unlink()
    (run.path("retrieval/features") / "training").mkdir(parents=True)
    assert run.begin("features", redo=True)
    there = {output for stage in STAGES.values() for output in stage.outputs if run.path(output).exists()}
    assert there == {output for stage in STAGES.values() for output in stage.outputs} - {"retrieval/features"}


def test_a_redo_killed_half_way_neither_counts_as_done_nor_goes_on_from_old_outputs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(run, "prepare", "train-recovery")

    monkeypatch.setattr(Run, "_delete_outputs", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run.begin("train-recovery", redo=True)
    monkeypatch.undo()
    assert not run.is_done("train-recovery")
    with pytest.raises(RunError, match="--redo"):
        run.begin("train-recovery")
    assert run.begin("train-recovery", redo=True)


def test_other_weights_under_the_same_name_are_another_setting(run: Run, tmp_path: Path) -> None:
    weights = tmp_path / "i3d.safetensors"
    weights.write_bytes(b"1")
    named = with_(run, f"recovery.pretrained={weights}", "recovery.encoder_reinit=false")
    finish(named, "prepare", "train-recovery")
    weights.write_bytes(b"12")
    with pytest.raises(RunError, match=r"pretrained bytes 1 → 2"):
        named.begin("train-recovery")


def test_seconds_add_up_over_attempts_and_start_over_with_redo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    run.begin("prepare")
    now[0] += 5
    run.end("prepare", done=False)
    assert not run.is_done("prepare")
    now[0] += 1000
    run.begin("prepare")
    now[0] += 2
    run.end("prepare")
    assert (run.is_done("prepare"), run.records()["prepare"]["seconds"]) == (True, 7.0)
    run.begin("prepare", redo=True)
    now[0] += 1
    run.end("prepare")
    assert run.records()["prepare"]["seconds"] == 1.0


def test_damaged_records_are_named(run: Run) -> None:
    run.path("stages.json").write_text("[")
    with pytest.raises(RunError, match=r"stages\.json is damaged .*--redo"):
        run.is_done("prepare")


def test_the_identity_of_a_stage_never_begun_names_its_command(run: Run) -> None:
    with pytest.raises(RunError, match=r"`tsvad train recovery .*` has not been run yet"):
        run.identity("train-recovery")


def test_records_are_plain_json(run: Run) -> None:
    finish(run, "prepare")
    assert set(json.loads(run.path("stages.json").read_text())["prepare"]) >= {"identity", "settings", "done"}
