"""A recorded evaluation run again from its own recipe, seed and data: what comes out otherwise?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.errors import DatasetError
from ..recipes import override_recipe, parse_recipe
from .evaluate import data_hash, evaluate, labels_of
from .fit import Bar, fit
from .record import Record, flat, read_record
from .run import Run, RunError

RESULTS = ("metric", "weights")
"""Kinds of difference that make a run no reproduction; the others may be why."""


@dataclass(frozen=True)
class Difference:
    """One value that is not as recorded; None stands where there was or is no such value."""

    kind: str  # metric, weights, data, recipe, decoder, versions or machine
    name: str
    recorded: Any
    now: Any

    @property
    def change(self) -> float | None:
        """Now less recorded, where both are numbers."""
        numbers = all(type(value) in (int, float) for value in (self.recorded, self.now))
        return float(self.now - self.recorded) if numbers else None


def new_run(
    recorded: Path,
    out: Path,
    data: Path | None = None,
    labels: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    write: bool = True,
) -> Run:
    """A run in ``out`` with the recipe, the seed and the data of an evaluation, or the one begun there before.

    ``data`` is given where it has moved, ``overrides`` (section.key=value) where pretrained weights have, for one;
    ``labels`` and ``write`` are as in `Run.create`.

    Raises:
        RecordError: ``recorded`` cannot be used.
        RecipeError: its recipe is not one of this version, or an override does not fit.
        RunError: ``out`` is the recorded run itself, or as `Run.create`, as is DatasetError.
    """
    record = read_record(recorded)
    if out.resolve() == recorded.resolve().parent.parent:
        raise RunError(f"--out {out} is the run that {recorded} records; choose another folder")
    recipe = override_recipe(parse_recipe(record.recipe, f"{recorded}, recipe"), overrides)
    return Run.create(out, recipe, data or record.data, labels, write=write)


def reproduce(recorded: Path, run: Run, bar: Bar, *, other_data: bool = False, redo: bool = False) -> list[Difference]:
    """Fits and evaluates ``run``, which `new_run` made, going on where it was stopped; what differs from ``recorded``.

    Raises:
        RecordError: ``recorded`` cannot be used.
        DatasetError: the data is not the recorded one and not ``other_data``, or as a fit.
        RunError: as a fit; no labels.
    """
    before = read_record(recorded)
    then = before.hashes.data
    now = then if other_data else data_hash(run)
    if now != then:
        raise DatasetError(
            f"{run.data} is not the data of the evaluation (hash {now[:12]}…, recorded {then[:12]}…): "
            "give that with --data DIR and another --out, or go on all the same with --other-data"
        )
    # Missing labels are told before hours of training, not after.
    fit(run, redo=redo, bar=bar, prepared=lambda: labels_of(run))
    with bar("evaluate") as progress:
        evaluate(run, progress=progress)
    return differences(before, read_record(run.path("results/evaluation.json")))


def differences(before: Record, after: Record) -> list[Difference]:
    """Every value of two evaluations that is not the same to the bit; times and places are left out."""
    return [
        Difference(kind, name, old.get(name), new.get(name))
        for (kind, old), (_, new) in zip(_facts(before), _facts(after), strict=True)
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]


def is_reproduced(found: Sequence[Difference]) -> bool:
    """Whether every metric and every trained weight is the same to the bit."""
    return not any(difference.kind in RESULTS for difference in found)


def _facts(record: Record) -> list[tuple[str, Mapping[str, Any]]]:
    written = record.model_dump(mode="json")
    metrics = {protocol: rows["rows"] for protocol, rows in written["protocols"].items()}
    parts = {name: written[name] for name in ("localisation", "events") if written[name] is not None}
    recipe = flat(record.recipe)
    given = {recipe.get(key): key for key in ("retrieval.pretrained", "recovery.pretrained")}
    # Pretrained weights may lie elsewhere on another machine: what counts is the file.
    weights = {given.get(name, name): digest for name, digest in record.hashes.weights.items()}
    return [
        ("metric", {**flat(metrics, " "), **flat(parts, " "), "chosen": record.chosen}),
        ("weights", weights),
        ("data", {"hash": record.hashes.data}),
        ("recipe", recipe),
        ("decoder", flat(record.decoder)),
        ("versions", flat(record.versions)),
        ("machine", flat(record.machine)),
    ]
