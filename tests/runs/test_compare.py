"""Runs side by side, on run folders made by hand: metrics as recorded, differences against a slow bootstrap."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from twostream_vad.datasets.manifest import Entry, Manifest, Prepared, Source
from twostream_vad.recipes import load_recipe
from twostream_vad.runs.compare import compare, unlike
from twostream_vad.runs.record import RecordError
from twostream_vad.runs.run import Run, RunError
from twostream_vad.scores.files import write_scores

FRAMES = {"01": 40, "02": 30, "03": 50, "04": 20}
Scores = dict[str, NDArray[np.float64]]


def marks(frames: int) -> NDArray[np.uint8]:
    return (np.arange(frames) % 10 < 4).astype(np.uint8)


def noisy(noise: float, seed: int, frames: dict[str, int]) -> Scores:
    rng = np.random.default_rng(seed)
    return {name: marks(count) + noise * rng.standard_normal(count) for name, count in frames.items()}


def area(scores: Scores, names: Sequence[str]) -> float:
    truth = np.concatenate([marks(len(scores[name])) for name in names])
    return float(roc_auc_score(truth, np.concatenate([scores[name] for name in names])))


def dataset(root: Path, frames: dict[str, int]) -> Path:
    for place in ("training/01", *(f"testing/{name}" for name in frames)):
        (root / place).mkdir(parents=True)
        (root / place / "000.png").touch()
    np.savez(root / "labels.npz", **{name: marks(count) for name, count in frames.items()})  # type: ignore[arg-type]
    return root


@pytest.fixture
def evaluated(tmp_path: Path) -> Callable[..., Run]:
    """A function that makes the folder of an evaluated run; the data is made where it is not there yet."""

    def make(
        name: str, noise: float = 1.0, *, overrides: Sequence[str] = (), data: str = "data", frames: Any = None
    ) -> Run:
        frames = frames or FRAMES
        root = tmp_path / data
        run = Run(tmp_path / name, load_recipe("demo", overrides), root if root.exists() else dataset(root, frames))
        run.save()
        manifest = Manifest(root, "folder")
        for video, count in frames.items():
            source = Source(video, bytes=0, modified=0, skip=0, suffix=None)
            manifest.put(Entry(Prepared(video, "testing", count, 8, 8), source, video, rate=25.0, left=0))
        manifest.write(run.path("frames"))
        scores = {"fused": noisy(noise, 1, frames), "causal": noisy(noise + 0.5, 2, frames)}
        for file, curves in scores.items():
            write_scores(run.path(f"results/{file}.npz"), curves)
        paper, causal = (row(area(curves, list(frames))) for curves in scores.values())
        facts = {
            "format": 2,
            "protocols": {
                "paper": {"rows": {"MLE 64": row(0.8), "fused": paper}},
                "causal": {"rows": {"fused": causal}},
            },
            "chosen": "MLE 64",
            "recipe": run.recipe.model_dump(mode="json"),
            "seed": run.recipe.seed,
            "data": str(root),
            "hashes": {"data": data, "weights": {}},
        }
        run.path("results/evaluation.json").write_text(json.dumps(facts), "utf-8")
        return run

    return make


def row(micro: float) -> dict[str, float]:
    return {"micro_auc": micro, "macro_auc": micro - 0.1, "average_precision": 0.5, "equal_error_rate": 0.25}


Evaluated = Callable[..., Run]


def edit(run: Run, change: Callable[[dict[str, Any]], object]) -> None:
    path = run.path("results/evaluation.json")
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts), "utf-8")


def test_each_run_has_its_own_rows(evaluated: Evaluated) -> None:
    found = compare([evaluated("a"), evaluated("b", 0.5)])
    for record in found.records:
        assert {name: list(protocol.rows) for name, protocol in record.protocols.items()} == {
            "paper": ["MLE 64", "fused"],
            "causal": ["fused"],
        }
    micro = [record.rows("paper")["fused"].micro_auc for record in found.records]
    assert micro == [area(noisy(noise, 1, FRAMES), list(FRAMES)) for noise in (1.0, 0.5)]


def test_a_row_that_one_run_lacks_is_not_there(evaluated: Evaluated) -> None:
    first, second = evaluated("a"), evaluated("b")
    edit(second, lambda facts: facts["protocols"]["paper"]["rows"].update({"MLE 8": row(0.7)}))
    missing, there = (record.rows("paper") for record in compare([first, second]).records)
    assert "MLE 8" not in missing
    assert there["MLE 8"].micro_auc == 0.7


def test_a_protocol_that_one_run_lacks_has_no_difference(evaluated: Evaluated) -> None:
    first, second = evaluated("a"), evaluated("b")
    edit(second, lambda facts: facts["protocols"].pop("causal"))
    found = compare([first, second])
    assert list(found.differences) == ["paper"]
    assert [list(record.rows("causal")) for record in found.records] == [["fused"], []]


def test_the_difference_is_that_of_the_scores_in_both_protocols(evaluated: Evaluated) -> None:
    found = compare([evaluated("a", 1.0), evaluated("b", 0.5)])
    for protocol, seed, more in (("paper", 1, 0.0), ("causal", 2, 0.5)):
        first, second = found.differences[protocol]
        assert first is None
        assert second is not None
        ours, theirs = (area(noisy(noise + more, seed, FRAMES), list(FRAMES)) for noise in (0.5, 1.0))
        assert second.micro_auc == pytest.approx(ours - theirs, abs=1e-12)


def test_the_interval_is_that_of_differences_on_the_same_drawn_videos(evaluated: Evaluated) -> None:
    found = compare([evaluated("a", 1.0), evaluated("b", 0.5)])
    rng, gains = np.random.default_rng(5), []
    first, own = noisy(1.0, 1, FRAMES), noisy(0.5, 1, FRAMES)
    for _ in range(1000):
        names = [str(name) for name in rng.choice(sorted(FRAMES), len(FRAMES))]
        gains.append(area(own, names) - area(first, names))
    difference = found.differences["paper"][1]
    assert difference is not None
    assert difference.interval is not None
    assert difference.interval == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])), abs=0.01)  # other draws


def test_a_run_does_not_differ_from_itself(evaluated: Evaluated) -> None:
    run = evaluated("a")
    difference = compare([run, run]).differences["paper"][1]
    assert difference is not None
    assert (difference.micro_auc, difference.interval) == (0, (0, 0))


def test_one_test_video_gives_a_difference_without_an_interval(evaluated: Evaluated) -> None:
    frames = {"01": 40}
    found = compare([evaluated("a", 1.0, frames=frames), evaluated("b", 0.5, frames=frames)])
    difference = found.differences["paper"][1]
    assert difference is not None
    assert (difference.micro_auc > 0, difference.interval) == (True, None)


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ({"01": 40, "05": 30}, r"a and .*b have other test videos \(in one only: 02, 03, 04, 05\)"),
        ({**FRAMES, "03": 51}, r"b: video 03 has 50 frames in one and 51 in the other"),
    ],
)
def test_runs_on_other_videos_are_not_subtracted(evaluated: Evaluated, frames: dict[str, int], why: str) -> None:
    found = compare([evaluated("a"), evaluated("b", data="other", frames=frames)])
    assert found.differences == {}
    assert re.search(why, found.unpaired)
    assert "fused" in found.records[1].rows("paper")
    assert [record.hashes.data for record in found.records] == ["data", "other"]


def test_runs_judged_by_other_labels_are_not_subtracted(evaluated: Evaluated, tmp_path: Path) -> None:
    runs = [evaluated("a"), evaluated("b", data="other")]
    turned = {name: 1 - marks(count) for name, count in FRAMES.items()}
    np.savez(tmp_path / "other/labels.npz", **turned)  # type: ignore[arg-type]
    assert compare(runs).unpaired.endswith("b: video 01 has other labels")


def test_without_the_data_the_recorded_metrics_are_still_compared(evaluated: Evaluated, tmp_path: Path) -> None:
    runs = [evaluated("a"), evaluated("b")]
    (tmp_path / "data").rename(tmp_path / "gone")
    found = compare(runs)
    assert "data does not exist" in found.unpaired
    assert "fused" in found.records[1].rows("paper")


def test_seeds_of_one_recipe_are_a_group(evaluated: Evaluated) -> None:
    runs = [evaluated("a", 1.0, overrides=["seed=1"]), evaluated("other", overrides=["recovery.lr=0.5"])]
    runs += [evaluated("b", 0.5, overrides=["seed=2"])]
    found = compare(runs)
    assert found.seeds == ((str(runs[0].folder), str(runs[2].folder)),)


@pytest.mark.parametrize("second", [{"overrides": ["seed=1"]}, {"overrides": ["seed=2"], "data": "other"}])
def test_one_seed_twice_or_other_data_is_no_group(evaluated: Evaluated, second: dict[str, Any]) -> None:
    assert compare([evaluated("a", overrides=["seed=1"]), evaluated("b", **second)]).seeds == ()


def test_settings_that_differ_are_listed_by_dotted_key(evaluated: Evaluated) -> None:
    first = evaluated("a", overrides=["seed=1", "recovery.lr=0.25"])
    found = compare([first, evaluated("b", overrides=["seed=2", "recovery.lr=0.5"])])
    assert found.recipe == {"seed": (1, 2), "recovery.lr": (0.25, 0.5)}


def test_a_setting_that_one_recipe_does_not_know_is_none_there() -> None:
    assert unlike([{"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}]) == {"a.c": (None, 2)}


def test_a_run_that_was_not_evaluated_names_the_command(evaluated: Evaluated) -> None:
    runs = [evaluated("a"), evaluated("b")]
    runs[1].path("results/evaluation.json").unlink()
    with pytest.raises(RecordError, match=r"`tsvad evaluate .*/b` writes it"):
        compare(runs)


def test_a_run_scored_anew_after_its_evaluation_names_the_command(evaluated: Evaluated) -> None:
    runs = [evaluated("a"), evaluated("b")]
    write_scores(runs[1].path("results/fused.npz"), noisy(2.0, 3, FRAMES))
    with pytest.raises(RunError, match=r"not those that were evaluated.*`tsvad evaluate .*/b` again"):
        compare(runs)


def test_labels_given_by_hand_must_fit(evaluated: Evaluated, tmp_path: Path) -> None:
    np.savez(tmp_path / "gt.npz", **{name: marks(7) for name in FRAMES})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="40 decoded frames but 7 labels"):
        compare([evaluated("a"), evaluated("b")], tmp_path / "gt.npz")


def test_the_comparison_fits_into_a_file(evaluated: Evaluated) -> None:
    found = json.loads(compare([evaluated("a", 1.0), evaluated("b", 0.5)]).model_dump_json())
    rows = [record["protocols"]["paper"]["rows"] for record in found["records"]]
    assert [each["MLE 64"]["micro_auc"] for each in rows] == [0.8, 0.8]
    first, second = found["differences"]["paper"]
    assert first is None
    assert second["interval"][0] <= second["interval"][1]
