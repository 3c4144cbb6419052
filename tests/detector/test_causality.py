"""A causal score never looks ahead: whatever comes after a frame, the scores up to it stay as they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.detector.detector import Detector, VideoScores
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.scores.timeline import paper_timeline
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
    rate: float = 12.5

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self.images):
            yield Frame(index, index / self.rate, image)


@pytest.fixture(scope="module")
def images(plaza: Path) -> NDArray[np.uint8]:
    """Square ones, which have one crop each."""
    return np.stack([frame.image[:, 16:144] for frame in ImageFolder(plaza / "testing/frames/01")])


@pytest.fixture(scope="module")
def detector(fitted: Path) -> Detector:
    return Detector.load(fitted, TORCH)


@pytest.fixture(scope="module")
def whole(detector: Detector, images: NDArray[np.uint8]) -> VideoScores:
    return detector.score(Shown(images))


def cut(images: NDArray[np.uint8], last: int) -> Shown:
    return Shown(images[: last + 1])


def spoilt(images: NDArray[np.uint8], last: int) -> Shown:
    """The video with noise in place of every frame after ``last``."""
    noise = np.random.default_rng(last).integers(0, 256, images.shape, dtype=np.uint8)
    noise[: last + 1] = images[: last + 1]
    return Shown(noise)


@pytest.mark.parametrize("last", LAST)
def test_cutting_a_video_changes_no_bit_of_the_scores_before(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    found = detector.score(cut(images, last))
    assert np.array_equal(found.fused, whole.fused[: last + 1], equal_nan=True)


@pytest.mark.parametrize("last", LAST)
def test_noise_after_a_frame_changes_no_bit_of_the_scores_before(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    found = detector.score(spoilt(images, last))
    assert len(found.fused) == FRAMES
    assert np.array_equal(found.fused[: last + 1], whole.fused[: last + 1], equal_nan=True)


def test_there_is_a_score_from_the_first_whole_snippet_on(whole: VideoScores, detector: Detector) -> None:
    first = min(stream.snippet.span for stream in detector.streams.values())
    assert np.isnan(whole.fused).tolist() == [True] * first + [False] * (FRAMES - first)


@pytest.mark.parametrize("last", [8, 21])
def test_the_frame_that_changes_is_noticed_at_once(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    found = detector.score(spoilt(images, last))
    assert abs(found.fused[last + 1] - whole.fused[last + 1]) > 0.1


@pytest.mark.parametrize("last", [8, 14])
def test_the_papers_protocol_does_look_ahead(
    last: int, detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    snippet = detector.streams["recovery"].snippet
    paper = paper_timeline(whole.raw.streams["recovery"], snippet, FRAMES)
    found = detector.score(spoilt(images, last)).raw.streams["recovery"]
    assert np.abs(paper_timeline(found, snippet, FRAMES)[: last + 1] - paper[: last + 1]).max() > 0.01


def test_the_threshold_is_the_same_for_every_video(
    detector: Detector, whole: VideoScores, images: NDArray[np.uint8]
) -> None:
    assert detector.score(spoilt(images, 8)).threshold == whole.threshold
