"""The stages on a tiny plaza: stopped in each and started again, they end as if left alone."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad.detector.engines.engine import Engine
from twostream_vad.nets.i3d import I3D
from twostream_vad.recipes import load_recipe
from twostream_vad.recovery.places import Places
from twostream_vad.recovery.selection import load_selection
from twostream_vad.recovery.stream import RecoveryStream
from twostream_vad.recovery.train import train_recovery
from twostream_vad.retrieval.pace import train_pace
from twostream_vad.retrieval.train import train_retrieval
from twostream_vad.runs import assemble, evaluate, pseudo
from twostream_vad.runs.fit import fit, run_stage, wanted_stages
from twostream_vad.runs.pipeline import STAGES
from twostream_vad.runs.run import Run, RunError
from twostream_vad.runs.stages import recovery, retrieval
from twostream_vad.scores.files import read_scores
from twostream_vad.storage import save_tensors, sha256_of
from twostream_vad.video.frames import ChangedVideoError

SAME = (
    "recovery/model.safetensors",
    "recovery/selection.json",
    "recovery/pseudo.npz",
    "recovery/scores.npz",
    "recovery/fle.npz",
    "recovery/maps/01.npy",
    "retrieval/encoder/model.safetensors",
    "retrieval/features/training/features.npy",
    "retrieval/features/testing/features.npy",
    "retrieval/model.safetensors",
    "retrieval/tables.safetensors",
    "retrieval/exemplars.safetensors",
    "retrieval/scores.npz",
    "calibration/scale.json",
    "calibration/recovery.npz",
    "calibration/retrieval.npz",
    "results/weight.json",
    "results/fused.npz",
    "results/causal.npz",
    "detector/detector.json",
    "detector/retrieval/exemplars.safetensors",
)


def stop_half_way(done: int, total: int, note: str = "") -> None:  # noqa: ARG001  a Progress
    """As Ctrl-C does."""
    if 2 * done >= total:
        raise KeyboardInterrupt


def content(file: Path) -> object:
    """A file's bytes; safetensors writes the entries of its header's metadata in any order."""
    data = file.read_bytes()
    if file.suffix != ".safetensors":
        return data
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


@pytest.fixture(scope="module")
def stopped(plaza: Path, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A fit that was stopped once in every stage, and opened anew each time."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    Run.create(folder, load_recipe(tiny_recipe), plaza)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recovery, "train_recovery", partial(train_recovery, checkpoint_seconds=0.0))
        patched.setattr(retrieval, "train_pace", partial(train_pace, checkpoint_seconds=0.0))
        patched.setattr(retrieval, "train_retrieval", partial(train_retrieval, checkpoint_seconds=0.0))
        for name in (name for name in STAGES if name not in ("train-joint", "train-edge")):  # not in the recipe
            few: dict[str, Any] = {"workers": 1} if name == "prepare" else {}
            with pytest.raises(KeyboardInterrupt):
                run_stage(Run.open(folder), name, progress=stop_half_way, **few)
            assert not Run.open(folder).is_done(name)
            run_stage(Run.open(folder), name, **few)
            assert Run.open(folder).is_done(name)
    return Run.open(folder)


@pytest.mark.parametrize("file", SAME)
def test_a_fit_stopped_in_every_stage_ends_with_the_same_files(file: str, stopped: Run, fitted: Path) -> None:
    assert content(stopped.path(file)) == content(fitted / file)


def test_nothing_half_written_is_left(stopped: Run) -> None:
    assert [path.name for path in stopped.folder.rglob("*") if ".part" in path.name or "checkpoint" in path.name] == []


def test_a_stopped_calibration_scores_no_snippet_twice(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    plain = RecoveryStream.look

    def look(self: RecoveryStream, clips: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        looked.append(len(clips))
        return plain(self, clips)

    monkeypatch.setattr(RecoveryStream, "look", look)
    run = Run.open(copied, ["calibration.quantile=0.9"])
    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "calibrate", redo=True, progress=stop_half_way)
    assert sum(looked) == 30 - 8
    run_stage(run, "calibrate")
    assert sum(looked) == 30 - 8


def test_a_stage_that_is_done_does_nothing(fitted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (fitted / "recovery").rglob("*")}
    for name in ("train-recovery", "select-window", "score-recovery"):
        run_stage(Run.open(fitted), name, progress=stop_half_way)
    assert {path: path.stat().st_mtime_ns for path in (fitted / "recovery").rglob("*")} == before


def test_a_stage_done_anew_behind_a_symbolic_link_gives_the_same(copied: Path, fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(copied)
    run_stage(Run.open(tmp_path / "link"), "score-retrieval", redo=True)
    run_stage(Run.open(tmp_path / "link"), "fuse", redo=True)
    assert (copied / "results/fused.npz").read_bytes() == (fitted / "results/fused.npz").read_bytes()


def test_weights_are_rated_best_first(fitted: Path) -> None:
    rows = assemble.rated_weights(Run.open(fitted))
    assert sorted(weight for weight, _ in rows) == sorted(pseudo.WEIGHTS)
    aucs = [auc for _, auc in rows if auc is not None]
    assert aucs == sorted(aucs, reverse=True)
    assert len(aucs) == len(rows)


def test_a_fixed_weight_has_no_auc(copied: Path) -> None:
    run = Run.open(copied, ["fusion.retrieval=0.3"])
    for stage in ("select-window", "select-weight"):  # the window is chosen by the fused score, at this weight
        run_stage(run, stage, redo=True)
    assert json.loads(run.path("results/weight.json").read_text()) == [[0.3, None]]
    assert (assemble.rated_weights(run), assemble.fusion_weights(run)) == (
        [(0.3, None)],
        {"recovery": 1.0, "retrieval": 0.3},
    )


@pytest.mark.parametrize(("spoil", "remedy"), [(Path.unlink, "first"), (partial(Path.write_text, data="[["), "--redo")])
def test_weights_not_there_or_broken_name_the_command(
    spoil: Callable[[Path], object], remedy: str, copied: Path
) -> None:
    spoil(copied / "results/weight.json")
    with pytest.raises(RunError, match=rf"run `tsvad retrieval select-weight {copied}.*{remedy}"):
        assemble.rated_weights(Run.open(copied))


def test_a_pretrained_encoder_that_nobody_named_is_asked_for(fitted: Path) -> None:
    with pytest.raises(RunError, match=r"--set retrieval\.pretrained=FILE"):
        assemble.encoder_file(Run.open(fitted, ["retrieval.encoder=pretrained"]))


def test_a_pretrained_encoder_encodes_at_its_own_width(fitted: Path, tmp_path: Path) -> None:
    path = tmp_path / "narrow.safetensors"
    save_tensors(path, I3D(1 / 32, 128, cells=1).state_dict(), {"kind": "i3d"})
    run = Run.open(fitted, ["retrieval.encoder=pretrained", f"retrieval.pretrained={path}"])
    found = assemble.encoding(run).encoder
    assert (assemble.encoder_width(run), found.source, found.values) == (1 / 32, str(path), 64)
    assert "train-encoder" not in wanted_stages(run)
    assert evaluate._weights(run)[str(path)] == sha256_of(path)


def test_regions_of_the_recipe_become_the_views(fitted: Path) -> None:
    named = assemble.views(Run.open(fitted, ["view.regions=[[0, 0, 80, 64], [80, 64, 80, 64]]"]))
    assert [(region.x, region.y) for region in named.regions] == [(0, 0), (80, 64)]
    assert len(assemble.views(Run.open(fitted, ["view.regions=corridor"])).regions) == 15


def test_judged_by_place_a_run_keeps_what_is_normal_at_each_place(copied: Path) -> None:
    run = Run.open(copied, ["recovery.per_place=true"])
    run_stage(run, "select-window", redo=True)
    assert all(candidate.per_place for candidate in load_selection(copied / "recovery/selection.json"))
    assert set(Places.load(copied / "recovery/places.safetensors").normal) == set(run.recipe.recovery.windows)


def test_a_video_of_another_length_than_was_counted_is_refused(copied: Path) -> None:
    prepared = copied / "frames" / "prepared.json"
    record = json.loads(prepared.read_text("utf-8"))
    for video in record["videos"]:
        video["prepared"]["frames"] += 1
    prepared.write_text(json.dumps(record), "utf-8")
    with pytest.raises(
        ChangedVideoError,
        match=r"frames/01: no longer has 31 frames; .* changed since they were counted: run `tsvad prepare` again",
    ):
        run_stage(Run.open(copied), "score-recovery", redo=True)


def test_a_fit_by_another_engine_is_the_same_but_for_rounding_and_is_gone_on_with(
    fitted: Path, tiny_recipe: Path, plaza: Path, tmp_path: Path
) -> None:
    run = Run.create(tmp_path / "run", load_recipe(tiny_recipe), plaza)
    fit(run, engine=Engine("onnx"))
    by = {name: record.get("engine") for name, record in run.records().items()}
    computing = {"features", "select-window", "calibrate", "score-recovery"}
    assert by == {name: ["onnx", "fp32"] if name in computing else None for name in by}
    before = run.records()
    fit(run, engine=Engine("torch"))  # all is done: nothing is done again by another one
    fit(run)
    assert run.records() == before
    for name in ("recovery/fle.npz", "calibration/recovery.npz"):
        wanted, found = read_scores(fitted / name), read_scores(run.path(name))
        for video, scores in wanted.items():
            np.testing.assert_allclose(found[video], scores, rtol=1e-3)
