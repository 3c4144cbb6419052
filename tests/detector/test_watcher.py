"""A watcher: whole-file scores to the bit, in bounded memory, whatever the clock does."""

import math
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import Detector, FrameScore, TsvadError
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.video.frames import ImageFolder

Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def detector(fitted: Path) -> Detector:
    return Detector.load(fitted, TORCH)


@pytest.fixture(scope="module")
def whole(detector: Detector, images: Images) -> list[float]:
    return [float(score) for score in detector.score(images).fused]


def watch(detector: Detector, images: Images, times: list[float | None]) -> list[FrameScore]:
    watcher = detector.watch()
    return [watcher.push(image, time) for image, time in zip(images, times, strict=True)]


def fused(found: list[FrameScore]) -> list[float]:
    return [score.fused for score in found]


def same(first: list[float], second: list[float]) -> bool:
    return np.array_equal(first, second, equal_nan=True)


@pytest.mark.parametrize("origin", [None, 0.0, 1e9])
def test_a_watcher_gives_the_scores_of_the_whole_file_to_the_bit(
    origin: float | None, detector: Detector, images: Images, whole: list[float]
) -> None:
    times = [None if origin is None else origin + index / 12.5 for index in range(30)]
    found = watch(detector, images, times)
    assert same(fused(found), whole)
    assert [score.index for score in found] == list(range(30))
    assert [score.alarm for score in found] == [score >= detector.threshold for score in whole]


def test_a_clock_that_is_set_changes_no_score_and_is_counted(
    detector: Detector, images: Images, whole: list[float]
) -> None:
    watcher = detector.watch()
    times = [index / 12.5 + (86400 if 10 <= index < 20 else 0) for index in range(30)]
    found = [watcher.push(image, time) for image, time in zip(images, times, strict=True)]
    assert same(fused(found), whole)
    assert watcher.corrected == 2
    np.testing.assert_allclose([score.time for score in found], np.arange(30) / 12.5, atol=1e-4)


def test_raw_scores_come_with_the_frame_that_completes_their_snippet(detector: Detector, images: Images) -> None:
    found = watch(detector, images, [None] * 30)
    for name, stream in detector.streams.items():
        assert [len(score.raw.get(name, ())) for score in found] == [0] * stream.snippet.span + [1] * (
            30 - stream.snippet.span
        )


def test_there_is_no_score_and_no_alarm_before_the_first_snippet(detector: Detector, images: Images) -> None:
    first = watch(detector, images, [None] * 30)[0]
    assert math.isnan(first.fused)
    assert all(math.isnan(score) for score in first.streams.values())
    assert not first.alarm
    assert first.raw == {}


def test_heat_and_nearest_are_those_of_the_file_and_of_the_present_frame_only(
    detector: Detector, images: Images
) -> None:
    watcher = detector.watch()
    (wanted,) = detector.explain(images, [15])
    for image in images[:16]:
        score = watcher.push(image)
    heat = score.heat()
    assert heat is not None
    assert np.array_equal(heat, wanted.heat)  # type: ignore[arg-type]
    assert score.nearest() == wanted.nearest
    watcher.push(images[16])
    with pytest.raises(TsvadError, match="frame 15 is gone, the watcher is at 16"):
        score.heat()


def test_several_watchers_of_one_detector_do_not_disturb_each_other(
    detector: Detector, images: Images, whole: list[float]
) -> None:
    first, second = detector.watch(), detector.watch()
    turned = [image[:, ::-1].copy() for image in images]
    found = []
    for image, other in zip(images, turned, strict=True):
        found.append(first.push(image).fused)
        second.push(other)
    assert same(found, whole)


def test_no_more_than_a_snippets_frames_are_held(detector: Detector, images: Images) -> None:
    watcher, held = detector.watch(), []
    for image in images * 3:
        pushed = image.copy()
        held.append(weakref.ref(pushed))
        watcher.push(pushed)
        del pushed
    assert sum(kept() is not None for kept in held) <= 2


def test_a_camera_that_changes_its_size_needs_a_new_watcher(
    detector: Detector, images: Images, film: Callable[..., ImageFolder]
) -> None:
    watcher = detector.watch()
    watcher.push(images[0])
    with pytest.raises(TsvadError, match="a frame of 144 x 128 pixels came after frames of another size"):
        watcher.push(film().read(0))
