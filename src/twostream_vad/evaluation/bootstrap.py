"""How sure is a metric of so few videos? Percentile intervals over videos drawn with replacement.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Whole videos are drawn, not frames:
frames of one video are nearly copies of each other, and intervals over them would be far too narrow.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .auc import ByVideo, NoMetricError, area, pooled, roc_auc

Statistic = Callable[[Sequence[str]], float]
"""Takes videos' names, some of them several times, and counts a video as often as it is named."""

DRAWS = 1000
ENDS = (0.025, 0.975)  # quantiles of the values between which 95 % of them lie


def bootstrap(statistic: Statistic, videos: Sequence[str]) -> tuple[float, float]:
    """Lower and upper end of the statistic's 95 % percentile interval over videos; the same draws every time.

    Two runs over the same videos are compared by their difference, each draw taken for both (paired)::

        first, second = micro_auc_of(scores, labels), micro_auc_of(others, labels)
        bootstrap(lambda names: first(names) - second(names), list(labels))

    ``videos`` are names, each once. Where the statistic raises NoMetricError, as an AUC of normal videos only does,
    the draw is made again. NoMetricError: fewer than two videos, or more than DRAWS such draws.
    """
    names = list(videos)
    if len(names) < 2:
        raise NoMetricError(f"an interval over videos needs two or more of them, got {len(names)}")
    rng = np.random.default_rng(0)
    values: list[float] = []
    failed = 0
    while len(values) < DRAWS:
        try:
            values.append(statistic([names[index] for index in rng.integers(0, len(names), len(names))]))
        except NoMetricError:
            failed += 1
            if failed > DRAWS:
                raise NoMetricError(
                    f"the metric does not exist on {failed} of {failed + len(values)} draws of {len(names)} videos: "
                    "there are too few videos for an interval"
                ) from None
    low, high = np.quantile(values, ENDS)
    return float(low), float(high)


def micro_auc_of(scores: ByVideo, labels: ByVideo) -> Statistic:
    """``micro_auc`` of drawn videos; scores are ranked once, so that a draw takes about a millisecond.

    Errors as ``micro_auc``; the statistic raises NoMetricError for videos of one class only.
    """
    values, positive = pooled(scores, labels)
    roc_auc(values, positive)  # refuses what cannot be judged
    place = {name: number for number, name in enumerate(labels)}
    video = np.repeat(np.arange(len(place)), [len(marks) for marks in labels.values()])
    level = np.unique(values, return_inverse=True)[1]

    def statistic(drawn: Sequence[str]) -> float:
        # A frame counts as often as its video was drawn.
        times = np.bincount([place[name] for name in drawn], minlength=len(place))[video]
        return area(np.bincount(level, np.where(positive, 0, times)), np.bincount(level, np.where(positive, times, 0)))

    return statistic
