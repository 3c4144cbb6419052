"""Evaluated runs side by side: their metrics, paired differences, spread over seeds, and unlike settings."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.errors import DatasetError
from ..datasets.labels import Labels
from ..evaluation.auc import NoMetricError
from ..evaluation.bootstrap import Statistic, bootstrap, micro_auc_of
from ..scores.files import read_scores
from ..storage import typed
from .evaluate import labels_of
from .record import Part, Record, flat, read_record
from .run import Run, RunError

FUSED = {"paper": "results/fused.npz", "causal": "results/causal.npz"}
"""Frame scores of the fused row, by protocol."""
SAME = 1e-9
"""Two micro-AUCs of one set of scores differ by rounding only."""


class Gain(Part):
    """Micro-AUC less the first run's on the same frames."""

    micro_auc: float
    interval: tuple[float, float] | None  # 95 %, by a paired bootstrap over videos; None for too few videos


class Comparison(Part):
    """Runs side by side; a tuple with one entry a run follows the order of ``runs``."""

    runs: tuple[str, ...]
    records: tuple[Record, ...]
    differences: dict[str, tuple[Gain | None, ...]]  # by protocol: fused rows against the first run's, which has None
    unpaired: str  # why there are no differences; empty where there are
    seeds: tuple[tuple[str, ...], ...]  # groups of runs that are seeds of one recipe on the same data
    recipe: dict[str, tuple[Any, ...]]  # by dotted key, each run's value of the settings that are not the same in all


def compare(runs: Sequence[Run], labels: Path | None = None) -> Comparison:
    """Two or more evaluated runs side by side; ``labels`` given by hand come before each run's own.

    Differences of micro-AUC to the first run are there where all runs have the same test videos, frame for frame and
    label for label; their intervals are of a bootstrap that draws the same videos for both runs.

    Raises:
        RecordError: a run has not been evaluated, or its evaluation is broken.
        RunError: a run was fitted anew after it was evaluated.
    """
    records = [read_record(run.path("results/evaluation.json")) for run in runs]
    truth, unpaired = _common_labels(runs, labels)
    names = tuple(str(run.folder) for run in runs)
    return Comparison(
        runs=names,
        records=tuple(records),
        differences={} if truth is None else _differences(runs, records, truth),
        unpaired=unpaired,
        seeds=_seeds(records, names),
        recipe=unlike([record.recipe for record in records]),
    )


def unlike(recipes: Sequence[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Dotted key → one value a recipe, of the keys that differ; None where a recipe has no such key."""
    flattened = [flat(recipe) for recipe in recipes]
    keys = dict.fromkeys(key for values in flattened for key in values)
    found = {key: tuple(values.get(key) for values in flattened) for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _seeds(records: Sequence[Record], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[tuple[int, str]]] = {}
    for record, name in zip(records, names, strict=True):
        same = json.dumps([{**record.recipe, "seed": None}, record.hashes.data], sort_keys=True)
        groups.setdefault(same, []).append((record.seed, name))
    # One seed twice is no second draw: it would make the spread smaller than it is.
    found = [group for group in groups.values() if len(group) > 1 and len(dict(group)) == len(group)]
    return tuple(tuple(name for _, name in group) for group in found)


def _common_labels(runs: Sequence[Run], given: Path | None) -> tuple[Labels | None, str]:
    """Labels that all runs share, or None and why there are none."""
    try:
        first, *others = (labels_of(run, given) for run in runs)
    except (RunError, DatasetError, OSError) as error:
        if given is not None:
            raise
        return None, str(error)  # metrics can still be compared where the data no longer lies
    for run, truth in zip(runs[1:], others, strict=True):
        both = f"{runs[0].folder} and {run.folder}"
        if only := sorted(set(first) ^ set(truth)):
            return None, f"{both} have other test videos (in one only: {', '.join(only[:5])})"
        for name, marks in first.items():
            if len(marks) != len(truth[name]):
                return None, f"{both}: video {name} has {len(marks)} frames in one and {len(truth[name])} in the other"
            if not np.array_equal(marks, truth[name]):
                return None, f"{both}: video {name} has other labels"
    return first, ""


def _differences(runs: Sequence[Run], records: Sequence[Record], truth: Labels) -> dict[str, tuple[Gain | None, ...]]:
    found: dict[str, tuple[Gain | None, ...]] = {}
    videos = sorted(truth)
    for protocol, file in FUSED.items():
        rows = [record.rows(protocol).get("fused") for record in records]
        recorded = [row.micro_auc for row in rows if row is not None]
        if len(recorded) < len(runs):
            continue
        measures = [micro_auc_of(read_scores(run.path(file)), truth) for run in runs]
        for run, then, now in zip(runs, recorded, (measure(videos) for measure in measures), strict=True):
            if abs(then - now) > SAME:
                values = f"micro-AUC, {protocol} protocol: {now:.6f} now, {then:.6f} then"
                raise RunError(
                    f"{run.folder}: its scores or labels are not those that were evaluated ({values}); "
                    f"`tsvad evaluate {typed(run.folder)}` again, or give the same --labels here"
                )
        found[protocol] = (None, *(_gain(measures[0], own, videos) for own in measures[1:]))
    return found


def _gain(first: Statistic, own: Statistic, videos: Sequence[str]) -> Gain:
    def gain(names: Sequence[str]) -> float:
        return own(names) - first(names)

    interval = None
    with contextlib.suppress(NoMetricError):  # too few videos
        interval = bootstrap(gain, videos)
    return Gain(micro_auc=gain(videos), interval=interval)
