"""`tsvad fit`: all stages in order, going on where it was stopped; `prepare`: the first; `demo`: on the plaza."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..storage import typed
from .common import (
    ANY_ENGINE,
    PLAIN,
    Bar,
    Data,
    EngineOptions,
    Labels,
    Options,
    RecipeName,
    at_work,
    clock,
    is_dry,
    say,
    wanted_recipe,
)
from .process import set_up_process

if TYPE_CHECKING:
    from ..runs.run import Run

A_DAY = 5.0  # false alarms: what is said of a new detector; `tsvad watch --per-day` says it of any number


def fit(
    data: Data,
    *,
    recipe: RecipeName = None,
    out: Path | None = None,
    labels: Labels = None,
    engine: EngineOptions = ANY_ENGINE,
    options: Options = PLAIN,
) -> None:
    """Learn what is normal in DATA: all six stages in order. The same command again goes on where it was stopped.

    Nets are trained by torch. What scores and encodes computes by torch too, unless an engine is given.

    Args:
        out: The run folder; runs/DATA-RECIPE-seedN unless given.
    """
    from ..runs.fit import fit as fit_run
    from ..runs.run import Run

    wanted = wanted_recipe(recipe, out, options.set)
    folder = out or Path("runs") / f"{data.resolve().name}-{wanted.name}-seed{wanted.seed}"
    run = Run.create(folder, wanted, data, labels, write=not options.dry_run)
    if is_dry(options, run):
        return
    began = time.monotonic()
    with at_work(folder, "fit", options):
        set_up_process(wanted.threads)
        chosen = engine.chosen(folder) if engine.given else None
        fit_run(run, redo=options.redo, bar=Bar, prepared=lambda: _say_notes(run), engine=chosen)
    say(f"fitted in {clock(time.monotonic() - began)}: {folder}")
    say(f"the detector, which needs nothing else: {folder}/detector")
    _say_promise(run)
    say(f"next: tsvad evaluate {typed(folder)}   or   tsvad score {typed(folder)} VIDEO")


def _say_promise(run: "Run") -> None:
    """What its normal video lets the detector promise."""
    from ..detector.bundle import Bundle
    from ..scores.promise import Promises

    calibration, share = Bundle(run.folder).description.calibration, run.recipe.calibration.held_out
    normal = calibration.normal
    if normal is None:
        say(
            "no normal video was held out: the threshold is that of video it has learned from; give three files or more"
        )
    else:
        promises = Promises(normal)
        promise, own = promises.promise(A_DAY), promises.at(calibration.threshold)
        said = promise.said() if promise.enough else f"{promise.said()}, {promise.wanted / share:.3g} in all"
        say(f"on normal video held out of training: {said}")
        say(f"at its own threshold {calibration.threshold:.2f}, which none of that reached, expect {own.said()}")


def prepare(
    data: Data,
    out: Path,
    *,
    recipe: RecipeName = None,
    labels: Labels = None,
    workers: int | None = None,
    options: Options = PLAIN,
) -> None:
    """Stage 1: start a run; frames out of videos, counted by decoding.

    Args:
        out: The run folder to make.
        workers: Processes that decode; all cores unless given.
    """
    from ..runs.fit import run_stage
    from ..runs.run import Run

    run = Run.create(out, wanted_recipe(recipe, out, options.set), data, labels, write=not options.dry_run)
    if is_dry(options, run, "prepare"):
        return
    with at_work(out, "prepare", options), Bar("prepare") as bar:
        run_stage(run, "prepare", redo=options.redo, progress=bar, workers=workers)
    _say_notes(run)
    for split, videos in run.prepared.items():
        print(f"{split}: {len(videos)} videos, {sum(video.frames for video in videos.values())} frames")


def _say_notes(run: "Run") -> None:
    """What was left out, and what was done to the videos that their owner should know."""
    for line in run.notes():
        say(line)


def plaza(
    out: Path,
    *,
    seed: int = 1,
    training_videos: int | None = None,
    testing_videos: int | None = None,
    frames: int | None = None,
) -> None:
    """Render the plaza: a synthetic camera's normal and anomalous video, with labels, masks and tracks.

    Args:
        out: The dataset folder to make.
        seed: Another seed, other people.
        training_videos: Normal videos.
        testing_videos: Videos with anomalies.
        frames: Frames a video.
    """
    from ..plaza.plaza import PlazaSettings, render_plaza

    given = {"training_videos": training_videos, "testing_videos": testing_videos, "frames": frames}
    settings = PlazaSettings(seed=seed, **{key: value for key, value in given.items() if value is not None})
    with Bar("plaza") as bar:
        render_plaza(out, settings, progress=bar)


def demo(*, seed: int = 1, out: Path | None = None) -> None:
    """Render the plaza, fit both streams on it, print the table and write a page: no data and no GPU needed.

    What scores computes by OpenVINO where it is installed.

    Args:
        seed: Of the plaza's people and of the training.
        out: Folder for the video (data) and the run (run); runs/demo-SEED unless given.
    """
    from .evaluate import evaluate

    folder = out or Path("runs") / f"demo-{seed}"
    plaza(folder / "data", seed=seed)
    options, engine = Options(set=(f"seed={seed}",)), EngineOptions(engine="auto")
    fit(folder / "data", recipe="demo", out=folder / "run", engine=engine, options=options)
    evaluate(folder / "run")
