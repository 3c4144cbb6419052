"""The paper's way from snippet scores to frame scores."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.scores.timeline import min_max, paper_timeline, smooth, unscored
from twostream_vad.video.snippets import Snippet

RECOVERY = Snippet(length=9, interval=2, offset=16)
RETRIEVAL = Snippet(length=8, interval=8, offset=32)


def by_sum(scores: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """The Gaussian filter as its definition says, tap by tap."""
    radius = int(4 * sigma + 0.5)
    taps = [math.exp(-(d**2) / (2 * sigma**2)) for d in range(-radius, radius + 1)]
    smoothed = np.zeros(len(scores))
    for i in range(len(scores)):
        for d, tap in zip(range(-radius, radius + 1), taps, strict=True):
            if 0 <= i + d < len(scores):
                smoothed[i] += tap / sum(taps) * scores[i + d]
    return smoothed


def test_min_max_spans_zero_to_one() -> None:
    np.testing.assert_array_equal(min_max(np.array([3.0, 5.0, 4.0])), [0, 1, 0.5])


@pytest.mark.parametrize("scores", [[], [7.0], [0.1, 0.1, 0.1]])
def test_equal_scores_are_zero(scores: list[float]) -> None:
    np.testing.assert_array_equal(min_max(np.array(scores)), np.zeros(len(scores)))


@pytest.mark.parametrize("sigma", [0.5, 2.0, 9.0])
def test_smoothing_is_a_gaussian_cut_at_four_sigmas_with_zeros_beyond(sigma: float) -> None:
    scores = np.random.default_rng(0).random(40)
    np.testing.assert_allclose(smooth(scores, sigma), by_sum(scores, sigma), atol=1e-12)


@pytest.mark.parametrize(("snippet", "span", "sigma"), [(RECOVERY, 16, 9.0), (RETRIEVAL, 56, 32.0)])
def test_a_stream_is_stretched_placed_and_smoothed(snippet: Snippet, span: int, sigma: float) -> None:
    scores = np.random.default_rng(1).normal(5, 2, 100 - span)
    placed = np.zeros(100)
    placed[snippet.offset : snippet.offset + len(scores)] = (scores - scores.min()) / np.ptp(scores)
    np.testing.assert_allclose(paper_timeline(scores, snippet, 100), by_sum(placed, sigma), atol=1e-12)


@pytest.mark.parametrize("scores", [np.zeros(0), np.append(np.zeros(35), 1e-5)])
def test_a_short_video_scores_one_at_its_last_frame_before_smoothing(scores: NDArray[np.float64]) -> None:
    placed = np.append(np.zeros(35), 1.0)
    np.testing.assert_allclose(paper_timeline(scores, RETRIEVAL, 36), by_sum(placed, 32), atol=1e-12)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_video_of_one_frame_or_none_scores_zero(frames: int) -> None:
    np.testing.assert_array_equal(paper_timeline(np.zeros(0), RETRIEVAL, frames), np.zeros(frames))


def test_equal_scores_make_a_flat_timeline() -> None:
    np.testing.assert_array_equal(paper_timeline(np.full(44, 0.3), RETRIEVAL, 100), np.zeros(100))


@pytest.mark.parametrize(("count", "frames"), [(43, 100), (100, 100), (0, 100), (35, 36)])
def test_a_wrong_number_of_scores_is_refused_with_both_numbers(count: int, frames: int) -> None:
    with pytest.raises(ValueError, match=rf"{frames} frames .* but scores of shape \({count},\)"):
        paper_timeline(np.ones(count), RETRIEVAL, frames)


def test_an_infinite_score_is_refused_by_place() -> None:
    scores = np.zeros(44)
    scores[3] = np.inf
    with pytest.raises(ValueError, match="score 3 is"):
        paper_timeline(scores, RETRIEVAL, 100)


def test_a_snippet_without_a_score_counts_as_the_one_before() -> None:
    scores = np.random.default_rng(0).random(44)
    gapped, held = scores.copy(), scores.copy()
    gapped[10:20], held[10:20] = np.nan, scores[9]
    np.testing.assert_array_equal(paper_timeline(gapped, RETRIEVAL, 100), paper_timeline(held, RETRIEVAL, 100))
    assert not paper_timeline(np.full(44, np.nan), RETRIEVAL, 100).any()


@pytest.mark.parametrize("snippet", [RETRIEVAL, RECOVERY, Snippet.predicting(3, 1)])
def test_a_snippet_with_a_lost_tick_in_its_span_has_no_score(snippet: Snippet) -> None:
    lost = np.zeros(100, bool)
    lost[[0, 61, 62]] = True
    spans = [range(start, start + snippet.span + 1) for start in range(snippet.count(100))]
    assert unscored(lost, snippet).tolist() == [bool(lost[list(span)].any()) for span in spans]


def test_scores_of_several_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(44, 5\)"):
        paper_timeline(np.zeros((44, 5)), RETRIEVAL, 100)
