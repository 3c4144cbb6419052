"""One command for each stage of the paper, on a run folder."""

from pathlib import Path

from cyclopts import App

from ..storage import typed
from .common import Bar, Options, at_work, console, wanted_recipe


def register(app: App) -> None:
    """Adds the commands."""
    app.command(prepare)
    train = App(name="train", help="Train one of the two streams, or the encoder of the second.")
    train.command(train_recovery, name="recovery")
    train.command(train_encoder, name="encoder")
    train.command(train_retrieval, name="retrieval")
    app.command(train)
    recovery = App(name="recovery", help="Context recovery: how its score is chosen.")
    recovery.command(select_window, name="select-window")
    app.command(recovery)
    app.command(features)
    retrieval = App(name="retrieval", help="Knowledge retrieval: how much its score counts.")
    retrieval.command(select_weight, name="select-weight")
    app.command(retrieval)
    index = App(name="index", help="Build the hash tables of normal events, or look at them.")
    index.default(build_index)
    index.command(show_index, name="show")
    app.command(index)
    app.command(calibrate)
    app.command(fuse)


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
    from ..runs.run import Run
    from ..runs.stages import run_prepare

    wanted = wanted_recipe(recipe, out, options.set)
    if options.dry_run:
        run = Run.create(out, wanted, data, labels, write=False)
        if not options.redo:
            run.refuse_stale("prepare")
        found = run.source()
        console().print(f"{found.layout}: {len(found.training)} training and {len(found.testing)} test videos")
        return
    run = Run.create(out, wanted, data, labels)
    with at_work(out, "prepare", options), Bar("prepare") as bar:
        run_prepare(run, redo=options.redo, workers=workers, progress=bar)
    _print_counts(out)


def train_recovery(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Stage 2: train STUNet to predict the next frame. Goes on where it was stopped.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "train-recovery", options)


def select_window(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Choose the error window by pseudo-anomalies of normal video, and print what each window reaches.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "select-window", options)
    if not options.dry_run:
        from ..recovery.window import Selection
        from .tables import print_selection

        print_selection(Selection.load(run / "recovery/selection.json").candidates)


def train_encoder(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Train retrieval's encoder without labels, by telling at which pace each part of a picture plays.

    For recipes with retrieval.encoder: pace, which have no pretrained encoder. Goes on where it was stopped.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "train-encoder", options)


def calibrate(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Score held-out normal video: the scale of causal scores and the alarm threshold.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "calibrate", options)


def features(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Stage 4: encode every snippet of both splits by I3D. Goes on where it was stopped.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "features", options)


def train_retrieval(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Stage 5: train HashNet on pairs of neighbouring snippets.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "train-retrieval", options)


def build_index(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Build the hash tables of normal events from the training features.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "index", options)


def show_index(run: Path, *, show: int = 3) -> None:
    """Print each table's buckets, the fullest and the emptiest.

    Parameters
    ----------
    run
        The run folder.
    show
        Buckets shown of either kind.
    """
    from rich.console import Console
    from rich.table import Table

    from ..retrieval.tables import HashTables
    from ..runs.run import Run, RunError

    if not Run.open(run).is_done("index"):
        raise RunError(f"{run} has no tables of its present settings yet; run `tsvad index {typed(run)}` first")
    tables = HashTables.load(run / "retrieval/tables.safetensors")
    table = Table("table", "buckets", "codes", "fullest (bits: codes)", "emptiest (bits: codes)")
    for number, summary in enumerate(tables.summary(show)):
        kinds = [
            "\n".join(f"{bucket.key:0{tables.bits}b}: {bucket.count}" for bucket in side)
            for side in (summary.fullest, summary.emptiest)
        ]
        table.add_row(str(number), str(summary.buckets), str(tables.codes), *kinds)
    Console().print(table)


def select_weight(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Choose the weight of knowledge retrieval in the fusion by pseudo-anomalies, where the recipe says `select`.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "select-weight", options)
    if not options.dry_run:
        from ..runs.fitted import rated_weights
        from ..runs.run import Run
        from .tables import print_weights

        print_weights(rated_weights(Run.open(run)))


def fuse(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Align, smooth and fuse the two streams' scores under both protocols.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "fuse", options)


def score_recovery(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Stage 3: score every test video by context recovery.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "score-recovery", options)


def score_retrieval(run: Path, *, options: Options = Options()) -> None:  # noqa: B008
    """Stage 6: score every test video by knowledge retrieval.

    Parameters
    ----------
    run
        The run folder.
    """
    _stage(run, "score-retrieval", options)


def _stage(folder: Path, name: str, options: Options) -> None:
    from ..runs.pipeline import STAGES
    from ..runs.run import Run
    from ..runs.stages import FITTING

    if options.dry_run:
        Run.open(folder).check(name, options.set, redo=options.redo)
        console().print(f"{STAGES[name].command}: all it needs is there; nothing written")
        return
    Run.open(folder)
    with at_work(folder, STAGES[name].command, options), Bar(STAGES[name].command) as bar:
        FITTING[name](Run.open(folder, options.set), redo=options.redo, progress=bar)
    console().print(f"{STAGES[name].command}: done, in {folder}")


def _print_counts(folder: Path) -> None:
    from ..runs.run import Run

    for split, videos in Run.open(folder).prepared.items():
        frames = sum(video.frames for video in videos.values())
        print(f"{split}: {len(videos)} videos, {frames} frames")
