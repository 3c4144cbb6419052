"""How sure is a metric of so few videos? Percentile intervals over videos drawn with replacement.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Whole videos are drawn, not frames:
frames of one video are nearly copies of each other, and intervals over them would be far too narrow.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .auc import ByVideo, NoMetricError, pooled, roc_auc

Statistic = Callable[[Sequence[str]], float]
"""Takes videos' names, some of them several times, and counts a video as often as it is named."""

DRAWS = 1000
ENDS = (0.025, 0.975)
"""Quantiles of the values between which 95 % of them lie."""


def bootstrap(statistic: Statistic, videos: Sequence[str]) -> tuple[float, float]:
    """Lower and upper end of the statistic's 95 % percentile interval over videos; the same draws every time.

    Two runs over the same videos are compared by their difference, each draw taken for both (paired)::

        first, second = micro_auc_of(scores, labels), micro_auc_of(others, labels)
        bootstrap(lambda names: first(names) - second(names), list(labels))

    Args:
        statistic: of the drawn names, as many as there are videos. Where it raises NoMetricError, as an AUC of
            normal videos only does, the draw is made again.
        videos: names, each once.

    Raises:
        NoMetricError: fewer than two videos, or more draws than DRAWS on which the statistic does not exist.
    """
    names = list(videos)
    if len(names) < 2:
        raise NoMetricError(f"an interval over videos needs two or more of them, got {len(names)}")
    rng = np.random.default_rng(0)
    values: list[float] = []
    failed = 0
    while len(values) < DRAWS:
        drawn = [names[index] for index in rng.integers(0, len(names), len(names))]
        try:
            values.append(statistic(drawn))
        except NoMetricError as error:
            failed += 1
            if failed > DRAWS:
                raise NoMetricError(
                    f"the metric does not exist on {failed} of {failed + len(values)} draws of {len(names)} videos "
                    f"({error}): there are too few videos for an interval"
                ) from error
    low, high = np.quantile(values, ENDS)
    return float(low), float(high)


def micro_auc_of(scores: ByVideo, labels: ByVideo) -> Statistic:
    """``micro_auc`` of drawn videos; frames are sorted once, so that a draw takes well under a millisecond.

    Raises:
        EvaluationError: as ``micro_auc``. The statistic raises NoMetricError for videos of one class only.
    """
    values, positive = pooled(scores, labels)
    roc_auc(values, positive)  # refuses what cannot be judged
    place = {name: number for number, name in enumerate(labels)}
    video = np.repeat(np.arange(len(place)), [len(labels[name]) for name in place])
    order = np.argsort(values, kind="stable")
    positive, video = positive[order], video[order]
    last_of_tie = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))

    def statistic(drawn: Sequence[str]) -> float:
        # A frame counts as often as its video was drawn.
        times = np.bincount([place[name] for name in drawn], minlength=len(place))[video]
        normal = np.cumsum(np.where(positive, 0, times))[last_of_tie]
        anomalous = np.cumsum(np.where(positive, times, 0))[last_of_tie]
        if not normal[-1] or not anomalous[-1]:
            kind = "normal" if normal[-1] else "anomalous"
            raise NoMetricError(f"all frames of these {len(drawn)} videos are {kind}: their micro-AUC does not exist")
        # Mann-Whitney U, doubled: against each tie's anomalous frames, those below win twice, those within once.
        below_and_within = 2 * normal - np.diff(normal, prepend=0)
        wins = (np.diff(anomalous, prepend=0) * below_and_within).sum()
        return float(wins / (2 * normal[-1] * anomalous[-1]))

    return statistic
