"""The encoder's own task: what is drawn, what is learned, and that a kill changes nothing."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from twostream_vad.detector.engines.nets import NetEncoder
from twostream_vad.nets.i3d import I3D, init_from_scratch, load_encoder
from twostream_vad.nets.stunet import STUNet
from twostream_vad.retrieval import pace
from twostream_vad.retrieval.pace import MOVING, STILL, Clips, PaceNet, draw_batch, sum_of_losses, train_pace
from twostream_vad.settings import PaceSettings
from twostream_vad.storage import CheckpointError, save_tensors
from twostream_vad.training.loop import seeded
from twostream_vad.video.clips import ClipReader
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.views import Views

Film = Callable[..., ImageFolder]
WIDTH = 1 / 32
VIEWS = Views(128)
SMALL = Views(64)
"""Enough to learn on; the weights are the same at every size."""
SNIPPET = Snippet(8, 1, offset=4)


def settings(**values: object) -> PaceSettings:
    given = {"epochs": 2, "draws": 3, "batch": 2, "warmup_steps": 2, "speeds": (1, 2), **values}
    return PaceSettings.model_validate(given)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a STUNet, with an encoder that has learned nothing."""
    torch.manual_seed(0)
    net = STUNet(WIDTH, 128)
    init_from_scratch(net)
    path = tmp_path_factory.mktemp("start") / "model.safetensors"
    save_tensors(path, net.state_dict(), {"kind": "stunet"})
    return path


class KilledError(Exception):
    """In place of a SIGKILL."""


def train(videos: Sequence[ImageFolder], start: Path, folder: Path, **options: Any) -> Path:
    return train_pace(videos, settings(), SNIPPET, SMALL, start, folder, **{"width": WIDTH, "seed": 1, **options})


def train_until(step: int, videos: Sequence[ImageFolder], start: Path, folder: Path, kept: int | None = None) -> None:
    """Trains, saving each step, and dies after ``step``; leaves the checkpoint of step ``kept``."""
    checkpoint = folder / "checkpoint.safetensors"

    def progress(done: int, total: int, note: str = "") -> None:
        assert (total, note[:4]) == (6, "loss")
        if done == kept:
            shutil.copy(checkpoint, folder / "kept")
        if done == step:
            raise KilledError

    with pytest.raises(KilledError):
        train(videos, start, folder, progress=progress, checkpoint_seconds=0)
    if kept is not None:
        (folder / "kept").replace(checkpoint)


@pytest.fixture(scope="module")
def trained(film: Film, start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the same training, 6 steps: undisturbed, and killed at steps 2 and 5."""
    videos = [film("01", 20), film("02", 24), film("short", 14)]
    whole, killed = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("killed")
    train(videos, start, whole)
    train_until(2, videos, start, killed)
    train_until(5, videos, start, killed, kept=4)
    train(videos, start, killed)
    return whole, killed


def test_a_killed_training_ends_with_the_same_weights_to_the_bit(trained: tuple[Path, Path]) -> None:
    whole, killed = (load_file(folder / "model.safetensors") for folder in trained)
    assert list(whole) == list(killed)
    assert [name for name in whole if not torch.equal(whole[name], killed[name])] == []


def test_a_killed_trainings_log_has_each_step_once_and_the_same_numbers(trained: tuple[Path, Path]) -> None:
    logs = []
    for folder in trained:
        lines = [json.loads(line) for line in (folder / "logs/steps.jsonl").read_text("utf-8").splitlines()]
        logs.append([(line["step"], line["loss"], line["lr"]) for line in lines])
    assert logs[0] == logs[1]
    assert [step for step, *_ in logs[0]] == list(range(6))
    rising, cosine = [0.5, 1.0], [0.5 * (1 + np.cos(np.pi * step / 4)) for step in range(4)]
    assert [lr / settings().lr for *_, lr in logs[0]] == pytest.approx(rising + cosine)


def test_so_many_steps_are_made_however_many_videos_there_are(film: Film, start: Path, tmp_path: Path) -> None:
    totals: list[tuple[int, int]] = []

    def progress(done: int, total: int, note: str = "") -> None:
        assert note[:4] == "loss"
        totals.append((done, total))

    train_pace(
        [film("01", 20)], settings(steps=3), SNIPPET, SMALL, start, tmp_path, width=WIDTH, seed=1, progress=progress
    )
    assert totals == [(1, 3), (2, 3), (3, 3)]


def test_the_file_is_an_encoder_that_has_moved_from_its_start(trained: tuple[Path, Path], start: Path) -> None:
    path = trained[0] / "model.safetensors"
    loaded = [NetEncoder.load(file, width=WIDTH, size=128, cells=2) for file in (path, start)]
    clips = torch.randn(2, 3, 8, 128, 128, generator=torch.Generator().manual_seed(3))
    features, before = (encoder(clips.numpy()) for encoder in loaded)
    assert features.shape == (2, loaded[0].values)
    assert not np.allclose(features, before)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"kind": "i3d", "steps": "6"}


def test_an_encoder_that_is_there_stays(trained: tuple[Path, Path], film: Film, start: Path) -> None:
    path = trained[0] / "model.safetensors"
    before = path.stat().st_mtime_ns
    assert train([film("01", 20)], start, trained[0], seed=9) == path
    assert path.stat().st_mtime_ns == before


def test_weights_of_another_width_are_refused_by_file(film: Film, start: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not the tensors of this net"):
        train([film("01", 20)], start, tmp_path, width=WIDTH * 2)


def test_videos_too_short_for_a_faster_pace_are_refused_with_the_way_out(film: Film, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"the 15 frames of a snippet at 2 times its pace.*retrieval\.encoder=recovery"
    ):
        train([film("a", 14)], tmp_path / "none", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def draw(videos: Sequence[ImageFolder], given: PaceSettings, *path: int) -> Clips:
    return draw_batch(videos, given, SNIPPET, ClipReader(VIEWS), seeded(*path))


def test_a_draw_has_clips_and_a_label_and_a_change_of_every_pixel(film: Film) -> None:
    batch = draw([film("01", 20)], settings(batch=3), 0)
    assert batch.clips.shape == (3, 3, 8, 128, 128)
    assert batch.fast.shape == (3, 128, 128)
    assert set(batch.fast.flatten().tolist()) <= {0.0, 1.0}
    for clip, moves in zip(batch.clips.double().numpy(), batch.change.numpy(), strict=True):
        change = np.abs(np.diff(clip, axis=1)).mean((0, 1))
        floor = 2 * np.sort(change, axis=None)[change.size // 4]
        np.testing.assert_allclose(moves, np.clip(change - floor, 0, None), atol=1e-3)
        assert moves.any()


def test_parts_at_the_ordinary_pace_are_labelled_0(film: Film) -> None:
    batch = draw([film("01", 40)], settings(batch=8).model_copy(update={"speeds": (1, 1)}), 0)
    assert not batch.fast.any()
    assert not torch.equal(batch.clips[0], batch.clips[1])


def write(folder: Path, images: Sequence[NDArray[np.uint8]]) -> ImageFolder:
    folder.mkdir()
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index:02d}.png"), image)
    return ImageFolder(folder)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    """A video whose frame t is t times 4 grey levels all over: every pixel tells its time."""
    return write(tmp_path_factory.mktemp("told") / "told", [np.full((128, 144, 3), 4 * t, np.uint8) for t in range(60)])


def paces(batch: Clips) -> NDArray[np.float64]:
    """Of every pixel of clips of ``told``, frames of video a frame of the clip, (B, S, S)."""
    levels = (batch.clips.mean(1).double().numpy() * 0.225 + 0.45) * 255
    paces: NDArray[np.float64] = np.diff(levels, axis=1).mean(1) / 4
    return paces


@pytest.mark.parametrize("seed", range(3))
def test_the_label_is_1_just_where_more_of_a_faster_part_shows(seed: int, told: ImageFolder) -> None:
    batch = draw([told], settings(boxes=1, batch=4), seed)
    speed = paces(batch)
    # One part over a clip at pace 1: 2 where it shows alone if it is fast, between them where it fades.
    unsure = np.abs(speed - 1.5) < 1e-3
    assert np.array_equal(batch.fast.numpy()[~unsure] == 1, speed[~unsure] > 1.5)


@pytest.mark.parametrize(("speeds", "share"), [((1, 2), 1 / 2), ((1, 1, 1, 2), 1 / 4), ((1, 2, 3, 4), 3 / 4)])
def test_parts_are_faster_as_often_as_the_speeds_are(speeds: tuple[int, ...], share: float, told: ImageFolder) -> None:
    batch = draw([told], settings(boxes=1, batch=64, speeds=speeds), 0)
    assert batch.fast.amax((1, 2)).mean().item() == pytest.approx(share, abs=0.15)


def test_every_speed_that_a_video_is_long_enough_for_is_drawn(told: ImageFolder) -> None:
    batch = draw([told], settings(boxes=1, batch=40, speeds=(1, 3, 8, 9)), 0)
    fastest = {round(pace) for pace in paces(batch).max(axis=(1, 2)).tolist()}
    assert fastest == {1, 3, 8}  # 9 × 7 frames on from the first there is none


def test_a_later_ordinary_part_takes_the_label_of_what_it_covers(told: ImageFolder) -> None:
    batch = draw([told], settings(boxes=3, batch=12, sides=(0.6, 0.9)), 0)
    speed, fast = paces(batch), batch.fast.numpy()
    assert (fast[speed < 1.01] == 0).all()
    assert (fast[speed > 1.99] == 1).all()


def test_a_part_is_as_large_as_the_settings_say(told: ImageFolder) -> None:
    rushing = settings(boxes=1, batch=12, sides=(0.2, 0.3)).model_copy(update={"speeds": (2,)})
    for speed in paces(draw([told], rushing, 0)):
        rows, columns = np.nonzero(speed > 1.01)
        # What moves in this video moves everywhere, so a part may reach over the edge.
        assert max(np.ptp(rows), np.ptp(columns)) <= 0.3 * 128
        if rows.min() > 0 and rows.max() < 127:
            assert np.ptp(rows) >= 0.2 * 128 - 3


def test_a_batch_is_of_one_scene_and_all_scenes_come(tmp_path: Path) -> None:
    grey = {"01_a": 10, "01_b": 60, "02_a": 150, "02_b": 220}
    videos = [write(tmp_path / name, [np.full((128, 144, 3), level, np.uint8)] * 15) for name, level in grey.items()]
    drawn = []
    for seed in range(8):
        clips = draw(videos, settings(batch=6), seed).clips
        drawn.append({round(level) for level in ((clips.mean((1, 2, 3, 4)) * 0.225 + 0.45) * 255).tolist()})
    assert {frozenset(level < 100 for level in levels) for levels in drawn} == {frozenset({True}), frozenset({False})}


def test_clips_of_a_batch_show_the_same_crop_some_of_them_mirrored(tmp_path: Path) -> None:
    slope = np.broadcast_to(np.arange(144, dtype=np.uint8)[None, :, None], (128, 144, 3))
    clips = draw([write(tmp_path / "still", [slope] * 15)], settings(batch=10), 1).clips
    mirrored = [torch.equal(clip, clips[0].flip(-1)) for clip in clips]
    assert set(mirrored) == {True, False}
    assert all(torch.equal(clip, clips[0]) for clip, other in zip(clips, mirrored, strict=True) if not other)


def test_a_step_may_show_several_scenes_and_the_first_is_as_if_alone(
    film: Film, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, shown = [film("01_a", 20), film("02_a", 20), film("03_a", 20)], dict[int, list[Tensor]]()

    def losses(answers: Sequence[Tensor], fast: Tensor, change: Tensor) -> Tensor:
        shown[scenes].append(change)
        return sum_of_losses(answers, fast, change)

    monkeypatch.setattr(pace, "sum_of_losses", losses)
    for scenes in (1, 3):
        shown[scenes] = []
        train(videos, start, tmp_path / str(scenes), scenes=scenes)
    assert [len(change) for change in shown[1] + shown[3]] == [2] * 8 + [6] * 8
    assert all(torch.equal(one, three[:2]) for one, three in zip(shown[1], shown[3], strict=True))


def test_with_heads_the_file_holds_the_whole_net_and_the_same_encoder(
    trained: tuple[Path, Path], film: Film, start: Path, tmp_path: Path
) -> None:
    whole = train([film("01", 20), film("02", 24), film("short", 14)], start, tmp_path, heads=True)
    wanted, found = load_file(trained[0] / "model.safetensors"), load_encoder(whole)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert {"middle.weight", "last.bias"} < set(load_file(whole))


def slow_losses(answers: Sequence[Tensor], fast: Tensor, change: Tensor) -> float:
    total = 0.0
    for answer in answers:
        cell = fast.shape[-1] // answer.shape[-1]
        losses, weights = 0.0, 0.0
        for n, _, row, column in np.ndindex(*answer.shape):
            place = (n, slice(row * cell, (row + 1) * cell), slice(column * cell, (column + 1) * cell))
            moved = change[place].double().numpy() + 1e-4
            share = float((moved * fast[place].double().numpy()).sum() / moved.sum())
            chance = 1 / (1 + np.exp(-float(answer[n, 0, row, column])))
            weight = min(max(float(moved.mean()) / MOVING, STILL), 1.0)
            losses -= weight * (share * np.log(chance) + (1 - share) * np.log(1 - chance))
            weights += weight
        total += losses / weights
    return total


def test_the_losses_are_those_of_a_loop_over_cells() -> None:
    draws = torch.Generator().manual_seed(0)
    answers = [torch.randn(2, 1, side, side, generator=draws) for side in (4, 2)]
    fast = (torch.rand(2, 16, 16, generator=draws) > 0.5).float()
    change = torch.rand(2, 16, 16, generator=draws) * torch.linspace(0, 0.6, 16)
    change[0, :4, :4] = 0  # a cell that is still
    assert sum_of_losses(answers, fast, change).item() == pytest.approx(slow_losses(answers, fast, change), rel=1e-4)


def test_in_a_cell_where_only_a_slow_part_moves_fast_pixels_do_not_count() -> None:
    fast, change = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    fast[:, :, :2], change[:, :, 2:] = 1, 0.5
    slow, quick = (sum_of_losses([torch.full((1, 1, 1, 1), sign)], fast, change).item() for sign in (-9.0, 9.0))
    assert slow < 0.01 < 8 < quick


def test_a_net_that_has_not_learned_is_undecided() -> None:
    net = PaceNet(I3D(WIDTH, 128, cells=1), I3D(WIDTH, 128, cells=1).s4_channels)
    middle, last = net(torch.randn(1, 3, 8, 128, 128))
    assert (middle.shape, last.shape) == ((1, 1, 8, 8), (1, 1, 4, 4))
    assert not middle.any()
    assert not last.any()


def test_a_net_learns_to_tell_the_clips_it_is_shown(film: Film) -> None:
    batch = draw_batch(
        [film("01", 60)], settings(batch=6, boxes=2, speeds=(1, 4)), SNIPPET, ClipReader(SMALL), seeded(0)
    )
    torch.manual_seed(0)
    encoder = I3D(WIDTH, 64, cells=1)
    init_from_scratch(encoder)
    net = PaceNet(encoder, encoder.s4_channels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        loss = sum_of_losses(net(batch.clips), batch.fast, batch.change)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(2 * np.log(2), rel=1e-4)  # undecided on both maps
    assert losses[-1] < 0.6 * losses[0]
