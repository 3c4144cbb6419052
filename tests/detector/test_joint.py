"""A detector whose streams have one encoder: it computes once for both, and nothing else changes."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.detector.bundle import ENCODER, PREDICTOR, Bundle
from twostream_vad.detector.engines.engine import TORCH, Engine, installed
from twostream_vad.detector.group import Group
from twostream_vad.detector.loading import recovery_stream, retrieval_stream
from twostream_vad.nets.i3d import load_encoder
from twostream_vad.recovery.train import train_recovery
from twostream_vad.runs.fit import run_stage
from twostream_vad.runs.ranges import ranges_beside
from twostream_vad.runs.run import Run
from twostream_vad.runs.stages import recovery
from twostream_vad.scores.files import read_scores
from twostream_vad.storage import load_tensors

Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def detector(joined: Path) -> Detector:
    return Detector.load(joined, TORCH)


def test_the_decoder_was_trained_and_the_encoder_is_retrievals(joined: Path) -> None:
    before, after = (load_tensors(joined / folder / "model.safetensors")[0] for folder in ("recovery", "joint"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("decoder.") for name in changed)
    own = load_encoder(joined / "retrieval/encoder/model.safetensors")
    assert all(torch.equal(after[f"encoder.{name}"], tensor) for name, tensor in own.items())


def test_whole_clips_by_two_nets_have_the_same_scores(joined: Path, detector: Detector, images: Images) -> None:
    bundle = Bundle(joined)
    streams = {"recovery": recovery_stream(bundle, TORCH), "retrieval": retrieval_stream(bundle, TORCH)}
    apart = Detector(streams, detector.rate, detector.scales, detector.weights, detector.threshold)
    wanted, found = apart.score(images).raw.streams, detector.score(images).raw.streams
    assert detector.flow is not None
    assert found.keys() == wanted.keys()
    for name, scores in wanted.items():
        np.testing.assert_allclose(found[name], scores, rtol=1e-5, atol=1e-6)


def test_the_stages_score_with_the_joint_net(joined: Path, detector: Detector, images: Images) -> None:
    raw = detector.score(images).raw.streams
    for stream, name in (("recovery", "recovery/chosen.npz"), ("retrieval", "retrieval/scores.npz")):
        np.testing.assert_allclose(raw[stream], read_scores(joined / name)["01"], rtol=1e-5, atol=1e-5)


def test_a_watcher_gives_the_scores_of_the_whole_file_to_the_bit(detector: Detector, images: Images) -> None:
    watcher, whole = detector.watch(12.5), detector.score(images)
    found = [watcher.push(image, index / 12.5) for index, image in enumerate(images)]
    assert np.array_equal([score.fused for score in found], whole.fused, equal_nan=True)


def test_a_group_computes_one_batch_at_a_time(detector: Detector, images: Images) -> None:
    whole = detector.score(images).fused
    with Group(detector) as group:
        members = [group.watch(12.5) for _ in range(2)]
        waiting = [[member.push(image, index / 12.5) for member in members] for index, image in enumerate(images)]
        found = np.array([[future.result().fused for future in each] for each in waiting])
    for line in found.T:
        np.testing.assert_allclose(line, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_other_engines_score_the_same(name: str, joined: Path, detector: Detector, images: Images) -> None:
    if not installed(name):
        pytest.skip("not installed")
    wanted = detector.score(images).raw.streams
    for stream, scores in Detector.load(joined, Engine(name)).score(images).raw.streams.items():  # type: ignore[arg-type]
        np.testing.assert_allclose(scores, wanted[stream], rtol=1e-4, atol=1e-4)


def test_in_int8_both_streams_score_about_the_same(
    joined: Path, detector: Detector, images: Images, tmp_path: Path
) -> None:
    engine = Engine("openvino", "int8", kept=tmp_path, ranges=ranges_beside(joined / "detector"))
    wanted, found = detector.score(images).raw.streams, Detector.load(joined, engine).score(images).raw.streams
    off = [np.abs(scores / wanted[stream] - 1).max() for stream, scores in found.items()]
    assert 1e-4 < max(off) < 0.05
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    Detector.load(joined, engine).score(images)
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_it_says_where_and_what_is_nearest(detector: Detector, images: Images) -> None:
    (told,) = detector.explain(images, [20])
    assert told.heat is not None
    assert told.heat.shape == images[0].shape[:2]
    assert told.nearest is not None
    assert told.nearest.exemplar is not None


def test_encoders_that_differ_stay_two(joined: Path, placed: Path, tmp_path: Path) -> None:
    assert Bundle(joined).has_one_encoder
    assert not Bundle(placed).has_one_encoder
    other = Path(shutil.copytree(joined / "detector", tmp_path / "other"))
    shutil.copyfile(placed / "detector" / PREDICTOR, other / PREDICTOR)
    bundle = Bundle(joined)
    bundle.folder = other
    assert not bundle.has_one_encoder
    assert ENCODER in bundle.hashes


def test_a_killed_training_goes_on_to_the_same_weights(
    joined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.open(Path(shutil.copytree(joined, tmp_path / "run")))
    whole = (joined / "joint/model.safetensors").read_bytes()
    shutil.rmtree(run.path("joint"))
    monkeypatch.setattr(recovery, "train_recovery", partial(train_recovery, checkpoint_seconds=0.0))

    def stop(done: int, total: int, note: str = "") -> None:  # noqa: ARG001
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(run, "train-joint", redo=True, progress=stop)
    assert run.path("joint/checkpoint.safetensors").exists()
    run_stage(run, "train-joint")
    assert run.path("joint/model.safetensors").read_bytes() == whole
