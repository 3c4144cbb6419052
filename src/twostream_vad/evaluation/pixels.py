"""Pixel-level metrics: is the heat where the anomaly is? Frames are added one at a time, in bounded memory.

Two different metrics go by the name of pixel-level AUC. ``PixelAuc`` has one ROC over all pixels of all frames.
``LocalisedAuc`` has one over frames, where an anomalous frame must also be found in the right place.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import EvaluationError, Floats, area, roc_auc

Mask = NDArray[np.bool_]

BINS = 65536


class PixelAuc:
    """Area under one ROC over every pixel of every frame added, each pixel judged by itself.

    Large objects and those near the camera have more pixels, and weigh more. Scores are counted in bins of
    equal width from ``low`` to ``high``, best the least and the greatest score of all frames; two in one bin count
    as tied, which counts half. Scores outside the range fall into the bin at its end.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._normal = np.zeros(BINS, np.int64)
        self._anomalous = np.zeros(BINS, np.int64)

    def add(self, heat: NDArray[Any], mask: Mask) -> None:
        """Count a frame's scores (H, W) under its mask (H, W), True if anomalous; EvaluationError: not finite."""
        share = (np.clip(_finite(heat), self._low, self._high) - self._low) / (self._high - self._low)
        index = np.minimum((share * BINS).astype(np.intp), BINS - 1)
        self._anomalous += np.bincount(index[mask], minlength=BINS)
        self._normal += np.bincount(index[~mask], minlength=BINS)

    def value(self) -> float:
        """The area; NoMetricError before pixels of both kinds were added."""
        return area(self._normal, self._anomalous)


class LocalisedAuc:
    """Area under the ROC of frames, where an anomaly counts as found only in its place.

    At a threshold, an anomalous frame is a true positive if at least 40 % of its anomalous pixels are at or above
    it; a normal frame is a false positive if any pixel is. Rates are of all anomalous and of all normal
    frames. (Mahadevan, Li, Bhalodia and Vasconcelos, CVPR 2010; Li, Mahadevan and Vasconcelos, PAMI 2014.)
    Heat on the normal pixels of an anomalous frame costs nothing: a frame that is hot all over is found too.

    A frame is kept as one number, the highest threshold at which it turns positive. Below the least score
    everything is positive, so the curve always ends at (1, 1), and its area is the AUC of these numbers, by
    trapezoids: equal ones count half.
    """

    def __init__(self) -> None:
        self._positive_from: list[float] = []
        self._anomalous: list[bool] = []

    def add(self, heat: NDArray[Any], mask: Mask) -> None:
        """Judge a frame's scores (H, W) by its mask (H, W), True if anomalous; EvaluationError: not finite."""
        values = _finite(heat)
        inside = values[mask]
        if inside.size:
            enough = -(-2 * inside.size // 5)  # the fewest pixels that are 40 %, in whole numbers: nothing is rounded
            reached = np.partition(inside, inside.size - enough)[inside.size - enough]
        else:
            reached = values.max()
        self._positive_from.append(float(reached))
        self._anomalous.append(bool(inside.size))

    def value(self) -> float:
        """The area; NoMetricError before frames of both kinds were added."""
        return roc_auc(np.array(self._positive_from), np.array(self._anomalous))


def _finite(heat: NDArray[Any]) -> Floats:
    values = np.asarray(heat, np.float64)
    if not np.isfinite(values).all():
        raise EvaluationError("a frame's heat holds NaN or infinity: look for them in the weights, or score it again")
    return values
