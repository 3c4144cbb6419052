"""Snippet scores to frame scores, the paper's protocol. It looks into the future: for comparison only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.snippets import Snippet
from .causal import TRUNCATE

Scores = NDArray[np.float64]

LAST_OF_SHORT = 1e-5  # the authors' score for the last frame of a video too short for a snippet


def min_max(scores: Scores) -> Scores:
    """Scores (m,) stretched to [0, 1]; all 0 where they are all equal."""
    if len(scores) == 0 or scores.min() == scores.max():
        return np.zeros_like(scores)
    stretched: Scores = (scores - scores.min()) / (scores.max() - scores.min())
    return stretched


def smooth(scores: Scores, sigma: float) -> Scores:
    """Scores (frames,) through a Gaussian of ``sigma`` frames, zeros beyond both ends."""
    from scipy.ndimage import gaussian_filter1d  # 0.3 s: a camera never needs it

    if len(scores) == 0:
        return scores
    smoothed: Scores = gaussian_filter1d(scores, sigma, mode="constant", cval=0.0, truncate=TRUNCATE)
    return smoothed


def paper_timeline(scores: NDArray[Any], snippet: Snippet, frames: int) -> Scores:
    """Frame scores (frames,) of one stream and video: min-max, placed, smoothed by interval * length / 2.

    ``scores`` has one raw score a snippet, (m,). A video too short for a snippet has none, or, as in the authors'
    files, one a frame: 0, and 1e-5 for the last. NaN, where frames are lost, counts as the score before it.

    Raises:
        ValueError: infinity among the scores, or another number of scores than the video has snippets.
    """
    values, snippets, offset = np.asarray(scores, np.float64), snippet.count(frames), snippet.offset
    if snippets == 0:
        offset = 0
        if values.shape == (0,):
            values = np.zeros(frames)
            values[-1:] = LAST_OF_SHORT
    if values.shape != (snippets or frames,):
        raise ValueError(
            f"a video of {frames} frames has {snippets} snippets of {snippet.length} frames, "
            f"{snippet.interval} apart, but scores of shape {values.shape} were given: "
            "score the video again, or check its frame count"
        )
    values = _held(values)
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"score {bad} is {values[bad]}: score the video again, and look for NaN in the weights")
    timeline = np.zeros(frames)
    timeline[offset : offset + len(values)] = min_max(values)
    return smooth(timeline, snippet.interval * snippet.length / 2)


def _held(scores: Scores) -> Scores:
    """NaN as the score before it; at the start, as the first that is one, or 0."""
    known = np.flatnonzero(~np.isnan(scores))
    if len(known) in (0, len(scores)):
        return scores if len(known) else np.zeros_like(scores)
    before = np.searchsorted(known, np.arange(len(scores)), side="right") - 1
    held: Scores = scores[known[np.maximum(before, 0)]]
    return held


def unscored(lost: NDArray[np.bool_], snippet: Snippet) -> NDArray[np.bool_]:
    """Which snippets have a lost tick in their span, (snippets,), of which ticks are lost, (ticks,)."""
    before = np.concatenate([[0], np.cumsum(lost)])
    count = snippet.count(len(lost))
    spans: NDArray[np.bool_] = before[snippet.span + 1 :][:count] > before[:count]
    return spans


def on_frames(scores: NDArray[Any], snippet: Snippet, frames: int) -> Scores:
    """Raw snippet scores (snippets,) at the frames they belong to, NaN at all others, (frames,)."""
    line = np.full(frames, np.nan)
    line[snippet.offset : snippet.offset + len(scores)] = scores
    return line
