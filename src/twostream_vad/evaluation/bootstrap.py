"""How sure is a metric of so few videos? Percentile intervals over videos drawn with replacement.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. Whole videos are drawn, not frames:
frames of one video are nearly copies of each other, and intervals over them would be far too narrow.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .auc import ByVideo, micro_auc

Statistic = Callable[[Sequence[str]], float]
"""Takes videos' names, some of them several times, and counts a video as often as it is named."""


def bootstrap(
    statistic: Statistic, videos: Sequence[str], *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Lower and upper end of the statistic's percentile interval over videos.

    Two runs over the same videos are compared by their difference, each draw taken for both (paired)::

        first, second = micro_auc_of(scores, labels), micro_auc_of(others, labels)
        bootstrap(lambda names: first(names) - second(names), list(labels))

    Args:
        statistic: of the drawn names, as many as there are videos. It may raise ValueError where it does not
            exist, as an AUC of normal videos only: such a draw is made again.
        videos: names, each once.
        draws: how many values the interval is of.
        level: the share of the values inside the interval.
        seed: the same seed draws the same videos.

    Raises:
        ValueError: fewer than two videos, a name given twice, a setting out of range, NaN from the statistic,
            or more draws on which it does not exist than ``draws``.
    """
    if draws < 1:
        raise ValueError(f"draws must be 1 or more, got {draws}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    names = list(videos)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"an interval over videos needs two or more different videos, got {len(names)}: {names[:5]}")
    rng = np.random.default_rng(seed)
    values: list[float] = []
    failed = 0
    while len(values) < draws:
        drawn = [names[index] for index in rng.integers(0, len(names), len(names))]
        try:
            value = statistic(drawn)
        except ValueError as error:
            failed += 1
            if failed > draws:
                raise ValueError(
                    f"the metric does not exist on {failed} of {failed + len(values)} draws of {len(names)} videos "
                    f"({error}): there are too few videos for an interval"
                ) from error
            continue
        if not np.isfinite(value):
            raise ValueError(f"the metric is {value} on a draw of videos: score them again")
        values.append(value)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def micro_auc_of(scores: ByVideo, labels: ByVideo) -> Statistic:
    """``micro_auc`` of drawn videos; frames are sorted once, so that a draw takes well under a millisecond.

    Raises:
        ValueError: as ``micro_auc``. The statistic raises it for names it does not know, or one class only.
    """
    micro_auc(scores, labels)  # refuses what cannot be judged
    names = list(labels)
    values = np.concatenate([np.asarray(scores[name], np.float64) for name in names])
    positive = np.concatenate([np.asarray(labels[name]) for name in names]).astype(np.bool_)
    video = np.repeat(np.arange(len(names)), [len(labels[name]) for name in names])
    order = np.argsort(values, kind="stable")
    positive, video = positive[order], video[order]
    last_of_tie = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))

    def statistic(drawn: Sequence[str]) -> float:
        times = _times(drawn, names)[video]  # a frame counts as often as its video was drawn
        normal = np.cumsum(np.where(positive, 0, times))[last_of_tie]
        anomalous = np.cumsum(np.where(positive, times, 0))[last_of_tie]
        if not normal[-1] or not anomalous[-1]:
            kind = "normal" if normal[-1] else "anomalous"
            raise ValueError(f"all frames of these {len(drawn)} videos are {kind}: their micro-AUC does not exist")
        # Mann-Whitney U, doubled: against each tie's anomalous frames, those below win twice, those within once.
        below_and_within = 2 * normal - np.diff(normal, prepend=0)
        wins = (np.diff(anomalous, prepend=0) * below_and_within).sum()
        return float(wins / (2 * normal[-1] * anomalous[-1]))

    return statistic


def _times(drawn: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """How often each of the names was drawn."""
    counts = Counter(drawn)
    if not counts:
        raise ValueError("no videos were drawn: name at least one")
    if unknown := sorted(counts.keys() - set(names)):
        raise ValueError(f"no scores of {len(unknown)} videos ({', '.join(unknown[:5])}): draw from those scored")
    return np.array([counts[name] for name in names], np.int64)
