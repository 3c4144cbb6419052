"""The scale that causal scores stand on: what normal video, held out of training, scores. No label is read."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

HIGH = 0.99  # the quantile of normal snippets' scores that is 1 on the scale
DEVIATIONS = 3.0  # above the mean: what normal video reaches at a place, of either stream
FLOOR = 0.5  # of the median place's, added at every place: where nothing ever moves, noise is no anomaly
LEAST = 1e-6  # of the middle: a spread below it is rounding of float32 scores, not a difference between snippets


@dataclass(frozen=True)
class Scale:
    """A stream's calibrated scale: raw score ``middle`` is 0, ordinary; ``high`` is 1, what 1 % of normal reaches.

    ValueError where one is not finite, or ``high`` lies below ``middle``.
    """

    middle: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.middle) and math.isfinite(self.high) and self.middle <= self.high):
            raise ValueError(f"a scale needs finite numbers, middle <= high, got {self.middle} and {self.high}")

    @classmethod
    def of(cls, scores: NDArray[Any]) -> "Scale":
        """Median and 0.99 quantile of a stream's raw snippet scores (m,) on all held-out normal videos.

        TsvadError where there is no score at all, ValueError where one is not a number.
        """
        values = np.asarray(scores, np.float64)
        if len(values) == 0:
            raise TsvadError(
                "no normal video was held out that is long enough: hold out more of the training videos, or "
                "longer ones; a snippet must fit in one of them"
            )
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f"score {bad} of the held-out normal video is {values[bad]}: "
                "score it again, and look for NaN in the weights"
            )
        return cls(float(np.median(values)), float(np.quantile(values, HIGH)))

    @property
    def spread(self) -> float:
        """``high - middle``, but at least a millionth of the middle, and 1e-12 about 0: always positive.

        So where the normal scores are all equal, they are 0, and whatever is above them is far above 1.
        """
        return max(self.high - self.middle, LEAST * max(abs(self.middle), LEAST))

    def apply(self, score: float) -> float:
        """A raw score on the scale; by itself, so the future changes none."""
        return (score - self.middle) / self.spread
