"""Tables for the terminal."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from ..runs.record import Aucs
    from ..settings import Resolved


def print_selection(candidates: "Sequence[Resolved]") -> None:
    """Every window with its best settings; the chosen one first and marked."""
    from ..recovery.selection import best_by_window

    rows = []
    for place, row in enumerate(best_by_window(candidates)):
        aucs = (f"{value:.4f}" for value in (*row.aucs.values(), row.mean) if row.aucs)
        channels, mark = "yes" if row.channel_l2 else "no", "" if place else "chosen"
        rows.append((row.shown, f"{row.score_l1:g}", channels, row.crops, *aucs, mark))
    heads = ("window", "λ", "channel-L2", "crops", *candidates[0].aucs, *(["mean"] if candidates[0].aucs else []), "")
    print_table(f"micro-AUC on pseudo-anomalies of normal video; {len(candidates)} candidates", heads, rows)


def print_weights(weights: Sequence[tuple[float, float | None]]) -> None:
    """Every weight of retrieval in the fusion and its AUC; the first is marked as chosen, or as fixed without one."""
    rows = []
    for place, (weight, auc) in enumerate(weights):
        mark = "" if place else "fixed by the recipe" if auc is None else "chosen"
        rows.append((f"{weight:g}", "" if auc is None else f"{auc:.4f}", mark))
    print_table("fusion on pseudo-anomalies of normal video", ("weight of retrieval", "mean micro-AUC", ""), rows)


def print_aucs(
    protocol: str,
    runs: Sequence[tuple[str, str, Mapping[str, "Aucs"]]],
    groups: Sequence[tuple[str, Sequence[int]]],
    classes: Iterable[str] = (),
) -> None:
    """AUCs of every row: three columns a run, then mean and deviation of each group of runs.

    ``runs`` are name, chosen row, and row → (micro, macro, Ano); ``groups`` name → places of its runs; ``classes`` say
    below the table how many videos are of one class.
    """
    heads = [
        head
        for name in (*(run[0] for run in runs), *(group[0] for group in groups))
        for head in (f"{name}\nmicro", "\nmacro", "\nAno")
    ]
    rows = []
    for row in dict.fromkeys(row for _, _, values in runs for row in values):
        cells = [row]
        for _, chosen, values in runs:
            found = values.get(row, (None, None, None))
            micro, *rest = ("" if value is None else f"{100 * value:.2f}" for value in found)
            cells += [f"{micro} *" if micro and row == chosen else micro, *rest]
        for _, places in groups:
            own = [runs[place][2][row] for place in places if row in runs[place][2]]
            cells += [spread([value for aucs in own if (value := aucs[column]) is not None]) for column in range(3)]
        rows.append(cells)
    title = f"AUC, %, {protocol}; * the window chosen by pseudo-anomalies"
    print_table(title, ["score", *heads], rows, "; ".join(dict.fromkeys(filter(None, classes))))


def spread(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation in %."""
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}" if values else ""


def print_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> None:
    """On standard output, the row ``fused`` in bold; wide enough when it is no terminal."""
    table = Table(*map(escape, heads), title=title, caption=caption or None)
    for row in rows:
        table.add_row(*map(escape, row), style="bold" if row[0] == "fused" else "")
    out = Console() if Console().is_terminal else Console(width=240)
    out.print(table)
