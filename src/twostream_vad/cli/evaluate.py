"""`tsvad evaluate`: the table of a fitted run, or of several side by side."""

from pathlib import Path

from .common import Bar, Labels
from .process import set_up_process


def evaluate(run: Path, /, *runs: Path, labels: Labels = None, page: bool = True, figures: bool = False) -> None:
    """Print micro-, macro- and Ano-AUC of every window, both streams and their fusion, both protocols; write a page.

    The results lie in RUN/results: evaluation.json (every metric, versions, hashes), report.html, regions.csv.

    Args:
        run: A fitted run folder.
        runs: More of them, such as other seeds: the table adds mean and standard deviation.
        page: Whether to write the page too.
        figures: Write vector pictures too: ROC, precision and recall, every test video's timeline.
    """
    from ..report.report import write_figures, write_report
    from ..runs.evaluate import evaluate as evaluate_run
    from ..runs.run import Run
    from .tables import print_aucs

    results = {}
    for folder in (run, *runs):
        opened = Run.open(folder)
        set_up_process(opened.recipe.threads)
        with Bar("evaluate") as bar:
            results[str(folder)] = evaluate_run(opened, labels, bar)
    rows = [(name, result.chosen, result.rows) for name, result in results.items()]
    classes = [result.record.classes for result in results.values()]
    groups = [("all", range(len(rows)))] if len(rows) > 1 else []
    print_aucs("paper's protocol unless causal", rows, groups, classes)
    for wanted, title, write in ((page, "page", write_report), (figures, "figures", write_figures)):
        for result in results.values() if wanted else ():
            with Bar(title) as bar:
                path = write(result, progress=bar)
            print(path)
