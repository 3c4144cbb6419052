"""Snippet scores to frame scores, the causal protocol: frame t's score uses frames <= t only, as a camera must.

Nothing is normalised per video: scores stand on a scale set beforehand on normal video (``calibration.py``). Files and
cameras go through the same objects, a score at a time.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.snippets import Snippet
from .calibration import Scale
from .fusion import Weights, fuse_now

Scores = NDArray[np.float64]

TRUNCATE = 4.0  # the Gaussian is cut at this many sigmas, here and in the paper's protocol


def causal_sigma(snippet: Snippet) -> float:
    """interval * length / 4 frames, half of the paper's sigma: a fixed rule, chosen on no video.

    A one-sided Gaussian lags by 0.8 sigma; at the paper's own sigma the retrieval stream would be 26 frames late.
    """
    return snippet.interval * snippet.length / 4


class CausalSmoother:
    """Each score is the Gaussian-weighted mean of itself and the ones before; ``sigma``, in scores, lies above 0."""

    def __init__(self, sigma: float) -> None:
        radius = int(TRUNCATE * sigma + 0.5)
        taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
        self._taps: list[float] = taps.tolist()
        self._masses: list[float] = np.cumsum(taps).tolist()
        self._recent: deque[float] = deque(maxlen=radius + 1)

    def push(self, score: float) -> float:
        """The smoothed score."""
        self._recent.appendleft(score)
        total = 0.0
        for tap, value in zip(self._taps, self._recent, strict=False):
            total += tap * value
        return total / self._masses[len(self._recent) - 1]


class CausalStream:
    """One stream's causal score, tick by tick: calibrated, smoothed, at each snippet's last frame.

    ``score`` is the present one; NaN until the first snippet has been seen, and again behind frames that are lost.
    """

    def __init__(self, snippet: Snippet, scale: Scale) -> None:
        self._sigma, self._scale = causal_sigma(snippet), scale
        self._smoother = CausalSmoother(self._sigma)
        self.score = math.nan

    def push(self, raw: float) -> float:
        """The causal score that a snippet's raw score leads to; NaN is no score: what comes next begins anew."""
        if math.isinf(raw):
            raise ValueError(f"a snippet scores {raw}: look for NaN in the weights")
        if math.isnan(raw):
            self._smoother, self.score = CausalSmoother(self._sigma), math.nan
            return self.score
        self.score = self._smoother.push(self._scale.apply(raw))
        return self.score


def causal_timeline(raw: NDArray[Any], snippet: Snippet, ticks: int, scale: Scale) -> Scores:
    """Causal scores (ticks,) of one stream and video; NaN, "no score", before the first and where ``raw`` has NaN.

    ``raw`` has one score a snippet, (m,), NaN where frames are lost. A video too short for a snippet has none, or, as
    in the authors' files, one a frame, which are left out.

    Raises:
        ValueError: infinity among the scores, or another number of scores than the video has snippets.
    """
    values, snippets = np.asarray(raw, np.float64), snippet.count(ticks)
    if snippets == 0 and values.shape == (ticks,):
        values = values[:0]
    if values.shape != (snippets,):
        raise ValueError(
            f"a video of {ticks} frames has {snippets} snippets of {snippet.length} frames, "
            f"{snippet.interval} apart, but scores of shape {values.shape} were given: "
            "score the video again, or check its frame count"
        )
    line, stream = np.full(ticks, np.nan), CausalStream(snippet, scale)
    line[snippet.span :] = [stream.push(score) for score in values.tolist()]
    return line


def fuse_causal(scores: Mapping[str, Iterable[float]], weights: Weights) -> Scores:
    """The streams' causal timelines, (ticks,) each, fused tick by tick, see `fuse_now`."""
    lines = zip(*(np.asarray(scores[name], np.float64).tolist() for name in weights), strict=True)
    return np.array([fuse_now(dict(zip(weights, values, strict=True)), weights) for values in lines])


def causal_frames(
    raw: Mapping[str, NDArray[Any]],
    snippets: Mapping[str, Snippet],
    scales: Mapping[str, Scale],
    weights: Weights,
    ticks: NDArray[np.int64],
) -> tuple[dict[str, Scores], Scores]:
    """Each stream's causal scores and their fusion, (frames,), of raw scores a snippet, by stream.

    ``ticks``, (frames,), is the last tick before or at each frame. Errors as for `causal_timeline`.
    """
    count = int(ticks[-1]) + 1 if len(ticks) else 0
    lines = {name: causal_timeline(raw[name], snippet, count, scales[name]) for name, snippet in snippets.items()}
    return {name: line[ticks] for name, line in lines.items()}, fuse_causal(lines, weights)[ticks]


def cold_start(fused: NDArray[Any]) -> Scores:
    """Fused causal scores (frames,) with 0, "ordinary" on the calibrated scale, where there is none yet.

    For metrics, which need a number for every frame. It is causal too: the 0 is known before the video starts.
    """
    scores = np.asarray(fused, np.float64)
    return np.where(np.isnan(scores), 0.0, scores)
