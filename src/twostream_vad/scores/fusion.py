"""The streams' scores to one; scores and weights are mappings by the stream's name."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

Weights = Mapping[str, float]  # stream → its weight, 0 or more


def check_weights(weights: Weights) -> None:
    """Raises TsvadError where the weights are not numbers of 0 or more with one above 0."""
    values = list(weights.values())
    if not values or not all(math.isfinite(weight) and weight >= 0 for weight in values) or max(values) <= 0:
        raise TsvadError(f"weights must be numbers, 0 or more and not all 0, got {dict(weights)}")


def fuse(scores: Mapping[str, NDArray[Any]], weights: Weights) -> NDArray[np.float64]:
    """Weighted sum of the streams' frame scores (frames,); 1 : 1 in the paper.

    Raises:
        ValueError: the lengths differ, or a score is not a number.
    """
    check_weights(weights)
    values = {name: np.asarray(scores[name], np.float64) for name in weights}
    shapes = {name: line.shape for name, line in values.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise ValueError(f"scores of shapes {shapes}: all need one score for each frame of the same video")
    first, *others = (weights[name] * values[name] for name in weights)
    fused: NDArray[np.float64] = sum(others, first)
    if not np.isfinite(fused).all():
        bad = int(np.flatnonzero(~np.isfinite(fused))[0])
        found = {name: float(line[bad]) for name, line in values.items()}
        raise ValueError(f"frame {bad} scores {found}: score the video again")
    return fused


def fuse_now(scores: Mapping[str, float], weights: Weights) -> float:
    """Weighted sum of the streams' causal scores of one frame; NaN where none has a score yet.

    Where only some have one, they stand for all, at the sum of the weights, so that the level stays comparable. A
    stream of weight 0 is left out.
    """
    total, scored = 0.0, 0.0
    for name, weight in weights.items():
        if not math.isnan(scores[name]):
            total += weight * scores[name]
            scored += weight
    # Dividing by the share of those with a score scales a stream up that stands alone.
    return total / (scored / sum(weights.values())) if scored > 0 else math.nan
