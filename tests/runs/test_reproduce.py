"""A recorded evaluation run again: what is refused before hours of training, and what is told after it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.progress import Progress, silent
from twostream_vad.recipes import RecipeError, load_recipe
from twostream_vad.runs import fit as fitting
from twostream_vad.runs import reproduce as reproduction
from twostream_vad.runs.fit import unshown
from twostream_vad.runs.record import Record, RecordError, read_record
from twostream_vad.runs.reproduce import Difference, differences, is_reproduced, new_run, reproduce
from twostream_vad.runs.run import Run, RunError

STAGES = ["prepare", "train-recovery", "fuse"]
HASH = "ab12" * 16


def facts(data: Path) -> dict[str, Any]:
    rows = {"fused": {"micro_auc": 0.9, "macro_auc": 0.8, "scenes": {"01": 0.7}, "interval": [0.8, 0.95]}}
    return {
        "format": 2,
        "protocols": {"paper": {"rows": rows}},
        "localisation": None,
        "events": {"recall": 0.5, "threshold": 2.0},
        "chosen": "MLE 64",
        "recipe": load_recipe("demo", ["seed=7", "recovery.lr=0.25"]).model_dump(mode="json"),
        "seed": 7,
        "data": str(data),
        "hashes": {"data": HASH, "weights": {"recovery/model.safetensors": "cd34"}},
        "versions": {"torch": "2.0"},
        "machine": {"processor": "x86_64", "threads": 2},
        "seconds": {"fuse": 1.0},
        "time": "2024-01-01",
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for place in ("training/01", "testing/01"):
        (tmp_path / "data" / place).mkdir(parents=True)
        (tmp_path / "data" / place / "000.png").touch()
    np.savez(tmp_path / "data/labels.npz", **{"01": np.arange(2)})  # type: ignore[arg-type]
    return tmp_path / "data"


@pytest.fixture
def recorded(data: Path, tmp_path: Path) -> Path:
    return write(tmp_path / "old/results/evaluation.json", facts(data))


def write(path: Path, values: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), "utf-8")
    return path


@pytest.fixture
def fitted_with(monkeypatch: pytest.MonkeyPatch, recorded: Path) -> Callable[..., list[str]]:
    """A function that lets stages and evaluation only be told; the evaluation writes the record with a change."""

    def prepare(change: Callable[[dict[str, Any]], object] = lambda _: None) -> list[str]:
        told: list[str] = []

        def run_stage(run: Run, name: str, *, redo: bool, progress: Progress, engine: None) -> None:
            assert not redo
            assert engine is None
            progress(1, 1)
            told.append(f"{name} with seed {run.recipe.seed}")

        def evaluate(run: Run, *, progress: Progress) -> None:
            progress(1, 1)
            told.append("evaluate")
            values = json.loads(recorded.read_text())
            change(values)
            write(run.path("results/evaluation.json"), values)

        monkeypatch.setattr(fitting, "run_stage", run_stage)
        monkeypatch.setattr(fitting, "wanted_stages", lambda _: STAGES)
        monkeypatch.setattr(reproduction, "data_hash", lambda _: HASH)
        monkeypatch.setattr(reproduction, "labels_of", lambda _: told.append("labels"))
        monkeypatch.setattr(reproduction, "evaluate", evaluate)
        return told

    return prepare


Fitted = Callable[..., list[str]]


def record(path: Path, **changes: Any) -> Record:
    return read_record(write(path, {**facts(path), **changes}))


def test_the_new_run_has_the_recorded_recipe_seed_and_data(recorded: Path, data: Path, tmp_path: Path) -> None:
    run = new_run(recorded, tmp_path / "new")
    assert run.recipe == load_recipe("demo", ["seed=7", "recovery.lr=0.25"])
    assert Run.open(tmp_path / "new").data == data


def test_data_that_moved_is_given_by_hand(recorded: Path, data: Path, tmp_path: Path) -> None:
    data.rename(tmp_path / "moved")
    with pytest.raises(DatasetError, match="data does not exist"):
        new_run(recorded, tmp_path / "new")
    assert new_run(recorded, tmp_path / "new", tmp_path / "moved").data == tmp_path / "moved"


def test_the_recorded_run_itself_is_not_gone_on_with(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is the run that .* records; choose another folder"):
        new_run(recorded, tmp_path / "old")


def test_a_recipe_of_another_version_names_the_key(recorded: Path, tmp_path: Path) -> None:
    values = json.loads(recorded.read_text())
    values["recipe"]["recovery"]["mood"] = 1
    with pytest.raises(RecipeError, match=r"evaluation\.json, recipe: unknown key recovery\.mood"):
        new_run(write(recorded, values), tmp_path / "new")


def test_a_broken_record_is_refused(recorded: Path, tmp_path: Path) -> None:
    recorded.write_text(recorded.read_text()[:100], "utf-8")
    with pytest.raises(RecordError, match=r"is no JSON .*`tsvad evaluate .*/old` writes it anew"):
        new_run(recorded, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_trial_writes_nothing(recorded: Path, tmp_path: Path) -> None:
    assert new_run(recorded, tmp_path / "new", write=False).recipe.seed == 7
    assert not (tmp_path / "new").exists()


def test_all_stages_are_run_with_the_seed_and_then_evaluated(
    recorded: Path, fitted_with: Fitted, tmp_path: Path
) -> None:
    told = fitted_with()
    assert reproduce(recorded, new_run(recorded, tmp_path / "new"), unshown) == []
    stages = [f"{name} with seed 7" for name in STAGES]
    assert told == [stages[0], "labels", *stages[1:], "evaluate"]


def test_other_data_is_refused_before_anything_is_read(
    recorded: Path, fitted_with: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, run = fitted_with(), new_run(recorded, tmp_path / "new")
    monkeypatch.setattr(reproduction, "data_hash", lambda _: "0" * 64)
    with pytest.raises(DatasetError, match=r"hash 0000.*, recorded ab12.*--data DIR .*--other-data"):
        reproduce(recorded, run, unshown)
    assert told == []
    assert reproduce(recorded, run, unshown, other_data=True) == []


def test_missing_labels_are_told_before_anything_is_trained(
    recorded: Path, fitted_with: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: Run) -> None:
        raise RunError("no labels")

    told, run = fitted_with(), new_run(recorded, tmp_path / "new")
    monkeypatch.setattr(reproduction, "labels_of", missing)
    with pytest.raises(RunError, match="no labels"):
        reproduce(recorded, run, unshown)
    assert told == ["prepare with seed 7"]


def test_what_was_begun_with_other_settings_is_refused(recorded: Path, fitted_with: Fitted, tmp_path: Path) -> None:
    told, run = fitted_with(), new_run(recorded, tmp_path / "new")
    run.begin("prepare")
    run.end("prepare")
    run.begin("train-recovery")
    other = new_run(recorded, tmp_path / "new", overrides=["recovery.lr=0.5"])
    with pytest.raises(RunError, match=r"recovery\.lr 0\.25 → 0\.5"):
        reproduce(recorded, other, unshown)
    assert told == []


def test_progress_is_shown_stage_by_stage(recorded: Path, fitted_with: Fitted, tmp_path: Path) -> None:
    shown: list[str] = []

    @contextmanager
    def bar(title: str) -> Iterator[Progress]:
        shown.append(title)
        yield silent

    fitted_with()
    reproduce(recorded, new_run(recorded, tmp_path / "new"), bar)
    assert shown == ["prepare", "train recovery", "fuse", "evaluate"]


def test_another_number_is_told_with_its_change(recorded: Path, fitted_with: Fitted, tmp_path: Path) -> None:
    fitted_with(lambda values: values["protocols"]["paper"]["rows"]["fused"].update(micro_auc=0.875))
    (found,) = reproduce(recorded, new_run(recorded, tmp_path / "new"), unshown)
    assert found == Difference("metric", "paper fused micro_auc", 0.9, 0.875)
    assert found.change == pytest.approx(-0.025)
    assert not is_reproduced([found])


def test_one_bit_is_a_difference(tmp_path: Path) -> None:
    before, after = (record(tmp_path / "x.json", events={"recall": recall}) for recall in (0.3, 0.1 + 0.2))
    (found,) = differences(before, after)
    assert (found.kind, found.name) == ("metric", "events recall")
    assert not is_reproduced([found])


@pytest.mark.parametrize(
    ("changes", "kind", "name", "reproduced"),
    [
        ({"hashes": {"data": HASH, "weights": {"recovery/model.safetensors": "ff"}}}, "weights", "recovery/", False),
        ({"hashes": {"data": "ff", "weights": facts(Path())["hashes"]["weights"]}}, "data", "hash", True),
        ({"versions": {"torch": "2.1"}}, "versions", "torch", True),
        ({"machine": {"processor": "arm64", "threads": 2}}, "machine", "processor", True),
        ({"decoder": {"pyav": "15"}}, "decoder", "pyav", True),
        ({"chosen": "MLE 32"}, "metric", "chosen", False),
    ],
)
def test_each_kind_of_difference_is_named(
    changes: dict[str, Any], kind: str, name: str, reproduced: bool, tmp_path: Path
) -> None:
    (found,) = differences(record(tmp_path / "x.json"), record(tmp_path / "x.json", **changes))
    assert found.kind == kind
    assert found.name.startswith(name)
    assert found.change is None
    assert is_reproduced([found]) == reproduced


def test_times_and_places_are_no_difference(tmp_path: Path) -> None:
    later = {"time": "2025-01-01", "seconds": {"fuse": 9.0}, "data": "/elsewhere"}
    assert differences(record(tmp_path / "x.json"), record(tmp_path / "x.json", **later)) == []


def test_a_value_that_is_there_once_only_is_a_difference(tmp_path: Path) -> None:
    found = differences(record(tmp_path / "x.json"), record(tmp_path / "x.json", events=None))
    assert found == [
        Difference("metric", "events recall", 0.5, None),
        Difference("metric", "events threshold", 2.0, None),
    ]


def test_changed_settings_are_told_by_dotted_key(tmp_path: Path) -> None:
    before = record(tmp_path / "x.json")
    recipe = load_recipe("demo", ["seed=7", "recovery.lr=0.25", "retrieval.pretrained=w.safetensors"])
    found = differences(before, record(tmp_path / "x.json", recipe=recipe.model_dump(mode="json")))
    assert found == [Difference("recipe", "retrieval.pretrained", None, "w.safetensors")]
    assert is_reproduced(found)


def test_pretrained_weights_that_lie_elsewhere_are_compared_by_content(tmp_path: Path) -> None:
    def with_weights(path: str, digest: str) -> Record:
        recipe = load_recipe("demo", ["seed=7", f"retrieval.pretrained={path}"]).model_dump(mode="json")
        return record(tmp_path / "x.json", recipe=recipe, hashes={"data": HASH, "weights": {path: digest}})

    here, elsewhere, other = with_weights("/a.st", "ff"), with_weights("/b.st", "ff"), with_weights("/b.st", "ee")
    assert differences(here, elsewhere) == [Difference("recipe", "retrieval.pretrained", "/a.st", "/b.st")]
    assert differences(here, other)[0] == Difference("weights", "retrieval.pretrained", "ff", "ee")
