"""One command for each stage of the paper, on a run folder: made from the table of stages."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..runs.pipeline import STAGES, Stage
from .common import Bar, Options, at_work, console, wanted_recipe
from .process import set_up_process

GROUPS = {
    "train": "Train one of the two streams, or the encoder of the second.",
    "recovery": "Context recovery: how its score is chosen.",
    "retrieval": "Knowledge retrieval: how much its score counts.",
    "score": "Score a new video with a detector; or one stream on a run's test videos.",
    "index": "Build the hash tables of normal events, look at them, or let them grow.",
}
"""Commands of two words, by their first."""
PARAMETERS = "\n\nParameters\n----------\nrun\n    The run folder.\n"
OWN = ("prepare", "pack")
"""Stages whose commands have options of their own."""


def register(app: App) -> None:
    """Adds the commands. A group that is there already gets them too."""
    app.command(prepare)
    app.command(pack)
    for stage in STAGES.values():
        if stage.name not in OWN:
            word, _, second = stage.command.partition(" ")
            command = _command(stage)
            if word not in GROUPS:
                app.command(command, name=word)
            elif second:
                group(app, word).command(command, name=second)
            else:
                group(app, word).default(command)


def group(app: App, name: str) -> App:
    """The group of commands of that name, made where it is not there yet."""
    if name not in [known for sub in app.subapps for known in sub.name]:
        app.command(App(name=name, help=GROUPS[name]))
    return app[name]


def _command(stage: Stage) -> Callable[..., None]:
    def command(run: Path, *, options: Options = Options()) -> None:  # noqa: B008  frozen
        _stage(run, stage.name, options)
        if not options.dry_run and stage.name in THEN:
            THEN[stage.name](run)

    command.__doc__ = stage.help + PARAMETERS
    command.__name__ = stage.name.replace("-", "_")
    return command


def prepare(
    data: Path,
    out: Path,
    *,
    recipe: str | None = None,
    labels: Path | None = None,
    workers: int | None = None,
    options: Options = Options(),  # noqa: B008  frozen
) -> None:
    """Stage 1: start a run; frames out of videos, counted by decoding.

    Parameters
    ----------
    data
        The dataset: Ped2, Avenue, ShanghaiTech, Corridor, or any folder of videos (training/ and testing/).
    out
        The run folder to make.
    recipe
        A shipped recipe (tsvad recipe list) or a YAML file; camera unless given, or that of the run in OUT.
    labels
        Frame labels of the test videos, where they do not lie in the dataset.
    workers
        Processes that decode; all cores unless given.
    """
    from ..runs.fit import run_stage
    from ..runs.run import Run

    wanted = wanted_recipe(recipe, out, options.set)
    run = Run.create(out, wanted, data, labels, write=not options.dry_run)
    if options.dry_run:
        if not options.redo:
            run.refuse_stale("prepare")
        found = run.source()
        console().print(f"{found.layout}: {len(found.training)} training and {len(found.testing)} test videos")
        return
    with at_work(out, "prepare", options), Bar("prepare") as bar:
        run_stage(run, "prepare", redo=options.redo, progress=bar, workers=workers)
    for split, videos in run.prepared.items():
        print(f"{split}: {len(videos)} videos, {sum(video.frames for video in videos.values())} frames")


def pack(
    run: Path,
    *,
    out: Annotated[Path | None, Parameter(name="--out")] = None,
    options: Options = Options(),  # noqa: B008  frozen
) -> None:
    """Write the detector of a fitted run, a folder with all that scoring needs and nothing else; copy it out.

    The copy works when the run and its data are gone, from any folder and from a read-only disk.

    Parameters
    ----------
    run
        The run folder.
    out
        Copy the detector here; it also stays in RUN/detector.
    """
    from ..detector.bundle import Bundle, copy_bundle

    _stage(run, "pack", options)
    if options.dry_run:
        return
    bundle = Bundle(run / "detector")
    if out is not None:
        copy_bundle(bundle, out)
    size = sum(bundle.path(name).stat().st_size for name in bundle.hashes)
    print(f"{out or bundle.folder}: {len(bundle.hashes)} files, {size / 1e6:.1f} MB")


def _stage(folder: Path, name: str, options: Options) -> None:
    from ..runs.run import Run

    command = STAGES[name].command
    if options.dry_run:
        Run.open(folder).check(name, options.set, redo=options.redo)
        console().print(f"{command}: all it needs is there; nothing written")
        return
    from ..runs.fit import run_stage

    Run.open(folder)
    with at_work(folder, command, options), Bar(command) as bar:
        run = Run.open(folder, options.set)
        set_up_process(run.recipe.threads)
        run_stage(run, name, redo=options.redo, progress=bar)
    console().print(f"{command}: done, in {folder}")


def _show_selection(run: Path) -> None:
    from ..recovery.selection import load_selection
    from .tables import print_selection

    print_selection(load_selection(run / "recovery/selection.json"))


def _show_weights(run: Path) -> None:
    from ..runs.assemble import rated_weights
    from ..runs.run import Run
    from .tables import print_weights

    print_weights(rated_weights(Run.open(run)))


THEN = {"select-window": _show_selection, "select-weight": _show_weights}
"""What a stage's command prints at its end."""
