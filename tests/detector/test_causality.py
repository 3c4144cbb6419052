"""A causal score never looks ahead: whatever comes after a frame, the scores up to it stay as they are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.detector.detector import Detector, VideoScores
from twostream_vad.runs.run import Run
from twostream_vad.video.frames import Frame, ImageFolder

FRAMES = 30
LAST = (5, 7, 8, 14, 21)
"""Frames t: before the first score, with retrieval's first (7) and recovery's (8), then within and between batches."""


@dataclass(frozen=True)
class Shown:
    """A video in memory."""

    images: NDArray[np.uint8]
    path: Path = Path("shown")
    name: str = "shown"
    rate: float = 25.0

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self.images):
            yield Frame(index, index / self.rate, image)


@pytest.fixture(scope="module")
def images(plaza: Path) -> NDArray[np.uint8]:
    """Square ones, which have one crop each."""
    return np.stack([frame.image[:, 16:144] for frame in ImageFolder(plaza / "testing/frames/01")])


@pytest.fixture(scope="module")
def detector(fitted: Path) -> Detector:
    return Detector.load(Run.open(fitted))


@pytest.fixture(scope="module")
def single(detector: Detector) -> Detector:
    """Scores each snippet by itself: every product of matrices has the same size, however long the video."""
    return replace(detector, batches=(1, 1))


@pytest.fixture(scope="module")
def whole(detector: Detector, images: NDArray[np.uint8]) -> VideoScores:
    return detector.score(Shown(images))


@pytest.fixture(scope="module")
def whole_single(single: Detector, images: NDArray[np.uint8]) -> VideoScores:
    return single.score(Shown(images))


def cut(images: NDArray[np.uint8], last: int) -> Shown:
    return Shown(images[: last + 1])


def spoilt(images: NDArray[np.uint8], last: int) -> Shown:
    """The video with noise in place of every frame after ``last``."""
    noise = np.random.default_rng(last).integers(0, 256, images.shape, dtype=np.uint8)
    noise[: last + 1] = images[: last + 1]
    return Shown(noise)


@pytest.mark.parametrize("last", LAST)
def test_cutting_a_video_changes_no_bit_of_the_scores_before(
    last: int, single: Detector, whole_single: VideoScores, images: NDArray[np.uint8]
) -> None:
    found = single.score(cut(images, last))
    assert np.array_equal(found.causal, whole_single.causal[: last + 1], equal_nan=True)


@pytest.mark.parametrize("last", LAST)
def test_noise_after_a_frame_changes_no_bit_of_the_scores_before(
    last: int, single: Detector, whole_single: VideoScores, images: NDArray[np.uint8]
) -> None:
    found = single.score(spoilt(images, last))
    assert len(found.causal) == FRAMES
    assert np.array_equal(found.causal[: last + 1], whole_single.causal[: last + 1], equal_nan=True)


# In batches, as videos are scored, a cut makes the last batch smaller, and the library multiplies matrices of another
# size in another order: the same snippet's raw score may differ from its sixth digit on, though it sees the very same
# frames. Calibration takes the middle away and divides by the spread, which makes that rounding so many times larger.


def assert_close_to(whole: VideoScores, found: VideoScores, last: int, detector: Detector) -> None:
    """Raw and causal scores up to frame ``last`` are equal but for rounding."""
    assert detector.calibration is not None
    larger = 1.0
    for name, snippet, scale in (
        ("recovery", detector.recovery.snippet, detector.calibration.recovery),
        ("retrieval", detector.retrieval.snippet, detector.calibration.retrieval),
    ):
        snippets = snippet.count(last + 1)
        own, wanted = (getattr(scores.raw, name)[:snippets] for scores in (found, whole))
        np.testing.assert_allclose(own, wanted, rtol=1e-5)
        larger = max(larger, scale.middle / scale.spread)
    limit = 1e-5 * larger * sum(detector.weights)
    assert limit < 0.01  # so that this says something: a score of 1 is what 1 % of normal video reaches
    np.testing.assert_allclose(found.causal[: last + 1], whole.causal[: last + 1], rtol=1e-5, atol=limit)


@pytest.mark.parametrize("last", LAST)
def test_cutting_a_video_scored_in_batches_changes_no_score_before(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    assert_close_to(whole, detector.score(cut(images, last)), last, detector)


@pytest.mark.parametrize("last", LAST)
def test_noise_within_a_batch_changes_no_score_before(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    assert_close_to(whole, detector.score(spoilt(images, last)), last, detector)


def test_there_is_a_score_from_the_first_whole_snippet_on(whole: VideoScores, detector: Detector) -> None:
    first = min(detector.recovery.snippet.span, detector.retrieval.snippet.span)
    assert np.isnan(whole.causal).tolist() == [True] * first + [False] * (FRAMES - first)


@pytest.mark.parametrize("last", [8, 21])
def test_the_frame_that_changes_is_noticed_at_once(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    found = detector.score(spoilt(images, last))
    assert abs(found.causal[last + 1] - whole.causal[last + 1]) > 0.1


@pytest.mark.parametrize("last", [8, 14])
def test_the_papers_protocol_does_look_ahead(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    for changed in (cut(images, last), spoilt(images, last)):
        assert np.abs(detector.score(changed).fused[: last + 1] - whole.fused[: last + 1]).max() > 0.01


def test_the_threshold_is_the_same_for_every_video(
    detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    assert detector.score(spoilt(images, 8)).threshold == whole.threshold
