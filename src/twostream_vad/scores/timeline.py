"""Snippet scores to frame scores, the paper's protocol. It looks into the future: for comparison only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.snippets import Snippet
from .causal import TRUNCATE

Scores = NDArray[np.float64]

LAST_OF_SHORT = 1e-5  # the authors' score for the last frame of a video too short for a snippet


def min_max(scores: NDArray[Any]) -> Scores:
    """Scores (m,) stretched to [0, 1]; all 0 where they are all equal. ValueError for NaN and infinity."""
    values = finite(scores)
    if len(values) == 0:
        return values
    low, high = values.min(), values.max()
    if low == high:
        return np.zeros_like(values)
    stretched: Scores = (values - low) / (high - low)
    return stretched


def place(scores: NDArray[Any], offset: int, frames: int) -> Scores:
    """Scores (m,) put on a video's frames (frames,) from ``offset`` on, zeros elsewhere."""
    values = finite(scores)
    if offset < 0 or offset + len(values) > frames:
        raise ValueError(
            f"{len(values)} scores from frame {offset} on do not fit {frames} frames: "
            "the scores and the video do not belong together"
        )
    timeline = np.zeros(frames)
    timeline[offset : offset + len(values)] = values
    return timeline


def smooth(scores: NDArray[Any], sigma: float) -> Scores:
    """Scores (frames,) through a Gaussian of ``sigma`` frames, zeros beyond both ends."""
    if not (sigma > 0 and np.isfinite(sigma)):
        raise ValueError(f"sigma must be a positive number of frames, got {sigma}")
    from scipy.ndimage import gaussian_filter1d  # 0.3 s: a camera never needs it

    values = finite(scores)
    if len(values) == 0:
        return values
    smoothed: Scores = gaussian_filter1d(values, sigma, mode="constant", cval=0.0, truncate=TRUNCATE)
    return smoothed


def paper_timeline(scores: NDArray[Any], snippet: Snippet, frames: int) -> Scores:
    """Frame scores (frames,) of one stream and video: min-max, placed, smoothed by interval * length / 2.

    Args:
        scores: one raw score a snippet, (m,). A video too short for a snippet has none, or, as in the
            authors' files, one a frame: 0, and 1e-5 for the last.
        snippet: the stream's geometry.
        frames: of the video.

    Raises:
        ValueError: NaN among the scores, or another number of scores than the video has snippets.
    """
    values, snippets = finite(scores), snippet.count(frames)
    offset = snippet.offset
    if snippets == 0:
        offset = 0
        if len(values) == 0:
            values = np.zeros(frames)
            values[-1:] = LAST_OF_SHORT
    expected = snippets or frames
    if len(values) != expected:
        raise ValueError(
            f"a video of {frames} frames has {snippets} snippets of {snippet.length} frames, "
            f"{snippet.interval} apart, but {len(values)} scores were given: "
            "score the video again, or check its frame count"
        )
    sigma = snippet.interval * snippet.length / 2
    return smooth(place(min_max(values), offset, frames), sigma)


def on_frames(scores: NDArray[Any], snippet: Snippet, frames: int) -> Scores:
    """Raw snippet scores (snippets,) at the frames they belong to, NaN at all others, (frames,)."""
    line = np.full(frames, np.nan)
    line[snippet.offset : snippet.offset + len(scores)] = scores
    return line


def finite(scores: NDArray[Any]) -> Scores:
    """Scores (m,) as floats; ValueError for another shape, NaN and infinity."""
    values = np.asarray(scores, np.float64)
    if values.ndim != 1:
        raise ValueError(f"scores must be one number each, shape (m,), got shape {values.shape}")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"score {bad} is {values[bad]}: score the video again, and look for NaN in the weights")
    return values
