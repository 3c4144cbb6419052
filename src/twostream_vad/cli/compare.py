"""`tsvad compare`: evaluated runs side by side; `tsvad reproduce`: a recorded run again, and what differs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .common import PLAIN, Bar, Flag, Labels, Options, at_work, is_dry, say
from .process import set_up_process
from .tables import print_aucs, print_table

if TYPE_CHECKING:
    from ..runs.compare import Comparison

HASH = 12  # characters shown


def compare(
    run: Path,
    other: Path,
    /,
    *others: Path,
    labels: Labels = None,
    to_json: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Print evaluated runs side by side: metrics, differences to the first run with intervals, unlike settings.

    Runs that are seeds of one recipe on the same data get mean and standard deviation.

    Args:
        run: An evaluated run folder; the others are compared with it.
        other: Another.
        others: More of them.
        to_json: Write the comparison to this file too.
    """
    from ..runs.compare import compare as compare_runs
    from ..runs.run import Run
    from ..storage import write_text

    found = compare_runs([Run.open(folder) for folder in (run, other, *others)], labels)
    for protocol in dict.fromkeys(protocol for record in found.records for protocol in record.protocols):
        _print_protocol(found, protocol)
    if found.recipe:
        rows = [(key, *map(_plain, values)) for key, values in found.recipe.items()]
        print_table("settings that differ", ("setting", *found.runs), rows)
    if found.unpaired:
        say(f"no differences: {found.unpaired}")
    if len({record.hashes.data for record in found.records}) > 1:
        say("the runs are of different data; training or test videos differ")
    if to_json is not None:
        write_text(to_json, found.model_dump_json(indent=1) + "\n")
        print(to_json)


def reproduce(
    recorded: Path,
    *,
    out: Path | None = None,
    data: Path | None = None,
    labels: Labels = None,
    other_data: Flag = False,
    options: Options = PLAIN,
) -> None:
    """Fit and evaluate again what an evaluation records, and print what differs. Goes on where it was stopped.

    Exit code 0 if every metric and every trained weight is the same to the bit, 1 if not, 2 if it cannot be run.

    Args:
        recorded: RUN/results/evaluation.json, or the folder RUN.
        out: The new run folder; RUN-again in runs unless given.
        data: The dataset, where it no longer lies where it did.
        other_data: Go on even if the data is not the recorded one.
    """
    from ..runs.reproduce import is_reproduced, new_run
    from ..runs.reproduce import reproduce as run_again

    if recorded.is_dir():
        recorded = recorded / "results/evaluation.json"
    path = recorded.resolve()  # of a run, or a copied file
    out = out or Path("runs") / f"{path.parents[1].name if path.parent.name == 'results' else path.stem}-again"
    run = new_run(recorded, out, data, labels, options.set, write=not options.dry_run)
    if is_dry(options, run):
        return
    with at_work(out, "reproduce", options):
        set_up_process(run.recipe.threads)
        found = run_again(recorded, run, Bar, other_data=other_data, redo=options.redo)
    rows = []
    for each in found:
        most = HASH if each.kind in ("weights", "data") else 80
        change = "" if each.change is None else f"{each.change:+.3g}"
        rows.append((each.kind, each.name, _plain(each.recorded, most), _plain(each.now, most), change))
    if rows:
        print_table("what differs", ("", "value", "recorded", "now", "change"), rows)
    if not is_reproduced(found):
        print(f"not identical: {out}/results/evaluation.json differs from {recorded}")
        sys.exit(1)
    print("identical: every metric and every trained weight, to the bit")


def _print_protocol(found: "Comparison", protocol: str) -> None:
    """The AUCs of every row, a pair of columns a run; all metrics of the fused row, a line a run."""
    called = "paper's protocol" if protocol == "paper" else f"{protocol} protocol"
    runs, lines, gains = [], [], found.differences.get(protocol, (None,) * len(found.runs))
    for name, record, gain in zip(found.runs, found.records, gains, strict=True):
        rows = record.rows(protocol)
        runs.append((name, record.chosen, {row: each.aucs for row, each in rows.items()}))
        fused = rows.get("fused")
        rest = (_percent(fused, key) for key in ("macro_auc", "ano_auc", "average_precision", "equal_error_rate"))
        against = (_percent(gain, "micro_auc", "+"), _interval(gain, "+"))
        lines.append((name, _percent(fused, "micro_auc"), _interval(fused), *against, *rest))
    groups = [(f"{len(group)} seeds", [found.runs.index(name) for name in group]) for group in found.seeds]
    print_aucs(called, runs, groups, [record.classes for record in found.records])
    heads = ("run", "micro-AUC", "95 %", "against the first", "95 %", "macro-AUC", "Ano-AUC", "AP", "EER")
    print_table(f"fused, %, {called}; intervals by a bootstrap over videos, of differences paired", heads, lines)


def _percent(part: object, key: str, sign: str = "") -> str:
    """A value of metrics or a gain, empty where there is none."""
    value = getattr(part, key, None)
    return "" if value is None else f"{100 * value:{sign}.2f}"


def _interval(part: object, sign: str = "") -> str:
    return " to ".join(f"{100 * end:{sign}.2f}" for end in getattr(part, "interval", None) or ())


def _plain(value: Any, most: int = 80) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= most else f"{text[:most]}…"
