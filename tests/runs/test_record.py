"""Recorded evaluations: read back as written, and refused in one line where they are not that."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twostream_vad.runs.record import RecordError, flat, read_record

GOOD: dict[str, Any] = {
    "format": 2,
    "protocols": {"paper": {"rows": {"fused": {"micro_auc": 0.9, "macro_auc": 0.8, "interval": [0.85, 0.95]}}}},
    "chosen": "MLE 64",
    "recipe": {"name": "tiny", "seed": 3},
    "seed": 3,
    "data": "/data/ped2",
    "hashes": {"data": "ab12", "weights": {"recovery/model.safetensors": "cd34"}},
}


def write(folder: Path, values: object) -> Path:
    path = folder / "run/results/evaluation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), "utf-8")
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    record = read_record(write(tmp_path, GOOD))
    assert record.protocols["paper"].rows["fused"].interval == (0.85, 0.95)
    assert (record.seed, record.data, record.hashes.data) == (3, Path("/data/ped2"), "ab12")
    assert record.recipe == {"name": "tiny", "seed": 3}


def test_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    value = 0.1 + 0.2
    rows = {"fused": {"micro_auc": value, "macro_auc": value}}
    record = read_record(write(tmp_path, {**GOOD, "protocols": {"paper": {"rows": rows}}}))
    assert record.protocols["paper"].rows["fused"].micro_auc == value


def test_keys_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    assert read_record(write(tmp_path, {**GOOD, "mood": "fine"})).chosen == "MLE 64"


def test_a_run_that_was_not_evaluated_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=rf"is not there: `tsvad evaluate {tmp_path}/run` writes it"):
        read_record(tmp_path / "run/results/evaluation.json")


def test_an_older_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"is of format 1, needed is 2: `tsvad evaluate .*run` writes it anew"):
        read_record(write(tmp_path, {"protocol": "paper", "rows": {}, "recipe": {}}))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda v: v.pop("hashes"), "hashes: Field required"),
        (lambda v: v.update(seed=4), "seed is 4 and recipe.seed 3"),
        (
            lambda v: v["protocols"]["paper"]["rows"]["fused"].pop("macro_auc"),
            r"rows\.fused\.macro_auc: Field required",
        ),
        (lambda v: v["protocols"]["paper"]["rows"]["fused"].update(micro_auc=float("nan")), "finite number"),
    ],
)
def test_a_broken_record_names_the_key(change: Callable[[dict[str, Any]], object], what: str, tmp_path: Path) -> None:
    values = json.loads(json.dumps(GOOD))
    change(values)
    with pytest.raises(RecordError, match=what):
        read_record(write(tmp_path, values))


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": 2}', "\udcff"])
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RecordError, match=r"x\.json is (no JSON|broken) .*`tsvad evaluate RUN` writes it anew"):
        read_record(path)


def test_nested_keys_are_joined_and_lists_stay() -> None:
    assert flat({"a": {"b": [1, 2], "c": {"d": None}}, "e": 1}) == {"a.b": [1, 2], "a.c.d": None, "e": 1}
