"""Snippet scores to frame scores, the causal protocol: frame t's score uses frames <= t only, as a camera must.

Nothing is normalised per video: scores stand on a scale set beforehand on normal video (``calibration.py``).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.snippets import Snippet
from .calibration import Scale
from .fusion import fuse
from .timeline import TRUNCATE, finite, on_frames

Scores = NDArray[np.float64]


def causal_snippet(snippet: Snippet) -> Snippet:
    """The same frames, but their score belongs to the last of them: only then have all been seen."""
    return replace(snippet, offset=snippet.span)


def smooth_causal(values: NDArray[Any], sigma: float) -> Scores:
    """Scores (m,), one a frame, each the Gaussian-weighted mean of itself and the ones before, (m,).

    Raises:
        ValueError: NaN or infinity among the scores, or a sigma that is not a positive number of frames.
    """
    scores = finite(values)
    taps, masses = _kernel(sigma)
    total = np.zeros(len(scores))
    # Tap by tap, not np.convolve: what comes after a frame cannot change a bit of its score.
    for delay, tap in enumerate(taps[: len(scores)]):
        total[delay:] += tap * scores[: len(scores) - delay]
    smoothed: Scores = total / np.array(masses)[np.minimum(np.arange(len(scores)), len(masses) - 1)]
    return smoothed


def causal_sigma(snippet: Snippet) -> float:
    """interval * length / 4 frames, half of the paper's sigma: a fixed rule, chosen on no video.

    A one-sided Gaussian lags by 0.8 sigma; at the paper's own sigma the retrieval stream would be 26 frames late.
    """
    return snippet.interval * snippet.length / 4


def causal_timeline(scores: NDArray[Any], snippet: Snippet, frames: int, scale: Scale) -> Scores:
    """Frame scores (frames,) of one stream and video: calibrated, smoothed, at each snippet's last frame.

    Frames before the first score are NaN, "no score yet"; in a video too short for a snippet, all are.

    Args:
        scores: one raw score a snippet, (m,). A video too short for a snippet has none, or, as in the
            authors' files, one a frame, which are left out.
        snippet: the stream's geometry; its offset does not matter.
        frames: of the video.
        scale: of the stream, from held-out normal video.

    Raises:
        ValueError: NaN among the scores, or another number of scores than the video has snippets.
    """
    values, snippets = np.asarray(scores, np.float64), snippet.count(frames)
    if snippets == 0 and values.shape == (frames,):
        values = values[:0]
    if values.ndim == 1 and len(values) != snippets:
        raise ValueError(
            f"a video of {frames} frames has {snippets} snippets of {snippet.length} frames, "
            f"{snippet.interval} apart, but {len(values)} scores were given: "
            "score the video again, or check its frame count"
        )
    smoothed = smooth_causal(scale.apply(values), causal_sigma(snippet))
    return on_frames(smoothed, causal_snippet(snippet), frames)


def fuse_causal(
    recovery: NDArray[Any], retrieval: NDArray[Any], weights: Sequence[float] = (1.0, 1.0)
) -> NDArray[np.float64]:
    """Weighted sum of both streams' causal timelines (frames,), recovery's weight first.

    Where only one stream has a score yet, it stands for both, at the sum of the weights, so that the level
    stays comparable; NaN where neither has. A stream of weight 0 is left out: its NaN does not matter.

    Raises:
        ValueError: the lengths differ, a score is infinite, or the weights are not two numbers of 0 or more
            with one above 0.
    """
    first, second = np.asarray(recovery, np.float64), np.asarray(retrieval, np.float64)
    fused = fuse(np.where(np.isnan(first), 0.0, first), np.where(np.isnan(second), 0.0, second), weights)
    # The weight of those with a score: dividing by its share scales a stream up that stands alone.
    scored = weights[0] * ~np.isnan(first) + weights[1] * ~np.isnan(second)
    share = np.where(scored > 0, scored / sum(weights), np.nan)
    alone_or_both: NDArray[np.float64] = fused / share
    return alone_or_both


def cold_start(fused: NDArray[Any]) -> NDArray[np.float64]:
    """Fused causal scores (frames,) with 0, "ordinary" on the calibrated scale, where there is none yet.

    For metrics, which need a number for every frame. It is causal too: the 0 is known before the video starts.
    """
    scores = np.asarray(fused, np.float64)
    return np.where(np.isnan(scores), 0.0, scores)


def _kernel(sigma: float) -> tuple[list[float], list[float]]:
    """Taps for a delay of 0, 1, … frames, and their running sums: the kernel's mass after 1, 2, … scores."""
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ValueError(f"sigma must be a positive number of frames, got {sigma}")
    radius = int(TRUNCATE * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return taps.tolist(), np.cumsum(taps).tolist()
