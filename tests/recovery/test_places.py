"""What is normal at each place: against numpy over all clips at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad.recovery.places import EVERY, Places
from twostream_vad.recovery.windows import AllWindows
from twostream_vad.scores.calibration import DEVIATIONS, FLOOR
from twostream_vad.scores.stream import clip_batches
from twostream_vad.settings import RecoverySettings
from twostream_vad.storage import CheckpointError
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.views import Views

Film = Callable[..., ImageFolder]
VIEWS = Views(64)


SETTINGS = RecoverySettings(interval=1, windows=(32, 16), score_batch=2)


def still(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predicts that nothing changes."""
    return seen[:, :, -1]


def windows() -> AllWindows:
    return AllWindows(still, SETTINGS, VIEWS)


@pytest.fixture(scope="module")
def videos(film: Film) -> dict[str, ImageFolder]:
    return {name: film(name, frames, height=64, width=72) for name, frames in (("a", 29), ("b", 21), ("short", 8))}


def test_the_most_is_the_mean_and_three_deviations_and_a_floor(videos: dict[str, ImageFolder], tmp_path: Path) -> None:
    stream = windows()
    seen: list[Tensor] = []
    for video in videos.values():
        for clips in clip_batches((VIEWS.scored(frame.image) for frame in video), stream.snippet, 8):
            seen += list(clips[::EVERY])
    found = Places.measure(stream, videos, tmp_path / "sums.safetensors").normal
    assert set(found) == {32, 16}
    for window, normal in found.items():
        errors = np.stack([stream.local_errors(clip[None])[window].numpy() for clip in seen])
        most = errors.mean(0) + DEVIATIONS * errors.std(0)
        floor = np.stack([FLOOR * np.sort(most[:, k].ravel())[(most[:, k].size - 1) // 2] for k in range(3)])
        np.testing.assert_allclose(normal.numpy(), most + floor[:, None, None], rtol=1e-4, atol=1e-6)


def test_a_stopped_measuring_goes_on_behind_the_last_video_to_the_same(
    videos: dict[str, ImageFolder], tmp_path: Path
) -> None:
    def stop(done: int, total: int, note: str = "") -> None:  # noqa: ARG001  a Progress
        if done == 1:
            raise KeyboardInterrupt

    sums = tmp_path / "sums.safetensors"
    with pytest.raises(KeyboardInterrupt):
        Places.measure(windows(), videos, sums, progress=stop)
    left = {**videos, "a": ImageFolder.__new__(ImageFolder)}  # it would break if it were read again
    again = Places.measure(windows(), left, sums).normal
    whole = Places.measure(windows(), videos, tmp_path / "other.safetensors").normal
    assert all(torch.equal(again[window], normal) for window, normal in whole.items())


def test_it_comes_back_from_its_file(videos: dict[str, ImageFolder], tmp_path: Path) -> None:
    places = Places.measure(windows(), videos, tmp_path / "sums.safetensors")
    places.save(tmp_path / "places.safetensors")
    loaded = Places.load(tmp_path / "places.safetensors").normal
    assert all(torch.equal(loaded[window], normal) for window, normal in places.normal.items())


def test_videos_of_several_shapes_are_refused_by_file(
    videos: dict[str, ImageFolder], film: Film, tmp_path: Path
) -> None:
    square = film("square", 20, height=64, width=64)
    with pytest.raises(ValueError, match=r"square: has another size than the videos before it"):
        Places.measure(windows(), {**videos, "square": square}, tmp_path / "sums.safetensors")


def test_videos_too_short_are_refused(videos: dict[str, ImageFolder], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no normal video is longer than a snippet's 9 frames"):
        Places.measure(windows(), {"short": videos["short"]}, tmp_path / "sums.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"places\.safetensors"):
        Places.load(tmp_path / "places.safetensors")
