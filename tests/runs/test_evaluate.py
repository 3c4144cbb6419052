"""What a fitted run reaches: against scikit-learn, and refused where labels and videos do not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.runs.evaluate import TRAINED, data_hash, evaluate, labels_of
from twostream_vad.runs.run import Run, RunError
from twostream_vad.scores.files import read_scores


def write_labels(path: Path, first: int, second: int) -> Path:
    lengths = {"01": first, "02": second}
    labels = {name: np.arange(length) % 2 for name, length in lengths.items()}
    np.savez(path, **labels)  # type: ignore[arg-type]
    return path


def test_micro_and_macro_auc_are_scikit_learns(copied: Path, plaza: Path) -> None:
    result = evaluate(Run.open(copied))
    fused = read_scores(copied / "results/fused.npz")
    with np.load(plaza / "labels.npz") as labels:
        aucs = [roc_auc_score(labels[name], fused[name]) for name in fused]
        micro = roc_auc_score(np.concatenate([labels[name] for name in fused]), np.concatenate([*fused.values()]))
    np.testing.assert_allclose(result.rows["fused"][:2], (micro, np.mean(aucs)))


def test_ano_auc_leaves_normal_videos_out_and_they_are_counted(copied: Path, tmp_path: Path) -> None:
    labels = {"01": np.arange(30) % 2, "02": np.zeros(30)}
    np.savez(tmp_path / "gt.npz", **labels)  # type: ignore[arg-type]
    result = evaluate(Run.open(copied), tmp_path / "gt.npz")
    fused = read_scores(copied / "results/fused.npz")["01"]
    assert result.rows["fused"][2] == pytest.approx(roc_auc_score(labels["01"], fused))
    assert result.record.classes == "1 of 2 test videos are of one class"


def test_without_a_normal_frame_in_anomalous_videos_there_is_no_ano_auc(copied: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "gt.npz", **{"01": np.ones(30), "02": np.zeros(30)})  # type: ignore[arg-type]
    result = evaluate(Run.open(copied), tmp_path / "gt.npz")
    assert result.rows["fused"][2] is result.rows["gap: fused − causal fused"][2] is None
    assert json.loads((copied / "results/evaluation.json").read_text())["one_class"] == 2


def test_intervals_given_by_hand_take_the_frames_that_were_counted(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "ucf.txt").write_text("01.mp4 Fighting 1 2 30 30\n02.mp4 Normal -1 -1 -1 -1\n")
    labels = labels_of(Run.open(copied), tmp_path / "ucf.txt")
    assert labels["01"].tolist() == [1, 1, *[0] * 27, 1]
    assert labels["02"].tolist() == [0] * 30


def test_every_window_is_a_row_and_the_chosen_one_is_told(copied: Path) -> None:
    result = evaluate(Run.open(copied))
    best = json.loads((copied / "recovery/selection.json").read_text())[0]["window"]
    assert result.chosen == f"MLE {best}"
    paper = ["MLE 128", "MLE 32", "MLE 16", "FLE", "retrieval", "fused"]
    causal = [f"causal {row}" for row in (result.chosen, "retrieval", "fused")]
    assert list(result.rows) == [*paper, *causal, "gap: fused − causal fused"]


def test_the_file_says_what_was_measured_and_how(copied: Path) -> None:
    result = evaluate(Run.open(copied))
    facts = json.loads((copied / "results/evaluation.json").read_text())
    fused = facts["protocols"]["paper"]["rows"]["fused"]
    assert (fused["micro_auc"], fused["macro_auc"], fused["ano_auc"]) == result.rows["fused"]
    assert facts["protocols"]["causal"]["rows"]["fused"]["micro_auc"] == result.rows["causal fused"][0]
    assert (facts["chosen"], facts["seed"]) == (result.chosen, 1)
    assert set(facts["hashes"]["weights"]) == {f"{name}.safetensors" for name in TRAINED}
    assert facts["recipe"]["name"] == "tiny"
    assert all(seconds >= 0 for seconds in facts["seconds"].values())
    assert {"torch", "twostream-vad"} < set(facts["versions"])


def test_average_precision_is_scikit_learns(copied: Path, plaza: Path) -> None:
    rows = evaluate(Run.open(copied)).record.protocols["paper"].rows
    fused = read_scores(copied / "results/fused.npz")
    with np.load(plaza / "labels.npz") as labels:
        truth = np.concatenate([labels[name] for name in fused])
    wanted = average_precision_score(truth, np.concatenate([*fused.values()]))
    assert rows["fused"].average_precision == pytest.approx(wanted)


def test_the_hash_of_the_data_tells_any_byte(plaza: Path, fitted: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(plaza, tmp_path / "data"))
    recipe = Run.open(fitted).recipe
    before = data_hash(Run(tmp_path, recipe, data))
    assert before == data_hash(Run(tmp_path, recipe, plaza))
    frame = data / "testing/frames/02/000003.jpg"
    frame.write_bytes(frame.read_bytes()[:-1] + b"x")
    assert data_hash(Run(tmp_path, recipe, data)) != before


def test_labels_of_another_length_are_refused_by_both_numbers(fitted: Path, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "gt.npz", 30, 29)
    with pytest.raises(DatasetError, match=r"video 02 has 30 decoded frames but 29 labels"):
        evaluate(Run.open(fitted), labels)


def test_labels_given_come_before_the_runs_own(copied: Path, tmp_path: Path) -> None:
    run = Run.open(copied)
    run.labels = write_labels(tmp_path / "wrong.npz", 1, 1)
    labels = labels_of(run, write_labels(tmp_path / "gt.npz", 30, 30))
    assert labels["01"].tolist() == [0, 1] * 15


def test_no_labels_are_asked_for(fitted: Path, plaza: Path, tmp_path: Path) -> None:
    for split in ("training", "testing"):
        (tmp_path / "data" / split).mkdir(parents=True)
        (tmp_path / "data" / split / "frames").symlink_to(plaza / split / "frames")
    run = Run(fitted, Run.open(fitted).recipe, tmp_path / "data")
    with pytest.raises(RunError, match="has no labels of its test videos; give them with --labels FILE"):
        labels_of(run)


def test_a_run_that_has_not_scored_its_test_videos_names_the_command(copied: Path, plaza: Path) -> None:
    Run.open(copied).begin("score-recovery", redo=True)
    with pytest.raises(RunError, match=rf"`tsvad fit {plaza} --out {copied}` goes on"):
        evaluate(Run.open(copied))


def test_a_run_that_has_not_begun_names_the_command(plaza: Path, fitted: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Run.open(fitted).recipe, plaza)
    with pytest.raises(RunError, match="goes on"):
        evaluate(run)


def test_a_run_whose_settings_have_changed_since_is_refused_by_what_changed(copied: Path) -> None:
    with pytest.raises(RunError, match=r"`train retrieval` was run with other settings \(retrieval\.bits 8 → 16\)"):
        evaluate(Run.open(copied, ["retrieval.bits=16"]))
