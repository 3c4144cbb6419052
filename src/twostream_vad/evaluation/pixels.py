"""Pixel-level metrics: is the heat where the anomaly is? Frames are added one at a time, in bounded memory.

Two different metrics go by the name of pixel-level AUC. ``PixelAuc`` has one ROC over all pixels of all frames.
``LocalisedAuc`` has one over frames, where an anomalous frame must also be found in the right place.
"""

from bisect import bisect_left
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .auc import roc_auc

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class PixelAuc:
    """Area under one ROC over every pixel of every frame added, each pixel judged by itself.

    Large objects and those near the camera have more pixels, and weigh more. Scores are counted in bins of
    equal width; two in one bin count as tied, which counts half. ``bound`` says by how much the value may
    therefore be off. Scores outside the range fall into the bin at its end.
    """

    def __init__(self, low: float, high: float, *, bins: int = 65536) -> None:
        """A histogram from ``low`` to ``high``, best the least and the greatest score; ValueError if it is none."""
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(f"the range of scores must be two rising finite numbers, got {low} to {high}")
        if bins < 1:
            raise ValueError(f"bins must be 1 or more, got {bins}")
        self._low, self._high, self._bins = float(low), float(high), bins
        self._normal = np.zeros(bins, np.int64)
        self._anomalous = np.zeros(bins, np.int64)

    def add(self, heat: NDArray[Any], mask: Mask) -> None:
        """Count one frame's scores (H, W) under its mask (H, W), True where anomalous.

        Raises ValueError for NaN or infinity, or shapes that differ.
        """
        values, marked = _frame(heat, mask)
        share = (np.clip(values, self._low, self._high) - self._low) / (self._high - self._low)
        index = np.minimum((share * self._bins).astype(np.intp), self._bins - 1)
        self._anomalous += np.bincount(index[marked], minlength=self._bins)
        self._normal += np.bincount(index[~marked], minlength=self._bins)

    def value(self) -> float:
        """The area; ValueError before pixels of both kinds were added."""
        normal, anomalous = self._counts()
        below = np.cumsum(normal) - normal
        return float((anomalous * (below + normal / 2)).sum() / (anomalous.sum() * normal.sum()))

    def bound(self) -> float:
        """The most by which ``value`` may differ from the area without bins.

        Half the share of pairs, an anomalous pixel and a normal one, that lie in one bin: only their order is
        unknown. ValueError as ``value``.
        """
        normal, anomalous = self._counts()
        return float((anomalous * normal).sum() / (2 * anomalous.sum() * normal.sum()))

    def _counts(self) -> tuple[Floats, Floats]:
        """As floats: products of a large dataset's counts do not fit 64 bits."""
        if not self._normal.any() or not self._anomalous.any():
            lacking = "anomalous" if self._normal.any() else "normal"
            raise ValueError(f"no {lacking} pixels were added: add frames of both kinds, with their masks")
        return self._normal.astype(np.float64), self._anomalous.astype(np.float64)


class LocalisedAuc:
    """Area under the ROC of frames, where an anomaly counts as found only in its place.

    At a threshold, an anomalous frame is a true positive if at least ``share`` of its anomalous pixels are at or
    above it; a normal frame is a false positive if any pixel is. Rates are of all anomalous and of all normal
    frames. (Mahadevan, Li, Bhalodia and Vasconcelos, CVPR 2010; Li, Mahadevan and Vasconcelos, PAMI 2014.)
    Heat on the normal pixels of an anomalous frame costs nothing: a frame that is hot all over is found too.

    A frame is kept as one number, the highest threshold at which it turns positive. Below the least score
    everything is positive, so the curve always ends at (1, 1), and its area is the AUC of these numbers, by
    trapezoids: equal ones count half.
    """

    def __init__(self, *, share: float = 0.4) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share must lie above 0 and at most at 1, got {share}")
        self._share = share
        self._positive_from: list[float] = []
        self._anomalous: list[bool] = []

    def add(self, heat: NDArray[Any], mask: Mask) -> None:
        """Judge one frame's scores (H, W) by its mask (H, W), True where anomalous.

        Raises ValueError for NaN or infinity, or shapes that differ.
        """
        values, marked = _frame(heat, mask)
        inside = values[marked]
        if inside.size:
            # The fewest pixels that are the share; division rounds as the share itself was: 2 of 5 are 0.4.
            enough = bisect_left(range(inside.size), self._share, lo=1, key=lambda pixels: pixels / inside.size)
            reached = np.partition(inside, inside.size - enough)[inside.size - enough]
        else:
            reached = values.max()
        self._positive_from.append(float(reached))
        self._anomalous.append(bool(inside.size))

    def value(self) -> float:
        """The area; ValueError before frames of both kinds were added."""
        if len(set(self._anomalous)) < 2:
            lacking = "anomalous" if False in self._anomalous else "normal"
            raise ValueError(f"no {lacking} frames were added: add frames of both kinds, with their masks")
        return roc_auc(np.array(self._positive_from), np.array(self._anomalous))


def _frame(heat: NDArray[Any], mask: Mask) -> tuple[Floats, Mask]:
    values, marked = np.asarray(heat, np.float64), np.asarray(mask)
    if values.ndim != 2 or values.size == 0 or marked.shape != values.shape:
        raise ValueError(
            f"scores and mask must both be (H, W), got {values.shape} and {marked.shape}: "
            "take the mask that was drawn on this frame, and heat in the frame's own size"
        )
    if marked.dtype != np.bool_:
        raise ValueError(f"the mask must be True where anomalous and False elsewhere, got {marked.dtype}")
    if not np.isfinite(values).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(
            f"the score of the pixel in row {row}, column {column} is {values[row, column]}: score the frame again"
        )
    return values, marked
