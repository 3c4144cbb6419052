"""The causal protocol: no score depends on what comes after its frame, and a live feed gets the same numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twostream_vad.scores.calibration import Scale
from twostream_vad.scores.causal import (
    CausalSmoother,
    CausalStream,
    causal_sigma,
    causal_timeline,
    cold_start,
    fuse_causal,
)
from twostream_vad.video.snippets import RECOVERY, RETRIEVAL, Snippet

Scores = NDArray[np.float64]

SCALE = Scale(2.0, 5.0)
NAN = math.nan


def random_scores(count: int, seed: int = 0) -> Scores:
    return np.random.default_rng(seed).normal(3, 2, count)


def by_definition(scores: Scores, sigma: float) -> Scores:
    """Each score's mean with all before it, weighted by the Gaussian of their distance, cut at four sigmas."""
    smoothed = np.zeros(len(scores))
    for now in range(len(scores)):
        delays = range(min(now, int(4 * sigma + 0.5)) + 1)
        weights = [math.exp(-(delay**2) / (2 * sigma**2)) for delay in delays]
        smoothed[now] = sum(w * scores[now - d] for d, w in zip(delays, weights, strict=True)) / sum(weights)
    return smoothed


def smooth_causal(scores: Scores, sigma: float) -> Scores:
    """All scores through one smoother."""
    smoother = CausalSmoother(sigma)
    return np.array([smoother.push(score) for score in scores.tolist()])


def both(recovery: Scores, retrieval: Scores, weights: tuple[float, float] = (1.0, 1.0)) -> Scores:
    """Two timelines fused."""
    named = {"recovery": recovery, "retrieval": retrieval}
    return fuse_causal(named, dict(zip(named, weights, strict=True)))


def fused(streams: list[Scores], frames: int) -> Scores:
    """Both streams' raw scores, all the way to one number a frame."""
    recovery, retrieval = (
        causal_timeline(scores, snippet, frames, SCALE)
        for scores, snippet in zip(streams, (RECOVERY, RETRIEVAL), strict=True)
    )
    return cold_start(both(recovery, retrieval, (1.0, 2.0)))


@pytest.mark.parametrize(("snippet", "last"), [(RECOVERY, 16), (RETRIEVAL, 56), (Snippet(1, 3, 0), 0)])
def test_a_score_belongs_to_its_snippets_last_frame(snippet: Snippet, last: int) -> None:
    line = causal_timeline(random_scores(3), snippet, last + 3, SCALE)
    assert np.flatnonzero(~np.isnan(line)).tolist() == [last, last + 1, last + 2]


@pytest.mark.parametrize("sigma", [0.1, 0.5, 4.5, 16.0])
@pytest.mark.parametrize("count", [0, 1, 5, 18, 19, 90])
def test_smoothing_is_a_one_sided_gaussian_over_what_was_seen(sigma: float, count: int) -> None:
    scores = random_scores(count)
    np.testing.assert_allclose(smooth_causal(scores, sigma), by_definition(scores, sigma), atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(count=st.integers(1, 90), sigma=st.floats(0.1, 10), seed=st.integers(0, 1000))
def test_equal_scores_stay_equal_from_the_first_on(count: int, sigma: float, seed: int) -> None:
    value = random_scores(1, seed)[0]
    np.testing.assert_allclose(smooth_causal(np.full(count, value), sigma), value, rtol=1e-12)


def test_smoothing_lags_by_four_fifths_of_sigma() -> None:
    ramp = np.arange(400.0)
    assert 399 - smooth_causal(ramp, 32.0)[-1] == pytest.approx(0.8 * 32, abs=0.5)


@pytest.mark.parametrize(("snippet", "sigma"), [(RECOVERY, 4.5), (RETRIEVAL, 16.0)])
def test_a_timeline_is_calibrated_smoothed_and_placed_at_the_last_frame(snippet: Snippet, sigma: float) -> None:
    scores = random_scores(100 - snippet.span)
    expected = np.full(100, NAN)
    expected[snippet.span :] = by_definition((scores - 2) / 3, sigma)
    assert causal_sigma(snippet) == sigma
    np.testing.assert_allclose(causal_timeline(scores, snippet, 100, SCALE), expected, atol=1e-12)


def test_no_video_is_normalised_by_itself() -> None:
    quiet = np.full(44, 2.0)
    assert causal_timeline(quiet, RETRIEVAL, 100, SCALE)[-1] == 0
    assert causal_timeline(quiet + 6, RETRIEVAL, 100, SCALE)[-1] == pytest.approx(2)


@pytest.mark.parametrize("frames", [0, 1, 56])
def test_a_video_too_short_for_a_snippet_has_no_score_yet(frames: int) -> None:
    for scores in (np.zeros(0), np.zeros(frames)):
        np.testing.assert_array_equal(causal_timeline(scores, RETRIEVAL, frames, SCALE), np.full(frames, NAN))


def test_a_video_of_one_snippet_scores_its_last_frame() -> None:
    np.testing.assert_array_equal(
        causal_timeline(np.array([8.0]), RETRIEVAL, 57, SCALE), np.append(np.full(56, NAN), 2)
    )


@pytest.mark.parametrize(("count", "frames"), [(43, 100), (100, 100), (0, 100), (35, 36)])
def test_a_wrong_number_of_scores_is_refused_with_both_numbers(count: int, frames: int) -> None:
    with pytest.raises(ValueError, match=rf"{frames} frames .* but scores of shape \({count},\)"):
        causal_timeline(np.ones(count), RETRIEVAL, frames, SCALE)


def test_an_infinite_score_is_refused_in_words() -> None:
    scores = np.zeros(44)
    scores[3] = np.inf
    with pytest.raises(ValueError, match="a snippet scores inf: look for NaN"):
        causal_timeline(scores, RETRIEVAL, 100, SCALE)


def test_behind_snippets_without_a_score_everything_begins_anew() -> None:
    scores = np.random.default_rng(0).random(44)
    gapped = scores.copy()
    gapped[10:20] = np.nan
    line = causal_timeline(gapped, RETRIEVAL, 100, SCALE)
    span = RETRIEVAL.span
    assert np.isnan(line[span + 10 : span + 20]).all()
    np.testing.assert_array_equal(line[: span + 10], causal_timeline(scores, RETRIEVAL, 100, SCALE)[: span + 10])
    alone = causal_timeline(scores[20:], RETRIEVAL, 80, SCALE)
    np.testing.assert_array_equal(line[span + 20 :], alone[span:])


def test_scores_of_several_windows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(44, 5\)"):
        causal_timeline(np.zeros((44, 5)), RETRIEVAL, 100, SCALE)


@settings(deadline=None, max_examples=60)
@given(frames=st.integers(57, 160), seed=st.integers(0, 1000), data=st.data())
def test_what_comes_after_a_frame_changes_no_score_up_to_it(frames: int, seed: int, data: st.DataObject) -> None:
    now = data.draw(st.integers(0, frames - 1))
    streams = [random_scores(snippet.count(frames), seed) for snippet in (RECOVERY, RETRIEVAL)]
    changed = [scores.copy() for scores in streams]
    for scores, snippet in zip(changed, (RECOVERY, RETRIEVAL), strict=True):
        # The snippets of which a frame lies after `now`.
        scores[snippet.count(now + 1) :] *= -1000
    before = fused(streams, frames)[: now + 1]
    np.testing.assert_array_equal(fused(changed, frames)[: now + 1], before)


@settings(deadline=None, max_examples=60)
@given(frames=st.integers(0, 160), seed=st.integers(0, 1000), data=st.data())
def test_cutting_the_video_after_a_frame_changes_no_score_up_to_it(frames: int, seed: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, frames))
    streams = [random_scores(snippet.count(frames), seed) for snippet in (RECOVERY, RETRIEVAL)]
    cut = [scores[: snippet.count(kept)] for scores, snippet in zip(streams, (RECOVERY, RETRIEVAL), strict=True)]
    np.testing.assert_array_equal(fused(cut, kept), fused(streams, frames)[:kept])


def test_a_stream_alone_stands_for_both_until_the_other_has_a_score() -> None:
    recovery, retrieval = np.array([NAN, 1.0, 2.0, NAN]), np.array([NAN, NAN, 5.0, 3.0])
    np.testing.assert_allclose(both(recovery, retrieval), [NAN, 2, 7, 6])
    np.testing.assert_allclose(both(recovery, retrieval, (1.0, 3.0)), [NAN, 4, 17, 12])


def test_a_stream_of_weight_0_is_left_out() -> None:
    recovery, retrieval = np.array([NAN, 1.0, 2.0, NAN]), np.array([NAN, NAN, 5.0, 3.0])
    np.testing.assert_array_equal(both(recovery, retrieval, (2, 0)), [NAN, 2, 4, NAN])
    np.testing.assert_array_equal(both(recovery, retrieval, (0, 0.5)), [NAN, NAN, 2.5, 1.5])


def test_a_video_without_frames_is_fused_to_none() -> None:
    assert both(np.zeros(0), np.zeros(0)).shape == (0,)


def test_timelines_of_different_videos_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter than"):
        both(np.ones(3), np.full(2, NAN))


def test_a_camera_gets_the_scores_of_the_whole_video_to_the_bit() -> None:
    """Against products of arrays, tap by tap, in the same order."""
    scores, stream = random_scores(200), CausalStream(RETRIEVAL, SCALE)
    sigma = causal_sigma(RETRIEVAL)
    taps = np.exp(-0.5 * (np.arange(int(4 * sigma + 0.5) + 1) / sigma) ** 2)
    total, scaled = np.zeros(200), (scores - 2.0) / SCALE.spread
    for delay, tap in enumerate(taps):
        total[delay:] += tap * scaled[: 200 - delay]
    expected = total / np.cumsum(taps)[np.minimum(np.arange(200), len(taps) - 1)]
    assert math.isnan(stream.score)
    assert [stream.push(score) for score in scores.tolist()] == expected.tolist()


def test_a_frame_without_a_score_yet_counts_as_ordinary() -> None:
    given = np.array([NAN, -1.0, 2.0])
    np.testing.assert_array_equal(cold_start(given), [0, -1, 2])
    assert np.isnan(given[0])
