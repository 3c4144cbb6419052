"""Tables for the terminal."""

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from ..settings import Resolved


def print_selection(candidates: "Sequence[Resolved]") -> None:
    """Every window with its best settings; the chosen one first and marked."""
    from ..recovery.selection import best_by_window

    table = Table("window", "λ", "channel-L2", "crops", *candidates[0].aucs, "mean", "")
    for place, row in enumerate(best_by_window(candidates)):
        mark = "chosen" if place == 0 else ""
        aucs = (f"{value:.4f}" for value in (*row.aucs.values(), row.mean))
        table.add_row(str(row.window), f"{row.score_l1:g}", "yes" if row.channel_l2 else "no", row.crops, *aucs, mark)
    print_table(table, f"micro-AUC on pseudo-anomalies of normal video; {len(candidates)} candidates")


def print_weights(rows: Sequence[tuple[float, float | None]]) -> None:
    """Every weight of retrieval in the fusion and its AUC; the first is marked as chosen, or as fixed without one."""
    table = Table("weight of retrieval", "mean micro-AUC", "")
    for place, (weight, auc) in enumerate(rows):
        mark = "" if place else "fixed by the recipe" if auc is None else "chosen"
        table.add_row(f"{weight:g}", "" if auc is None else f"{auc:.4f}", mark)
    print_table(table, "fusion on pseudo-anomalies of normal video")


def print_aucs(runs: Mapping[str, Mapping[str, tuple[float, float]]], chosen: str) -> None:
    """Micro and macro AUC of every row, one pair of columns a run; mean and standard deviation for several runs.

    Args:
        runs: run name → row → (micro, macro).
        chosen: the row to be marked.
    """
    table = Table("score")
    for name in runs:
        table.add_column(f"{name}\nmicro", justify="right")
        table.add_column("\nmacro", justify="right")
    several = len(runs) > 1
    if several:
        table.add_column("all\nmicro", justify="right")
        table.add_column("\nmacro", justify="right")
    rows = list(dict.fromkeys(row for values in runs.values() for row in values))
    for row in rows:
        pairs = [values[row] for values in runs.values() if row in values]
        cells = []
        for values in runs.values():
            cells += [f"{100 * value:.2f}" for value in values[row]] if row in values else ["", ""]
        if several:
            cells += [spread([pair[column] for pair in pairs]) for column in (0, 1)]
        table.add_row(f"{row} *" if row == chosen else row, *cells, style="bold" if row == "fused" else "")
    print_table(table, "AUC, %; paper's protocol unless causal; * the window chosen by pseudo-anomalies")


def spread(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation in %."""
    if len(values) < 2:
        return f"{100 * values[0]:.2f}"
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}"


def print_table(table: Table, title: str) -> None:
    """On standard output; wide enough when it is no terminal."""
    out = Console() if Console().is_terminal else Console(width=160)
    table.title = title
    out.print(table)
