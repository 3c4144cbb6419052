"""The tables of docs/results.md: Ped2 and rendered plazas, several seeds, what each part is worth, and regret.

    python bench/ablation.py --ped2 DATA --plazas FOLDER --work FOLDER [--ped2-seeds 1 2 3] [--plaza-seeds 1 2 3 4 5]
    python bench/ablation.py --render

Fits one base run a dataset and seed, WORK/ped2-1 and so on, or goes on with the run that lies there; a plaza's seed is
also that of its training. A variant is a copy of the base run, by hard links, in which only the stages that it changes
are done anew. Each finished row (dataset, variant, seed) goes into docs/results.json and the page is written again:
killed, the same command goes on with the row that it was at. A row whose settings are no longer the recipe's is
measured anew; to have one anew for another reason, delete its line (and its run). `--render` only writes the page.

Test labels only judge. Regret, too, is only reported: how much better what test labels would have chosen would be.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ablation_measure import measure, settings
from ablation_page import render
from ablation_rows import DATASETS, NO_NET, SHIPPED, VARIANTS, Row, read_rows, with_row, write_rows

from twostream_vad.cli.common import PLAIN, Bar, at_work
from twostream_vad.cli.process import set_up_process
from twostream_vad.errors import TsvadError
from twostream_vad.plaza.plaza import PlazaSettings, render_plaza
from twostream_vad.recipes import load_recipe, override_recipe
from twostream_vad.recovery.train import build
from twostream_vad.runs.evaluate import evaluate
from twostream_vad.runs.fit import fit
from twostream_vad.runs.pipeline import STAGES
from twostream_vad.runs.run import RECORDS, Run
from twostream_vad.settings import Recipe
from twostream_vad.storage import save_tensors, write_text

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Job:
    """A row to be measured."""

    dataset: str
    variant: str
    seed: int
    recipe: Recipe  # of the base run

    @property
    def name(self) -> str:
        """As it is said."""
        return f"{self.dataset}/{self.variant}, seed {self.seed}"

    @property
    def own_recipe(self) -> Recipe:
        """With the variant's changes."""
        return override_recipe(self.recipe, VARIANTS[self.variant].overrides)

    @property
    def is_needless(self) -> bool:
        """Whether it would repeat the base run."""
        return self.variant not in (SHIPPED, NO_NET) and self.own_recipe == self.recipe


def main() -> None:
    """Measures what is missing, row by row, and writes the page."""
    options = parse()
    rows, page = options.docs / "results.json", options.docs / "results.md"
    try:
        for job in [] if options.render else jobs(options, read_rows(rows)):
            print(f"== {job.name}", flush=True)
            row = measured(job, run_of(job, options))
            write_rows(rows, with_row(read_rows(rows), row))
            write_text(page, render(read_rows(rows)))
            print(f"fused {row.streams['fused']}, regret {row.regret['open'].points}", flush=True)
        write_text(page, render(read_rows(rows)))
    except TsvadError as error:
        sys.exit(f"ablation: {error}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ped2", type=Path, help="the dataset; without it Ped2 is left out")
    parser.add_argument("--plazas", type=Path, help="folder for rendered plazas; without it they are left out")
    parser.add_argument("--work", type=Path, help="folder for the runs")
    parser.add_argument("--ped2-seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--plaza-seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    names = [f"{dataset}/{variant}" for dataset in DATASETS for variant in VARIANTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="DATASET/VARIANT", help=str(names))
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of all runs: threads=2")
    parser.add_argument("--redo", action="store_true", help="replace a base run's outputs that have other settings")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of results.json and results.md")
    parser.add_argument("--render", action="store_true", help="only write the page")
    options = parser.parse_args()
    if not options.render and (options.work is None or (options.ped2 or options.plazas) is None):
        parser.error("give --work, and --ped2 or --plazas; or --render")
    return options


def jobs(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[Job]:
    """All that is asked for and not there yet, base runs first."""
    done = {row.key: row.settings for row in rows}
    for variant in VARIANTS:
        for dataset in DATASETS:
            if f"{dataset}/{variant}" not in options.only or data_of(dataset, 0, options) is None:
                continue
            for seed in options.ped2_seeds if dataset == "ped2" else options.plaza_seeds:
                recipe = load_recipe(DATASETS[dataset], (f"seed={seed}", *options.set))
                job = Job(dataset, variant, seed, recipe)
                if job.is_needless:
                    print(f"-- {job.name}: nothing to measure", flush=True)
                elif done.get((dataset, variant, seed)) != settings(job.own_recipe):
                    yield job


def data_of(dataset: str, seed: int, options: argparse.Namespace) -> Path | None:
    """Where the dataset lies, or will; None where it is left out."""
    given: Path | None = options.ped2 if dataset == "ped2" else options.plazas
    return given if dataset == "ped2" or given is None else given / f"plaza-{seed}"


def run_of(job: Job, options: argparse.Namespace) -> Run:
    """The job's run, fitted; its base run is fitted first."""
    data, folder = data_of(job.dataset, job.seed, options), options.work / f"{job.dataset}-{job.seed}"
    assert data is not None
    if job.dataset == "plaza":
        with Bar("plaza") as bar:
            render_plaza(data, PlazaSettings(seed=job.seed), progress=bar)
    base = fitted(Run.create(folder, job.recipe, data), redo=options.redo)
    if job.variant == SHIPPED:
        return base
    variant = derived(base, job.own_recipe, folder.with_name(f"{folder.name}.{job.variant}"), job.variant == NO_NET)
    return fitted(variant, redo=True)


def fitted(run: Run, *, redo: bool) -> Run:
    """The run when all of its stages are done."""
    with at_work(run.folder, "fit", PLAIN):
        set_up_process(run.recipe.threads)
        fit(run, redo=redo, bar=Bar)
    return run


def measured(job: Job, run: Run) -> Row:
    """The row of a fitted run."""
    with Bar("evaluate") as bar:
        record = evaluate(run, progress=bar).record
    return Row(dataset=job.dataset, variant=job.variant, seed=job.seed, **measure(run, record))


def derived(base: Run, recipe: Recipe, folder: Path, untrained: bool) -> Run:
    """A copy of the base run with another recipe, or with an untrained U-Net; or the one that was begun so before.

    It shares the files of the base run by hard links: stages write files anew, and so leave the base as it is.
    """
    if (folder / "run.json").exists():
        begun, net = Run.open(folder), "train-recovery"  # of which every variant has the base run's own
        if begun.recipe == recipe and begun.identity(net) == base.identity(net):
            return begun
    partial = folder.with_name(f".{folder.name}.partial")
    for old in (folder, partial):
        shutil.rmtree(old, ignore_errors=True)
    left_out = shutil.ignore_patterns("logs", ".*", "report.html", "figures")
    shutil.copytree(base.folder.resolve(), partial, copy_function=linked, ignore=left_out)
    run = Run(partial, recipe, base.data, base.labels)
    run.save()
    if untrained:
        untrain(run)
    partial.rename(folder)
    return Run(folder, recipe, base.data, base.labels)


def linked(source: str, target: str) -> str:
    """A hard link, or a copy where the disk has none."""
    try:
        os.link(source, target)
    except OSError:
        return str(shutil.copy2(source, target))
    return target


def untrain(run: Run) -> None:
    """Puts an untrained U-Net in place of the trained one, and undoes all that the choice of the window leads to.

    With `residual` such a net adds nothing to the last frame that it sees: "no net" repeats that frame. Its training
    stays marked as done, which is a lie that only this copy tells. Retrieval's encoder is kept, which began from the
    trained U-Net: only what predicts is taken away.

    Raises:
        TsvadError: without `residual` an untrained net predicts noise.
    """
    if not run.recipe.recovery.residual:
        raise TsvadError(f"{run.folder}: an untrained net predicts noise; no-net needs --set recovery.residual=true")
    undone: set[str] = set()
    for name, stage in STAGES.items():
        if name == "select-window" or undone & set(stage.after(run.recipe)):
            undone.add(name)
            for output in stage.outputs:
                path = run.path(output)
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    records = {name: record for name, record in run.records().items() if name not in undone}
    records["train-recovery"]["seconds"] = 0.0
    write_text(run.path(RECORDS), json.dumps(records, indent=1) + "\n")
    torch.manual_seed(run.recipe.seed)
    net = build(run.recipe.recovery, run.recipe.view.size)
    save_tensors(run.path("recovery/model.safetensors"), net.state_dict(), {"kind": "stunet", "steps": "0"})


if __name__ == "__main__":
    main()
