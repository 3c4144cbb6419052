"""`tsvad fit`: all stages in order, going on where it was stopped; `tsvad demo`: on the rendered plaza."""

import time
from pathlib import Path

from cyclopts import App

from ..storage import typed
from .common import Bar, Options, at_work, clock, console, wanted_recipe
from .process import set_up_process


def register(app: App) -> None:
    """Adds the commands."""
    app.command(fit)
    app.command(plaza)
    app.command(demo)


def fit(
    data: Path,
    *,
    recipe: str | None = None,
    out: Path | None = None,
    labels: Path | None = None,
    options: Options = Options(),  # noqa: B008  frozen
) -> None:
    """Learn what is normal in DATA: all six stages in order. The same command again goes on where it was stopped.

    Parameters
    ----------
    data
        The dataset: Ped2, Avenue, ShanghaiTech, Corridor, or any folder of videos (training/ and testing/).
    recipe
        A shipped recipe (tsvad recipe list) or a YAML file; camera unless given, or that of the run in OUT.
    out
        The run folder; runs/DATA-RECIPE-seedN unless given.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    """
    from ..runs.fit import fit as fit_run
    from ..runs.run import Run

    wanted = wanted_recipe(recipe, out, options.set)
    folder = out or Path("runs") / f"{data.resolve().name}-{wanted.name}-seed{wanted.seed}"
    if options.dry_run:
        run = Run.create(folder, wanted, data, labels, write=False)
        if not options.redo:
            run.refuse_stale()
        found = run.source()
        console().print(
            f"{found.layout}: {len(found.training)} training and {len(found.testing)} test videos; would fit "
            f"{wanted.name} into {folder}"
        )
        return
    run = Run.create(folder, wanted, data, labels)
    began = time.monotonic()
    with at_work(folder, "fit", options):
        set_up_process(wanted.threads)
        fit_run(run, redo=options.redo, bar=Bar)
    console().print(f"fitted in {clock(time.monotonic() - began)}: {folder}", soft_wrap=True)
    console().print(f"the detector, which needs nothing else: {folder}/detector", soft_wrap=True)
    console().print(f"next: tsvad evaluate {typed(folder)}   or   tsvad score {typed(folder)} VIDEO", soft_wrap=True)


def plaza(
    out: Path,
    *,
    seed: int = 1,
    training_videos: int | None = None,
    testing_videos: int | None = None,
    frames: int | None = None,
) -> None:
    """Render the plaza: a synthetic camera's normal and anomalous video, with labels, masks and tracks.

    Parameters
    ----------
    out
        The dataset folder to make.
    seed
        Another seed, other people.
    training_videos
        Normal videos.
    testing_videos
        Videos with anomalies.
    frames
        Frames a video.
    """
    from dataclasses import replace

    from ..plaza.plaza import PlazaSettings, render_plaza

    given = {"training_videos": training_videos, "testing_videos": testing_videos, "frames": frames}
    settings = replace(PlazaSettings(seed=seed), **{key: value for key, value in given.items() if value is not None})
    with Bar("plaza") as bar:
        render_plaza(out, settings, progress=bar)


def demo(*, seed: int = 1, out: Path | None = None) -> None:
    """Render the plaza, fit both streams on it, print the table and write a page: no data and no GPU needed.

    Parameters
    ----------
    seed
        Of the plaza's people and of the training.
    out
        Folder for the video (data) and the run (run); runs/demo-SEED unless given.
    """
    from .evaluate import evaluate

    folder = out or Path("runs") / f"demo-{seed}"
    plaza(folder / "data", seed=seed)
    fit(folder / "data", recipe="demo", out=folder / "run", options=Options(set=(f"seed={seed}",)))
    evaluate(folder / "run")
