"""`bench/ablation.py`: rows and their page, regret, and what a run's maxima say of choices that it did not make."""

import importlib
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.recipes import override_recipe
from twostream_vad.runs.evaluate import evaluate
from twostream_vad.runs.pipeline import STAGES
from twostream_vad.runs.run import Run

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        yield {name: importlib.import_module(f"ablation{name}") for name in ("", "_rows", "_measure", "_page")}
    finally:
        sys.path.remove(str(ROOT / "bench"))


@pytest.fixture(scope="module")
def measured(bench: dict[str, ModuleType], fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A run's measurements and its evaluation."""
    folder = Path(shutil.copytree(fitted, tmp_path_factory.mktemp("measured") / "run"))
    record = evaluate(Run.open(folder)).record
    return bench["_measure"].measure(Run.open(folder), record), record


def candidates(rows: ModuleType) -> dict[Any, float]:
    """Micro-AUC of four candidates that differ in window and weight."""
    aucs = {(32, 1.0): 90.0, (64, 1.0): 93.0, (32, 0.5): 91.0, (64, 0.5): 97.0}
    return {rows.Candidate(window, 0.0, False, "max", True, weight): auc for (window, weight), auc in aucs.items()}


def row_of(bench: dict[str, ModuleType], measured: tuple[Any, Any], **changed: Any) -> Any:
    return bench["_rows"].Row(**{"dataset": "ped2", "variant": "shipped", "seed": 1, **measured[0], **changed})


@pytest.mark.parametrize(
    ("free", "points", "best"),
    [
        (["window"], 3.0, {"window": 64}),
        (["weight"], 1.0, {"weight": 0.5}),
        (["window", "weight"], 7.0, {"window": 64, "weight": 0.5}),
        (["crops"], 0.0, {"crops": "max"}),
    ],
)
def test_regret_is_the_lead_of_the_best_candidate_among_those_that_differ_in_the_free_choices_only(
    bench: dict[str, ModuleType], free: list[str], points: float, best: dict[str, object]
) -> None:
    micro = candidates(bench["_rows"])
    found = bench["_rows"].regret(micro, next(iter(micro)), free)
    assert (found.points, found.best) == (points, best)


def test_of_equal_candidates_the_chosen_one_is_the_best(bench: dict[str, ModuleType]) -> None:
    micro = dict.fromkeys(candidates(bench["_rows"]), 90.0)
    for chosen in micro:
        assert bench["_rows"].regret(micro, chosen, ["window"]).best == {"window": chosen.window}


def test_a_run_has_the_auc_of_every_window_that_its_evaluation_has(measured: tuple[Any, Any]) -> None:
    found, record = measured
    windows = {name: row for name, row in found["options"]["window"].items() if name != "all"}
    for window, row in windows.items():
        expected = record.rows("paper")[f"MLE {window}"]
        assert row["recovery micro"] == pytest.approx(100 * expected.micro_auc, abs=0.006)
        assert row["recovery macro"] == pytest.approx(100 * expected.macro_auc, abs=0.006)
    assert len(windows) == 3


def test_what_was_chosen_has_the_fused_auc_of_the_evaluation_in_every_table(
    bench: dict[str, ModuleType], measured: tuple[Any, Any]
) -> None:
    found, record = measured
    expected = [record.rows("paper")["fused"].micro_auc, record.rows("paper")["fused"].macro_auc]
    for choice, values in found["options"].items():
        row = values[bench["_rows"].said(found["chosen"][choice])]
        assert [row["micro"], row["macro"]] == pytest.approx([100 * auc for auc in expected], abs=0.006)
    weight = found["options"]["weight"][bench["_rows"].said(found["chosen"]["weight"])]
    assert weight["causal micro"] == pytest.approx(100 * record.rows("causal")["fused"].micro_auc, abs=0.006)


def test_regret_is_against_the_best_of_all_tables(bench: dict[str, ModuleType], measured: tuple[Any, Any]) -> None:
    found = measured[0]
    for choice, values in found["options"].items():
        best = max(row["micro"] for row in values.values())
        own = values[bench["_rows"].said(found["chosen"][choice])]["micro"]
        assert found["regret"][choice].points == pytest.approx(best - own, abs=0.006)
        assert found["regret"]["all"].points >= found["regret"][choice].points
    assert set(found["fixed"]) == {"per_place"}  # the tiny recipe's only choice that is not open


def test_maxima_that_are_not_the_scores_are_refused(
    bench: dict[str, ModuleType], copied: Path, measured: tuple[Any, Any]
) -> None:
    for path in copied.glob("recovery/maxima/*.npy"):
        np.save(path, np.load(path)[::-1])
    with pytest.raises(TsvadError, match="does not give the video's scores"):
        bench["_measure"].measure(Run.open(copied), measured[1])


def test_rows_are_kept_a_line_each_and_one_done_anew_takes_the_old_ones_place(
    bench: dict[str, ModuleType], measured: tuple[Any, Any], tmp_path: Path
) -> None:
    rows, path = bench["_rows"], tmp_path / "results.json"
    kept: tuple[Any, ...] = ()
    for seed, minutes in ((2, 1.0), (1, 2.0), (2, 3.0)):
        kept = rows.with_row(kept, row_of(bench, measured, seed=seed, minutes=minutes))
        rows.write_rows(path, kept)
    assert [(row.seed, row.minutes) for row in rows.read_rows(path)] == [(1, 2.0), (2, 3.0)]
    assert len(path.read_text().splitlines()) == 4
    path.write_text("[{}]")
    with pytest.raises(TsvadError, match="not rows"):
        rows.read_rows(path)


def test_the_page_has_mean_and_sample_deviation_and_the_row_without_a_net(
    bench: dict[str, ModuleType], measured: tuple[Any, Any]
) -> None:
    def fused(micro: float) -> dict[str, dict[str, float]]:
        return {**measured[0]["streams"], "fused": {**measured[0]["streams"]["fused"], "micro": micro}}

    rows = [row_of(bench, measured, seed=seed, streams=fused(90.0 + seed)) for seed in (1, 3)]
    rows.append(row_of(bench, measured, variant="no-net", streams=fused(80.0)))
    lines = bench["_page"].render(rows).splitlines()
    assert [line for line in lines if line.startswith("| **fused** | 92.0 ± 1.4 |")]
    assert [line for line in lines if line.startswith("| no net: fused (1 of 2 seeds) | 80.0 |")]
    assert [line for line in lines if line.startswith("| 1 | 91.0 |") and "| 80.0 |" in line]
    assert [line for line in lines if line.startswith("| this program") and "92.0 ± 1.4 /" in line]
    for head, line in itertools.pairwise(lines):
        if head.startswith("| ") and line.startswith("| "):
            assert head.count("|") == line.count("|")


def test_the_page_is_what_the_rows_that_are_kept_give(bench: dict[str, ModuleType]) -> None:
    rows = bench["_rows"].read_rows(ROOT / "docs/results.json")
    assert (ROOT / "docs/results.md").read_text("utf-8") == bench["_page"].render(rows)


def test_the_command_goes_on_behind_the_last_row_and_leaves_the_base_run_as_it_is(
    bench: dict[str, ModuleType],
    fitted: Path,
    plaza: Path,
    tiny_recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base, docs = Path(shutil.copytree(fitted, tmp_path / "work/ped2-1")), tmp_path / "docs"
    monkeypatch.setitem(bench["_rows"].DATASETS, "ped2", str(tiny_recipe))
    words = ["ablation", "--ped2", plaza, "--ped2-seeds", 1, "--work", base.parent, "--docs", docs, "--only"]

    def run(*only: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", [*map(str, words), *only])
        bench[""].main()
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith(("==", "--"))]

    before = (base / "recovery/model.safetensors").read_bytes()
    assert run("ped2/no-net") == ["== ped2/no-net, seed 1"]
    assert run("ped2/no-net", "ped2/encoder-pace") == ["-- ped2/encoder-pace, seed 1: nothing to measure"]  # its own
    assert (base / "recovery/model.safetensors").read_bytes() == before
    assert Run.open(base).is_done("fuse")
    (row,) = bench["_rows"].read_rows(docs / "results.json")
    assert row.key == ("ped2", "no-net", 1)
    assert (docs / "results.md").read_text("utf-8") == bench["_page"].render([row])


def test_a_variant_shares_what_it_does_not_change_and_has_only_the_rest_done_anew(
    bench: dict[str, ModuleType], fitted: Path, tmp_path: Path
) -> None:
    base = Run.open(fitted)
    recipe = override_recipe(base.recipe, bench["_rows"].VARIANTS["squares"].overrides)
    variant = bench[""].derived(base, recipe, tmp_path / "squares", False)
    assert [name for name in STAGES if variant.is_stale(name)] == ["select-window", "score-recovery"]
    assert variant.is_done("index")
    kept = "retrieval/features/testing/features.npy"
    assert base.path(kept).samefile(variant.path(kept))
    assert bench[""].derived(base, recipe, tmp_path / "squares", False).path(kept).exists()
    other = bench[""].derived(base, base.recipe, tmp_path / "squares", False)
    assert not other.is_stale("select-window")


def test_without_a_net_the_last_frame_is_the_prediction(
    bench: dict[str, ModuleType], fitted: Path, tmp_path: Path
) -> None:
    from twostream_vad.runs.assemble import all_windows

    base = Run.open(fitted)
    bare = bench[""].derived(base, base.recipe, tmp_path / "bare", True)
    assert bare.is_done("train-recovery")
    assert bare.is_done("index")
    assert not bare.is_done("select-window")
    assert not bare.path("detector").exists()
    seen = np.random.default_rng(0).random((2, 3, 8, 128, 128), np.float32)
    assert np.array_equal(all_windows(bare).predictor(seen), seen[:, :, -1])
    assert not np.array_equal(all_windows(base).predictor(seen), seen[:, :, -1])
