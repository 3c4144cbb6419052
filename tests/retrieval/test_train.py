"""Training of HashNet: losses and draws against loops, and that a kill changes nothing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from twostream_vad.nets.hashnet import HashNet
from twostream_vad.retrieval.features import FeatureSet, VideoRows
from twostream_vad.retrieval.train import draw_pairs, hash_losses, mutual_loss, train_retrieval
from twostream_vad.settings import RetrievalSettings
from twostream_vad.training.loop import seeded

VALUES = 24
VIDEOS = (VideoRows("a", 0, 40, 3, 40), VideoRows("b", 120, 0, 3), VideoRows("c", 120, 9, 2, 9))


def settings(**values: object) -> RetrievalSettings:
    given = {"tables": 3, "bits": 6, "batch": 8, "draws": 16, "epochs": 2, "gap": 5, "lr": 0.05, **values}
    return RetrievalSettings.model_validate(given)


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    """Features of two videos of 40 and 9 snippets, and of one that is too short."""
    found = FeatureSet(tmp_path / "features", VIDEOS, VALUES, "float16", "test")
    found.save()
    np.save(found.path, np.random.default_rng(0).normal(size=(138, VALUES)).astype(np.float16))
    return found


class KilledError(Exception):
    """In place of a SIGKILL."""


def train_until(step: int, features: FeatureSet, folder: Path, kept: int | None = None) -> None:
    """Trains, saving each step, and dies after ``step``; leaves the checkpoint of step ``kept``."""
    checkpoint = folder / "checkpoint.safetensors"

    def progress(done: int, total: int, note: str = "") -> None:
        assert (total, note[:4]) == (8, "loss")
        if done == kept:
            shutil.copy(checkpoint, folder / "kept")
        if done == step:
            raise KilledError

    with pytest.raises(KilledError):
        train_retrieval(features, settings(), folder, seed=1, progress=progress, checkpoint_seconds=0)
    if kept is not None:
        (folder / "kept").replace(checkpoint)


def test_a_killed_training_ends_with_the_same_weights_and_log(features: FeatureSet, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_retrieval(features, settings(), whole, seed=1)
    train_until(3, features, killed)
    train_until(7, features, killed, kept=5)
    train_retrieval(features, settings(), killed, seed=1)

    wanted, found = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    assert list(wanted) == list(found) == [f"layers.{table}.project.weight" for table in range(3)]
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []
    logs = []
    for folder in (whole, killed):
        lines = [json.loads(line) for line in (folder / "logs/steps.jsonl").read_text("utf-8").splitlines()]
        logs.append([(line["step"], line["cosine"], line["mutual"]) for line in lines])
        assert sorted(path.name for path in folder.iterdir()) == ["logs", "model.safetensors"]
    assert logs[0] == logs[1]
    assert [step for step, *_ in logs[0]] == list(range(8))


def initial(seed: int) -> HashNet:
    torch.manual_seed(seed)
    return HashNet(VALUES, tables=3, bits=6)


def test_a_step_follows_the_gradient_of_both_losses_and_the_decay(features: FeatureSet, tmp_path: Path) -> None:
    chosen = settings(epochs=1, draws=4, mutual=0.5, weight_decay=0.1)  # 2 videos, 8 draws: one step
    trained = load_file(train_retrieval(features, chosen, tmp_path, seed=9))
    net = initial(9)
    pairs = draw_pairs([VIDEOS[0], VIDEOS[2]], chosen, seeded(9, 2, 0))
    rows = torch.from_numpy(np.load(features.path)[pairs].astype(np.float32))
    cosine, mutual = hash_losses(net(rows[:, 0]), net(rows[:, 1]))
    (cosine + 0.5 * mutual).backward()  # type: ignore[no-untyped-call]
    for name, weight in net.named_parameters():
        assert weight.grad is not None
        wanted = weight - 0.05 * (weight.grad + 0.1 * weight)
        torch.testing.assert_close(trained[name], wanted.detach(), rtol=1e-5, atol=1e-6)


def test_training_brings_neighbours_together(features: FeatureSet, tmp_path: Path) -> None:
    train_retrieval(features, settings(epochs=10, gap=0, lr=0.5), tmp_path, seed=0)
    lines = [json.loads(line) for line in (tmp_path / "logs/steps.jsonl").read_text("utf-8").splitlines()]
    losses = [line["cosine"] for line in lines]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_no_epochs_leave_the_initial_weights(features: FeatureSet, tmp_path: Path) -> None:
    model = load_file(train_retrieval(features, settings(epochs=0), tmp_path, seed=4))
    net = initial(4)
    assert all(torch.equal(model[name], tensor) for name, tensor in net.state_dict().items())


def test_videos_all_too_short_are_refused(tmp_path: Path) -> None:
    empty = FeatureSet(tmp_path, (VIDEOS[1],), VALUES, "float16", "test")
    with pytest.raises(ValueError, match="no training video is long enough for a snippet of 8 frames"):
        train_retrieval(empty, settings(), tmp_path, seed=0)


def told(pairs: NDArray[np.int64]) -> list[tuple[int, int, int, int, int]]:
    """Video, then snippet and crop of both rows of each pair."""
    found = []
    for pair in pairs.tolist():
        (video,) = {place for row in pair for place in (0, 2) if 0 <= row - VIDEOS[place].first < VIDEOS[place].rows}
        first, crops = VIDEOS[video].first, VIDEOS[video].crops
        (a, crop_a), (b, crop_b) = (divmod(row - first, crops) for row in pair)
        found.append((video, a, crop_a, b, crop_b))
    return found


@pytest.mark.parametrize("gap", [0, 5, 150])
def test_a_pair_is_of_one_video_within_the_gap_in_any_crops(gap: int) -> None:
    drawn = told(draw_pairs([VIDEOS[0], VIDEOS[2]], settings(batch=50000, gap=gap), seeded(0)))
    assert len(drawn) == 50000
    for video in (0, 2):
        snippets, crops = VIDEOS[video].snippets, VIDEOS[video].crops
        found = {pair[1:] for pair in drawn if pair[0] == video}
        assert {(a, b) for a, _, b, _ in found} == {
            (a, b) for a in range(snippets) for b in range(snippets) if abs(a - b) <= gap
        }
        assert {(i, j) for _, i, _, j in found} == {(i, j) for i in range(crops) for j in range(crops)}


def test_videos_are_drawn_equally_often_whatever_their_length() -> None:
    drawn = told(draw_pairs([VIDEOS[0], VIDEOS[2]], settings(batch=20000), seeded(0)))
    assert abs(sum(video == 0 for video, *_ in drawn) - 10000) < 500


def test_a_draw_is_told_by_its_generator() -> None:
    one, two, other = (draw_pairs(VIDEOS[:1], settings(), seeded(*path)) for path in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))


CODES = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(0))
OTHERS = torch.rand(5, 4, 6, generator=torch.Generator().manual_seed(1))


def slow_mutual(codes: NDArray[np.float64]) -> float:
    samples, tables, bits = codes.shape
    pairs = [alike(codes[n, i], codes[n, j]) / bits for n in range(samples) for i in range(tables) for j in range(i)]
    assert len(pairs) == samples * tables * (tables - 1) // 2
    return float(np.mean(pairs))


def test_the_mutual_loss_is_that_of_a_loop_over_pairs_of_layers() -> None:
    assert mutual_loss(CODES).item() == pytest.approx(slow_mutual(CODES.double().numpy()), rel=1e-5)


def test_the_losses_are_those_of_loops_over_pairs() -> None:
    codes, others = CODES.double().numpy(), OTHERS.double().numpy()
    mean = sum(alike(codes[n].ravel(), others[n].ravel()) for n in range(5)) / 5
    found = [loss.item() for loss in hash_losses(CODES, OTHERS)]
    assert found == pytest.approx([1 - mean, (slow_mutual(codes) + slow_mutual(others)) / 2], rel=1e-5)


def test_equal_codes_have_no_cosine_loss() -> None:
    assert hash_losses(CODES, CODES)[0].item() == pytest.approx(0, abs=1e-6)
