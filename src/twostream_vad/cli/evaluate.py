"""`tsvad evaluate`: the table of a fitted run, or of several side by side."""

from pathlib import Path

from cyclopts import App


def register(app: App) -> None:
    """Adds the command."""
    app.command(evaluate)


def evaluate(run: Path, /, *runs: Path, labels: Path | None = None) -> None:
    """Print micro- and macro-AUC of every window, both streams and their fusion, and write RUN/results/.

    Parameters
    ----------
    run
        A fitted run folder.
    runs
        More of them, such as other seeds: the table adds mean and standard deviation.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    """
    from ..evaluation.tables import print_aucs
    from ..results import evaluate as evaluate_run
    from ..run import Run

    results = {folder.name: evaluate_run(Run.open(folder), labels) for folder in (run, *runs)}
    chosen = {result.chosen for result in results.values()}
    print_aucs(
        {name: result.rows for name, result in results.items()}, chosen.pop() if len(chosen) == 1 else ""
    )
    for name, result in results.items():
        print(f"{name}: window chosen by pseudo-anomalies: {result.chosen}")
