"""The two streams' scores to one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fuse(recovery: NDArray[Any], retrieval: NDArray[Any], weights: Sequence[float] = (1.0, 1.0)) -> NDArray[np.float64]:
    """Weighted sum of both streams' frame scores (frames,), recovery's weight first; 1 : 1 in the paper.

    ValueError where the lengths differ, a score is not a number, or the weights are not two numbers of 0 or
    more with one above 0.
    """
    if len(weights) != 2 or not (np.isfinite(weights).all() and min(weights) >= 0 and max(weights) > 0):
        raise ValueError(f"weights must be two numbers, 0 or more and not both 0, got {tuple(weights)}")
    first, second = np.asarray(recovery, np.float64), np.asarray(retrieval, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"recovery has scores of shape {first.shape}, retrieval of {second.shape}: "
            "both need one score for each frame of the same video"
        )
    fused: NDArray[np.float64] = weights[0] * first + weights[1] * second
    if not np.isfinite(fused).all():
        bad = int(np.flatnonzero(~np.isfinite(fused))[0])
        raise ValueError(f"frame {bad} scores {first[bad]} and {second[bad]}: score the video again")
    return fused
