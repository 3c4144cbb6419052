"""`tsvad compare` and `tsvad reproduce`: their tables, files and exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from twostream_vad.recipes import load_recipe
from twostream_vad.runs import compare as comparison
from twostream_vad.runs import reproduce as reproduction
from twostream_vad.runs.compare import Comparison, Gain
from twostream_vad.runs.record import Hashes, Metrics, Record, Rows
from twostream_vad.runs.reproduce import Difference as Found
from twostream_vad.runs.run import Run

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two run folders that were never evaluated."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        Run(folder, load_recipe("demo"), tmp_path).save()
    return folders


def record(chosen: str, paper: dict[str, Metrics], causal: Metrics) -> Record:
    protocols = {"paper": Rows(rows=paper), "causal": Rows(rows={"fused": causal})}
    return Record(
        format=2, protocols=protocols, chosen=chosen, recipe={"seed": 1}, seed=1, data=Path(), hashes=Hashes(data="x")
    )


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """What every comparison finds from here on."""
    first = Metrics(micro_auc=0.9, macro_auc=0.8, average_precision=0.7, equal_error_rate=0.15, interval=(0.85, 0.9412))
    second = Metrics(micro_auc=0.92, macro_auc=0.8)
    found = Comparison(
        runs=("a", "b"),
        records=(
            record("MLE 64", {"MLE 64": first, "MLE 32": first, "fused": first}, first),
            record("MLE 32", {"MLE 32": second, "fused": second}, second),
        ),
        differences={"paper": (None, Gain(micro_auc=0.02, interval=(-0.0111, 0.0345)))},
        unpaired="",
        seeds=(("a", "b"),),
        recipe={"seed": (1, 2), "recovery.windows": ([64, 32], [32]), "recovery.pretrained": (None, "x[b].st")},
    )
    monkeypatch.setattr(comparison, "compare", Mock(return_value=found))
    return found


def lines_with(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(f"│ {word}")]


@pytest.mark.usefixtures("compared")
def test_runs_stand_side_by_side_with_the_difference(tsvad: Tsvad, runs: list[Path]) -> None:
    said = tsvad("compare", *runs)
    assert (said.returncode, said.stderr) == (0, "")
    paper, causal = lines_with(said.stdout, "fused")
    for text in ("90.00", "92.00", "91.00 ± 1.41", "80.00 ± 0.00"):
        assert text in paper
        assert text in causal
    first, _ = lines_with(said.stdout, "a ")
    second, undifferenced = lines_with(said.stdout, "b ")
    assert all(text in first for text in ("85.00 to 94.12", "70.00", "15.00"))
    assert all(text in second for text in ("+2.00", "-1.11 to +3.45"))
    assert "+" not in undifferenced


@pytest.mark.usefixtures("compared")
def test_each_run_has_its_own_chosen_window_marked(tsvad: Tsvad, runs: list[Path]) -> None:
    said = tsvad("compare", *runs).stdout
    (mine,), (other,) = lines_with(said, "MLE 64"), lines_with(said, "MLE 32")
    assert "90.00 *" in mine
    assert "92.00 *" in other
    assert other.count("*") == mine.count("*") == 1


@pytest.mark.usefixtures("compared")
def test_settings_that_differ_are_listed(tsvad: Tsvad, runs: list[Path]) -> None:
    said = tsvad("compare", *runs).stdout
    (windows,), (pretrained,) = lines_with(said, "recovery.windows"), lines_with(said, "recovery.pretrained")
    assert windows.index("[64, 32]") < windows.index("[32]")
    assert "none" in pretrained
    assert "x[b].st" in pretrained


def test_the_comparison_is_written_where_asked(
    tsvad: Tsvad, runs: list[Path], compared: Comparison, tmp_path: Path
) -> None:
    said = tsvad("compare", *runs, "--json", tmp_path / "c.json")
    assert said.stdout.splitlines()[-1] == str(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text()) == json.loads(compared.model_dump_json())


def test_a_run_that_was_not_evaluated_names_the_command(refused: Refused, runs: list[Path]) -> None:
    assert f"`tsvad evaluate {runs[0]}` writes it" in refused("compare", *runs)


def test_one_run_is_refused(refused: Refused, runs: list[Path]) -> None:
    refused("compare", runs[0])


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The evaluation of a run, on a dataset of empty files."""
    for place in ("training/01", "testing/01"):
        (tmp_path / "data" / place).mkdir(parents=True)
        (tmp_path / "data" / place / "000.png").touch()
    np.savez(tmp_path / "data/labels.npz", **{"01": np.arange(2)})  # type: ignore[arg-type]
    facts = {
        "format": 2,
        "protocols": {"paper": {"rows": {"fused": {"micro_auc": 0.9, "macro_auc": 0.8}}}},
        "chosen": "MLE 64",
        "recipe": load_recipe("demo", ["seed=7"]).model_dump(mode="json"),
        "seed": 7,
        "data": str(tmp_path / "data"),
        "hashes": {"data": "ab"},
    }
    path = tmp_path / "old/results/evaluation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(facts), "utf-8")
    return path


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Mock]:
    """A function that says what every reproduction finds from here on."""

    def find(*found: Found) -> Mock:
        again = Mock(return_value=list(found))
        monkeypatch.setattr(reproduction, "reproduce", again)
        return again

    return find


Finding = Callable[..., Mock]


def test_an_identical_run_says_so_and_gives_0(tsvad: Tsvad, recorded: Path, finding: Finding, tmp_path: Path) -> None:
    again = finding(Found("versions", "torch", "2.0", "2.1"))
    said = tsvad("reproduce", recorded, "--out", tmp_path / "new")
    assert said.returncode == 0
    assert said.stdout.splitlines()[-1].startswith("identical: every metric and every trained weight")
    (version,) = lines_with(said.stdout, "versions")
    assert version.index("2.0") < version.index("2.1")
    path, run, _ = again.call_args.args
    assert (path, run.folder, run.recipe.seed) == (recorded, tmp_path / "new", 7)


def test_another_number_gives_1_and_both_numbers(
    tsvad: Tsvad, recorded: Path, finding: Finding, tmp_path: Path
) -> None:
    finding(Found("metric", "paper fused micro_auc", 0.9, 0.875), Found("weights", "x", "ab" * 32, None))
    said = tsvad("reproduce", recorded, "--out", tmp_path / "new")
    assert said.returncode == 1
    (metric,), (weights,) = lines_with(said.stdout, "metric"), lines_with(said.stdout, "weights")
    assert all(text in metric for text in ("paper fused micro_auc", "0.9", "0.875", "-0.025"))
    assert "abababababab…" in weights
    assert "not identical" in said.stdout


def test_the_run_folder_does_in_place_of_its_file(
    tsvad: Tsvad, recorded: Path, finding: Finding, tmp_path: Path
) -> None:
    again = finding()
    words = ["reproduce", tmp_path / "old", "--out", tmp_path / "new", "--set", "recovery.lr=0.5", "--other-data"]
    assert tsvad(*words).returncode == 0
    path, run, _ = again.call_args.args
    assert (path, run.recipe.recovery.lr) == (recorded, 0.5)
    assert again.call_args.kwargs["other_data"] is True


def test_without_a_folder_named_it_lies_among_the_runs(
    tsvad: Tsvad, recorded: Path, finding: Finding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    again = finding()
    assert tsvad("reproduce", recorded).returncode == 0
    assert again.call_args.args[1].folder == Path("runs/old-again")


def test_it_is_fitted_on_as_many_threads_as_the_recorded_run(
    tsvad: Tsvad, recorded: Path, finding: Finding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding()
    told = Mock()
    monkeypatch.setattr("twostream_vad.cli.compare.set_up_process", told)
    values: dict[str, Any] = json.loads(recorded.read_text())
    values["recipe"]["threads"] = 3
    recorded.write_text(json.dumps(values), "utf-8")
    assert tsvad("reproduce", recorded, "--out", tmp_path / "new").returncode == 0
    told.assert_called_once_with(3)


def test_a_dry_run_writes_nothing(tsvad: Tsvad, recorded: Path, finding: Finding, tmp_path: Path) -> None:
    again = finding()
    said = tsvad("reproduce", recorded, "--out", tmp_path / "new", "--dry-run")
    assert said.returncode == 0
    assert f"recipe demo on {tmp_path / 'data'} into {tmp_path / 'new'}" in said.stderr
    assert not (tmp_path / "new").exists()
    assert not again.called


def test_a_broken_record_is_one_line(refused: Refused, recorded: Path, finding: Finding, tmp_path: Path) -> None:
    finding()
    values: dict[str, Any] = json.loads(recorded.read_text())
    del values["hashes"]
    recorded.write_text(json.dumps(values), "utf-8")
    said = refused("reproduce", recorded, "--out", tmp_path / "new")
    assert f"hashes: Field required): `tsvad evaluate {tmp_path / 'old'}` writes it anew" in said
