"""One command for each stage of the paper, on a run folder: made from the table of stages."""

from collections.abc import Callable
from pathlib import Path

from cyclopts import App

from ..runs.pipeline import STAGES, Stage
from .common import ANY_ENGINE, PLAIN, Bar, EngineOptions, Options, RunFolder, at_work, say
from .fit import prepare
from .process import set_up_process
from .tables import print_selection, print_weights

GROUPS = {  # of commands of two words, by their first
    "train": "Train one of the two streams, or the encoder of the second.",
    "recovery": "Context recovery: how its score is chosen.",
    "retrieval": "Knowledge retrieval: how much its score counts.",
    "score": "Score a new video with a detector; or one stream on a run's test videos.",
    "index": "Build the hash tables of normal events, look at them, or let them grow.",
    "recipe": "Recipes: every setting of a run in one file.",
    "weights": "Import, inspect and download weights. No pickle is executed.",
}


def register(app: App) -> None:
    """Adds the commands. A group that is there already gets them too."""
    own: dict[str, Callable[..., None]] = {"prepare": prepare, "pack": pack}
    for stage in STAGES.values():
        word, _, second = stage.command.partition(" ")
        command = own.get(stage.name) or _command(stage)
        if word not in GROUPS:
            app.command(command, name=word)
        elif second:
            group(app, word).command(command, name=second)
        else:
            group(app, word).default(command)


def group(app: App, name: str) -> App:
    """The group of commands of that name, made where it is not there yet."""
    if name not in list(app):
        app.command(App(name=name, help=GROUPS[name]))
    return app[name]


def _command(stage: Stage) -> Callable[..., None]:
    def command(run: RunFolder, *, options: Options = PLAIN) -> None:
        _stage(run, stage.name, options)

    def computing(run: RunFolder, *, engine: EngineOptions = ANY_ENGINE, options: Options = PLAIN) -> None:
        _stage(run, stage.name, options, engine)

    found = computing if stage.computes else command
    found.__doc__ = stage.help
    return found


def pack(run: RunFolder, *, out: Path | None = None, options: Options = PLAIN) -> None:
    """Write the detector of a fitted run, a folder with all that scoring needs and nothing else; copy it out.

    The copy works when the run and its data are gone, from any folder and from a read-only disk.

    Args:
        out: Copy the detector here; it also stays in RUN/detector.
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


def _stage(folder: Path, name: str, options: Options, engine: EngineOptions = ANY_ENGINE) -> None:
    from ..runs.run import Run

    command, run = STAGES[name].command, Run.open(folder)
    if options.dry_run:
        run.check(name, options.set, redo=options.redo)
        say(f"{command}: all it needs is there; nothing written")
        return
    from ..runs.fit import run_stage

    with at_work(folder, command, options), Bar(command) as bar:
        run = Run.open(folder, options.set)  # again: who was waited for may have changed it
        set_up_process(run.recipe.threads)
        chosen = engine.chosen(folder) if engine.given else None
        run_stage(run, name, redo=options.redo, progress=bar, engine=chosen)
    say(f"{command}: done, in {folder}")
    if name == "select-window":
        from ..recovery.selection import load_selection

        print_selection(load_selection(run.path("recovery/selection.json")))
    elif name == "select-weight":
        from ..runs.assemble import rated_weights

        print_weights(rated_weights(run))
