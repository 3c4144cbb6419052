"""Evaluated runs side by side: their metrics, paired differences, spread over seeds, and unlike settings."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.labels import Labels
from ..datasets.layouts import DatasetError
from ..evaluation.bootstrap import Statistic, bootstrap, micro_auc_of
from ..scores.files import read_scores
from ..storage import typed
from .evaluate import labels_of
from .record import Metrics, Record, flat, read_record
from .run import Run, RunError

FUSED = {"paper": "results/fused.npz", "causal": "results/causal.npz"}
"""Frame scores of the fused row, by protocol."""
METRICS = ("micro_auc", "macro_auc", "average_precision", "equal_error_rate")
SAME = 1e-9
"""Two micro-AUCs of one set of scores differ by rounding only."""


@dataclass(frozen=True)
class Difference:
    """Micro-AUC less the first run's on the same frames."""

    value: float
    interval: tuple[float, float] | None
    """95 %, by a paired bootstrap over videos; None for too few videos."""


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; a tuple with one entry a run follows the order of ``runs``."""

    runs: tuple[str, ...]
    chosen: tuple[str, ...]
    rows: dict[str, dict[str, tuple[Metrics | None, ...]]]
    """Protocol → row → each run's metrics; None where a run has no such row."""
    differences: dict[str, tuple[Difference | None, ...]]
    """Protocol → each run's fused row against the first run's; None for the first itself."""
    unpaired: str
    """Why there are no differences; empty where there are."""
    seeds: tuple[tuple[int, ...], ...]
    """Groups of runs, as places in ``runs``, that are seeds of one recipe on the same data."""
    recipe: dict[str, tuple[Any, ...]]
    """Dotted key → each run's value, of the settings that are not the same in all runs."""
    data: tuple[str, ...]
    """Hash of each run's data."""

    def of_seeds(self, group: tuple[int, ...], protocol: str, row: str, metric: str) -> list[float]:
        """One metric of the runs of a group, of those that have it."""
        found = [self.rows[protocol][row][place] for place in group]
        values = [getattr(metrics, metric) for metrics in found if metrics is not None]
        return [value for value in values if value is not None]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "runs": list(self.runs),
            "chosen": list(self.chosen),
            "protocols": {
                protocol: {
                    row: [None if metrics is None else metrics.model_dump(mode="json") for metrics in entries]
                    for row, entries in rows.items()
                }
                for protocol, rows in self.rows.items()
            },
            "differences": {
                protocol: [None if d is None else {"micro_auc": d.value, "interval": d.interval} for d in entries]
                for protocol, entries in self.differences.items()
            },
            "unpaired": self.unpaired,
            "seeds": [{"runs": [self.runs[place] for place in g], "rows": self._spread(g)} for g in self.seeds],
            "recipe": {key: list(values) for key, values in self.recipe.items()},
            "data": list(self.data),
        }

    def _spread(self, group: tuple[int, ...]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        return {
            protocol: {
                row: {
                    metric: {"mean": statistics.mean(values), "deviation": statistics.stdev(values)}
                    for metric in METRICS
                    if len(values := self.of_seeds(group, protocol, row, metric)) > 1
                }
                for row in rows
            }
            for protocol, rows in self.rows.items()
        }


def compare(runs: Sequence[Run], labels: Path | None = None, *, draws: int = 1000) -> Comparison:
    """Evaluated runs side by side.

    Differences of micro-AUC to the first run are there where all runs have the same test videos, frame for frame and
    label for label. Their intervals are of a bootstrap that draws the same videos for both runs.

    Args:
        runs: two or more.
        labels: labels given by hand; None: each run's own.
        draws: of the bootstrap.

    Raises:
        RecordError: a run has not been evaluated, or its evaluation is broken.
        RunError: a run was fitted anew after it was evaluated.
        ValueError: fewer than two runs.
    """
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} run to compare: give two or more")
    records = [read_record(run.path("results/evaluation.json")) for run in runs]
    truth, unpaired = _common_labels(runs, labels)
    return Comparison(
        runs=tuple(str(run.folder) for run in runs),
        chosen=tuple(record.chosen for record in records),
        rows=_rows(records),
        differences={} if truth is None else _differences(runs, records, truth, draws),
        unpaired=unpaired,
        seeds=_seeds(records),
        recipe=unlike([record.recipe for record in records]),
        data=tuple(record.hashes.data for record in records),
    )


def unlike(recipes: Sequence[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """Dotted key → one value a recipe, of the keys that differ; None where a recipe has no such key."""
    flattened = [flat(recipe) for recipe in recipes]
    keys = dict.fromkeys(key for values in flattened for key in values)
    found = {key: tuple(values.get(key) for values in flattened) for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}


def _rows(records: Sequence[Record]) -> dict[str, dict[str, tuple[Metrics | None, ...]]]:
    protocols = dict.fromkeys(protocol for record in records for protocol in record.protocols)
    found: dict[str, dict[str, tuple[Metrics | None, ...]]] = {}
    for protocol in protocols:
        columns = [record.protocols[protocol].rows if protocol in record.protocols else {} for record in records]
        names = dict.fromkeys(name for column in columns for name in column)
        found[protocol] = {name: tuple(column.get(name) for column in columns) for name in names}
    return found


def _seeds(records: Sequence[Record]) -> tuple[tuple[int, ...], ...]:
    groups: list[list[int]] = []
    for place, record in enumerate(records):
        for group in groups:
            first = records[group[0]]
            same = {**first.recipe, "seed": 0} == {**record.recipe, "seed": 0}
            if same and first.hashes.data == record.hashes.data:
                group.append(place)
                break
        else:
            groups.append([place])
    # One seed twice is no second draw: it would make the spread smaller than it is.
    return tuple(tuple(g) for g in groups if len(g) > 1 and len({records[place].seed for place in g}) == len(g))


def _common_labels(runs: Sequence[Run], given: Path | None) -> tuple[Labels | None, str]:
    """Labels that all runs share, or None and why there are none."""
    try:
        truths = [labels_of(run, given) for run in runs]
    except (RunError, DatasetError, OSError) as error:
        if given is not None:
            raise
        return None, str(error)  # metrics can still be compared where the data no longer lies
    first = truths[0]
    for run, truth in zip(runs[1:], truths[1:], strict=True):
        other = f"{runs[0].folder} and {run.folder}"
        if set(first) != set(truth):
            only = ", ".join(sorted(set(first) ^ set(truth))[:5])
            return None, f"{other} have other test videos (in one only: {only})"
        for name, marks in first.items():
            if len(marks) != len(truth[name]):
                return None, f"{other}: video {name} has {len(marks)} frames in one and {len(truth[name])} in the other"
            if not np.array_equal(marks, truth[name]):
                return None, f"{other}: video {name} has other labels"
    return first, ""


def _differences(
    runs: Sequence[Run], records: Sequence[Record], truth: Labels, draws: int
) -> dict[str, tuple[Difference | None, ...]]:
    found: dict[str, tuple[Difference | None, ...]] = {}
    videos = sorted(truth)
    for protocol, file in FUSED.items():
        rows = [record.protocols[protocol].rows.get("fused") for record in records if protocol in record.protocols]
        recorded = [row.micro_auc for row in rows if row is not None]
        if len(recorded) < len(runs):
            continue
        measures = [micro_auc_of(read_scores(run.path(file)), truth) for run in runs]
        for run, before, measure in zip(runs, recorded, measures, strict=True):
            _refuse_other_scores(run, protocol, before, measure(videos))
        found[protocol] = (None, *(_gain(measures[0], own, videos, draws) for own in measures[1:]))
    return found


def _gain(first: Statistic, own: Statistic, videos: Sequence[str], draws: int) -> Difference:
    def gain(names: Sequence[str]) -> float:
        return own(names) - first(names)

    try:
        return Difference(gain(videos), bootstrap(gain, videos, draws=draws))
    except ValueError:  # too few videos for an interval
        return Difference(gain(videos), None)


def _refuse_other_scores(run: Run, protocol: str, recorded: float, now: float) -> None:
    if abs(recorded - now) > SAME:
        raise RunError(
            f"{run.folder}: its scores or labels are not those that were evaluated (micro-AUC, {protocol} protocol: "
            f"{now:.6f} now, {recorded:.6f} then); `tsvad evaluate {typed(run.folder)}` again, "
            "or give the same --labels here"
        )
