"""`tsvad compare`: evaluated runs side by side; `tsvad reproduce`: a recorded run again, and what differs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from .common import Bar, Options, at_work, console
from .tables import print_table

if TYPE_CHECKING:
    from ..runs.compare import Comparison, Spread
    from ..runs.record import Part
    from ..runs.reproduce import Difference


def register(app: App) -> None:
    """Adds the commands."""
    app.command(compare)
    app.command(reproduce)


def compare(
    run: Path,
    other: Path,
    /,
    *others: Path,
    labels: Path | None = None,
    to_json: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Print evaluated runs side by side: metrics, differences to the first run with intervals, unlike settings.

    Runs that are seeds of one recipe on the same data get mean and standard deviation.

    Parameters
    ----------
    run
        An evaluated run folder; the others are compared with it.
    other
        Another.
    others
        More of them.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    to_json
        Write the comparison to this file too.
    """
    from ..runs.compare import compare as compare_runs
    from ..runs.run import Run
    from ..storage import write_text

    found = compare_runs([Run.open(folder) for folder in (run, other, *others)], labels)
    for protocol in found.protocols:
        _print_rows(found, protocol)
        _print_fused(found, protocol)
    _print_recipe(found)
    if found.unpaired:
        console().print(f"no differences: {found.unpaired}", soft_wrap=True, markup=False)
    if len(set(found.data)) > 1:
        console().print("the runs are of different data; training or test videos differ", soft_wrap=True)
    if to_json is not None:
        write_text(to_json, found.model_dump_json(indent=1) + "\n")
        print(to_json)


def reproduce(
    recorded: Path,
    *,
    out: Path | None = None,
    data: Path | None = None,
    labels: Path | None = None,
    other_data: Annotated[bool, Parameter(negative=())] = False,
    options: Options = Options(),  # noqa: B008  frozen
) -> None:
    """Fit and evaluate again what an evaluation records, and print what differs. Goes on where it was stopped.

    Exit code 0 if every metric and every trained weight is the same to the bit, 1 if not, 2 if it cannot be run.

    Parameters
    ----------
    recorded
        RUN/results/evaluation.json, or the folder RUN.
    out
        The new run folder; RUN-again in runs unless given.
    data
        The dataset, where it no longer lies where it did.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    other_data
        Go on even if the data is not the recorded one.
    """
    from ..runs.reproduce import is_reproduced, new_run
    from ..runs.reproduce import reproduce as run_again

    if recorded.is_dir():
        recorded = recorded / "results/evaluation.json"
    out = out or Path("runs") / f"{_name(recorded)}-again"
    run = new_run(recorded, out, data, labels, options.set, write=not options.dry_run)
    if options.dry_run:
        if not options.redo:
            run.refuse_stale()
        console().print(f"would fit {run.recipe.name} on {run.data} into {out}", soft_wrap=True)
        return
    with at_work(out, "reproduce", options):
        found = run_again(recorded, run, Bar, other_data=other_data, redo=options.redo)
    _print_differences(found)
    if is_reproduced(found):
        print("identical: every metric and every trained weight, to the bit")
    else:
        print(f"not identical: {out}/results/evaluation.json differs from {recorded}")
        sys.exit(1)


def _name(recorded: Path) -> str:
    """Of the run that an evaluation lies in, or of a copied file."""
    path = recorded.resolve()
    return path.parent.parent.name if path.parent.name == "results" else path.stem


def _print_rows(found: "Comparison", protocol: str) -> None:
    """Micro- and macro-AUC, a pair of columns a run, and of each group of seeds."""
    table = Table("score")
    for name in (*found.runs, *(f"{len(group.runs)} seeds" for group in found.seeds)):
        table.add_column(f"{name}\nmicro", justify="right", overflow="fold")
        table.add_column("\nmacro", justify="right")
    for row, entries in found.protocols[protocol].items():
        cells = []
        for chosen, metrics in zip(found.chosen, entries, strict=True):
            mark = " *" if row == chosen and metrics is not None else ""
            cells += [_percent(metrics, "micro_auc") + mark, _percent(metrics, "macro_auc")]
        for group in found.seeds:
            cells += [_spread(group.rows[protocol][row].get(metric)) for metric in ("micro_auc", "macro_auc")]
        table.add_row(row, *cells, style="bold" if row == "fused" else "")
    print_table(table, f"AUC, %, {_protocol(protocol)}; * the window chosen by pseudo-anomalies")


def _print_fused(found: "Comparison", protocol: str) -> None:
    """All metrics of the fused row, a line a run."""
    entries = found.protocols[protocol].get("fused", ())
    gains = found.differences.get(protocol, (None,) * len(entries))
    table = Table("run", "micro-AUC", "95 %", "against the first", "95 %", "macro-AUC", "AP", "EER")
    for name, metrics, gain in zip(found.runs, entries, gains, strict=False):
        table.add_row(
            name,
            *(_percent(metrics, "micro_auc"), _interval(metrics)),
            *(_percent(gain, "micro_auc", "+"), _interval(gain, "+")),
            *(_percent(metrics, key) for key in ("macro_auc", "average_precision", "equal_error_rate")),
        )
    print_table(table, f"fused, %, {_protocol(protocol)}; intervals by a bootstrap over videos, of differences paired")


def _print_recipe(found: "Comparison") -> None:
    """Settings that are not the same in all runs."""
    if not found.recipe:
        return
    table = Table("setting", *found.runs)
    for key, values in found.recipe.items():
        table.add_row(key, *(_plain(value) for value in values))
    print_table(table, "settings that differ")


def _print_differences(found: "Sequence[Difference]") -> None:
    """Each value that differs: recorded, now, and the change of numbers."""
    if not found:
        return
    table = Table("", "value", "recorded", "now", "change")
    for difference in found:
        change = "" if difference.change is None else f"{difference.change:+.3g}"
        values = (
            _plain(value, 12 if difference.kind in ("weights", "data") else 80)
            for value in (difference.recorded, difference.now)
        )
        table.add_row(difference.kind, difference.name, *values, change)
    print_table(table, "what differs")


def _protocol(name: str) -> str:
    return {"paper": "paper's protocol"}.get(name, f"{name} protocol")


def _percent(part: "Part | None", key: str, sign: str = "") -> str:
    """A value of metrics or a gain, empty where there is none."""
    value = getattr(part, key, None)
    return "" if value is None else f"{100 * value:{sign}.2f}"


def _interval(part: "Part | None", sign: str = "") -> str:
    return " to ".join(f"{100 * end:{sign}.2f}" for end in getattr(part, "interval", None) or ())


def _spread(spread: "Spread | None") -> str:
    return "" if spread is None else f"{100 * spread.mean:.2f} ± {100 * spread.deviation:.2f}"


def _plain(value: Any, most: int = 80) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return escape(text if len(text) <= most else f"{text[:most]}…")
