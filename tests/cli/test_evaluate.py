"""`tsvad evaluate`: one run or several side by side, and the page."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

Tsvad = Callable[..., CompletedProcess[str]]
Refused = Callable[..., str]


def test_a_run_prints_its_table_and_writes_the_page(
    tsvad: Tsvad, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twostream_vad.report.report.thumbnail_step", lambda _: 30)
    monkeypatch.setattr("twostream_vad.report.report.CARDS", 1)
    said = tsvad("evaluate", copied)
    assert said.returncode == 0
    rows = json.loads((copied / "results/evaluation.json").read_text())["protocols"]["paper"]["rows"]
    (fused,) = [line for line in said.stdout.splitlines() if line.startswith("│ fused")]
    assert f"{100 * rows['fused']['micro_auc']:.2f}" in fused
    assert sum(" * " in line for line in said.stdout.splitlines() if line.startswith("│ MLE")) == 1
    page = copied / "results/report.html"
    assert said.stdout.splitlines()[-1] == str(page)
    assert page.stat().st_size > 10_000


def test_several_runs_stand_side_by_side(tsvad: Tsvad, copied: Path, tmp_path: Path) -> None:
    other = shutil.copytree(copied, tmp_path / "other")
    said = tsvad("evaluate", copied, other, "--no-page")
    assert said.returncode == 0
    (fused,) = [line for line in said.stdout.splitlines() if line.startswith("│ fused")]
    assert fused.count("± 0.00") == 3
    assert not list(tmp_path.rglob("report.html"))


def test_labels_that_do_not_fit_are_refused_by_both_numbers(refused: Refused, fitted: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "gt.npz", **{"01": np.ones(30), "02": np.ones(28)})  # type: ignore[arg-type]
    said = refused("evaluate", fitted, "--labels", tmp_path / "gt.npz")
    assert "video 02 has 30 decoded frames but 28 labels" in said


def test_a_run_without_scores_names_the_command(refused: Refused, copied: Path, plaza: Path) -> None:
    (copied / "stages.json").unlink()
    assert f"`tsvad fit {plaza} --out {copied}` goes on" in refused("evaluate", copied)
