"""EdgeNet learns what the fitted nets give; a killed training goes on to the same weights."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.edge.distil import PLAIN, Teachers, distil, taught
from twostream_vad.errors import TsvadError
from twostream_vad.nets.edge import EdgeNet
from twostream_vad.progress import Progress, silent
from twostream_vad.settings import EdgeSettings, PaceSettings
from twostream_vad.storage import load_tensors
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.views import Views

SIZE, VALUES = 64, 8
MIX = np.random.default_rng(0).standard_normal((6, VALUES)).astype(np.float32)
SETTINGS = EdgeSettings(width=0.25, steps=12, batch=2, ends=2, warmup_steps=2, lr=0.01)
Film = Callable[..., ImageFolder]


def predictor(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Says that what changed goes on."""
    return 2 * seen[:, :, -1] - seen[:, :, -2]


def encoder(clips: NDArray[np.float32]) -> NDArray[np.float32]:
    """A mix of each place's colours in the first and the last frame, without length and offset."""
    side = SIZE // 16
    means = clips[:, :, [0, -1]].reshape(-1, 6, side, 16, side, 16).mean((3, 5))
    mixed = means.transpose(0, 2, 3, 1).reshape(-1, 6) @ MIX
    mixed -= mixed.mean(1, keepdims=True)
    normed: NDArray[np.float32] = mixed / np.sqrt(mixed.var(1, keepdims=True) + 1e-5)
    return normed


TEACHERS = Teachers(predictor, 1, encoder, 2, VALUES)


def learn(videos: list[ImageFolder], folder: Path, progress: Progress = silent, **changed: object) -> Path:
    settings, views = SETTINGS.model_copy(update=changed), Views(SIZE)
    return distil(
        videos, settings, PaceSettings(), TEACHERS, views, folder, seed=3, progress=progress, checkpoint_seconds=0
    )


@pytest.fixture
def videos(film: Film) -> list[ImageFolder]:
    return [film(name, frames=40, height=64, width=80) for name in ("01", "02")]


def test_a_killed_training_goes_on_to_the_same_weights(videos: list[ImageFolder], tmp_path: Path) -> None:
    def stop(done: int, total: int, note: str = "") -> None:
        if (done, total) == (7, 12) and note:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(videos, tmp_path / "killed", stop)
    whole, resumed = (load_tensors(learn(videos, tmp_path / name))[0] for name in ("whole", "killed"))
    assert whole.keys() == resumed.keys() == EdgeNet(0.25, SIZE, VALUES).state_dict().keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_it_learns(videos: list[ImageFolder], tmp_path: Path) -> None:
    learn(videos, tmp_path, steps=60)
    steps = [json.loads(line) for line in (tmp_path / "logs/steps.jsonl").read_text("utf-8").splitlines()]
    assert [("change" in step) for step in steps] == [step % PLAIN == 0 for step in range(60)]
    for key in ("features", "change"):
        values = [step[key] for step in steps if key in step]
        assert np.mean(values[-3:]) < 0.6 * np.mean(values[:3]), key


def test_targets_are_those_of_the_clips_that_end_at_each_frame() -> None:
    clips = torch.randn(2, 3, TEACHERS.before + 3, SIZE, SIZE)
    lesson = taught(TEACHERS, clips, 3, SIZE, predict=True)
    assert TEACHERS.before == 14  # eight frames, every second one
    assert lesson.clips.shape == (2, 3, 7 + 3, SIZE, SIZE)
    assert torch.equal(lesson.clips, clips[:, :, 7:])
    assert lesson.change is not None
    for clip in range(2):
        for end in range(3):
            at, row = 14 + end, 3 * clip + end
            wanted = encoder(clips[clip : clip + 1, :, at - 14 : at + 1 : 2].numpy())
            np.testing.assert_allclose(lesson.features[row].numpy(), wanted, rtol=0, atol=1e-5)
            change = clips[clip, :, at] - clips[clip, :, at - 1]
            torch.testing.assert_close(lesson.change[row], change, rtol=0, atol=1e-5)


def test_a_smaller_net_learns_from_smaller_pictures() -> None:
    clips = torch.randn(2, 3, TEACHERS.before + 2, SIZE, SIZE)
    lesson = taught(TEACHERS, clips, 2, 32, predict=True)
    assert lesson.clips.shape == (2, 3, 9, 32, 32)
    assert lesson.features.shape == (4, 4, VALUES)
    assert lesson.change is not None
    assert lesson.change.shape == (4, 3, 32, 32)
    torch.testing.assert_close(lesson.clips[0, 0, 0, 0, 0], clips[0, 0, 7, :2, :2].mean())


def test_video_shorter_than_a_stretch_is_refused(film: Film, tmp_path: Path) -> None:
    with pytest.raises(TsvadError, match="16 frames of a stretch"):
        learn([film("03", frames=15)], tmp_path)
