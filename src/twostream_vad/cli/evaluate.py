"""`tsvad evaluate`: the table of a fitted run, or of several side by side."""

from pathlib import Path

from cyclopts import App

from .common import Bar


def register(app: App) -> None:
    """Adds the command."""
    app.command(evaluate)


def evaluate(run: Path, /, *runs: Path, labels: Path | None = None, page: bool = True, figures: bool = False) -> None:
    """Print micro- and macro-AUC of every window, both streams and their fusion under both protocols; write a page.

    The results lie in RUN/results: evaluation.json (every metric, versions, hashes), report.html, regions.csv.

    Parameters
    ----------
    run
        A fitted run folder.
    runs
        More of them, such as other seeds: the table adds mean and standard deviation.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    page
        Whether to write the page too.
    figures
        Write vector pictures too: ROC, precision and recall, every test video's timeline.
    """
    from ..report.report import write_figures, write_report
    from ..runs.evaluate import evaluate as evaluate_run
    from ..runs.run import Run
    from .tables import print_aucs

    results = {}
    for folder in (run, *runs):
        with Bar("evaluate") as bar:
            results[str(folder)] = evaluate_run(Run.open(folder), labels, bar)
    chosen = {result.chosen for result in results.values()}
    print_aucs({name: result.rows for name, result in results.items()}, chosen.pop() if len(chosen) == 1 else "")
    for folder in (run, *runs) if page else ():
        with Bar("page") as bar:
            path = write_report(results[str(folder)], progress=bar)
        print(path)
    for folder in (run, *runs) if figures else ():
        with Bar("figures") as bar:
            print(write_figures(results[str(folder)], progress=bar))
