"""Stages of context recovery: train, choose the window, score."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...datasets.dataset import Video
from ...detector.bundle import Bundle
from ...detector.engines.engine import Engine
from ...detector.engines.sides import for_several, side_by_side
from ...detector.loading import recovery_stream
from ...progress import Progress
from ...recovery.places import Places
from ...recovery.selection import only_candidate, save_selection, select_score
from ...recovery.stream import RecoveryStream, predict
from ...recovery.train import train_recovery
from ...recovery.windows import AllWindows
from ...scores.files import kept, write_scores
from ...scores.stream import clip_batches
from ...storage import whole_file
from ...video.frames import ChangedVideoError
from ...video.ticks import at_ticks
from ..assemble import all_windows, encoder_file, learned_views
from ..curves import ticks_by_video
from ..pseudo import Curves, beside, retrieval_curves
from ..run import Run, RunError
from ..videos import normal_videos, training_videos


def train(run: Run, progress: Progress) -> None:
    """Stage 2: trains STUNet."""
    videos, recipe, out = list(training_videos(run).values()), run.recipe, run.path("recovery")
    fixed = recipe.view.training_crop == "fixed"
    train_recovery(
        videos, recipe.recovery, learned_views(run), out, seed=recipe.seed, fixed_crops=fixed, progress=progress
    )


def train_joint(run: Run, progress: Progress) -> None:
    """Trains the decoder on retrieval's encoder, where the recipe asks for that."""
    recipe = run.recipe
    if recipe.joint.steps is None:
        raise RunError("each stream has an encoder of its own, nothing is trained; --set joint.steps=400 joins them")
    train_recovery(
        list(training_videos(run).values()),
        recipe.recovery.model_copy(update={"steps": recipe.joint.steps}),
        learned_views(run),
        run.path("joint"),
        seed=recipe.seed,
        fixed_crops=recipe.view.training_crop == "fixed",
        behind=(run.path("recovery/model.safetensors"), encoder_file(run)[0]),
        progress=progress,
    )


def select(run: Run, progress: Progress, engine: Engine) -> None:
    """Chooses the error window by pseudo-anomalies, and every other setting of the score left to be selected."""
    places, sums = run.path("recovery/places.safetensors"), run.path("recovery/places.sums.safetensors")
    if run.recipe.recovery.per_place is not False and not places.exists():
        Places.measure(all_windows(run, engine=engine), training_videos(run), sums, progress=progress).save(places)
    sums.unlink(missing_ok=True)
    recipe, only = run.recipe, only_candidate(run.recipe.recovery)
    if only is not None and recipe.fusion.retrieval != "select":
        write_scores(run.path("recovery/pseudo.npz"), {})
        save_selection(run.path("recovery/selection.json"), [only])
        return
    windows, folder = all_windows(run, engine=engine), run.path("recovery/pseudo")
    others: list[Curves] = [{}]
    if recipe.pseudo.judge == "fused":
        curves = retrieval_curves(run, folder / "retrieval", progress, engine)
        write_scores(run.path("retrieval/pseudo.npz"), curves)
        others = beside(run, curves)
    candidates, scores = select_score(normal_videos(run), windows, recipe.pseudo, folder, recipe.seed, progress, others)
    write_scores(run.path("recovery/pseudo.npz"), scores)
    save_selection(run.path("recovery/selection.json"), candidates)
    shutil.rmtree(folder)


def score(run: Run, progress: Progress, engine: Engine) -> None:
    """Stage 3: ``scores.npz``, (snippets, windows), and ``chosen.npz``, (snippets,); errors by place in ``maps``."""
    bundle = Bundle(run.path("detector"))
    several, rate = for_several(engine), bundle.description.pictures.rate
    stream = recovery_stream(bundle, several)
    windows = all_windows(run, stream.predictor)
    videos, ticks, folder = run.dataset.testing, ticks_by_video(run, "testing", rate), run.path("recovery")
    found: dict[str, NDArray[np.float64]] = {}
    progress(0, len(videos))

    def look_at(video: Video) -> None:
        look = partial(_score, stream, windows, video, rate, int(ticks[video.name][-1]) + 1, folder)
        found[video.name] = kept(folder / f"scores/{video.name}.npy", look)
        progress(len(found), len(videos), video.name)

    side_by_side(videos, look_at, several)
    scores = {video.name: found[video.name] for video in videos}
    write_scores(run.path("recovery/scores.npz"), {name: columns[:, :-2] for name, columns in scores.items()})
    for place, name in ((-2, "fle"), (-1, "chosen")):
        write_scores(run.path(f"recovery/{name}.npz"), {video: columns[:, place] for video, columns in scores.items()})


def _score(
    stream: RecoveryStream, windows: AllWindows, video: Video, rate: float, ticks: int, folder: Path
) -> NDArray[np.float64]:
    """Scores of one video, (snippets, windows + 2), FLE and the chosen one last.

    Before them lie its ``maps``, (snippets, crops, P, P) float16, and its ``maxima``, see `AllWindows.maxima`: what any
    other way to score would have given.
    """
    snippets, done = stream.snippet.count(ticks), 0
    scores = np.zeros((snippets, len(windows.settings.windows) + 2))
    crops = (stream.views.scored(frame.image) for frame in at_ticks(video.open(), rate))
    with (
        whole_array(folder / f"maps/{video.name}.npy", snippets, np.float16) as maps,
        whole_array(folder / f"maxima/{video.name}.npy", snippets, np.float32) as maxima,
    ):
        for clips in clip_batches(crops, stream.snippet, batch=1):  # one by one, as a detector sees them
            if done == snippets:
                raise ChangedVideoError(video.path, f"has more than the {ticks} frames that were counted")
            predicted, true = predict(stream.predictor, clips)
            own, places = stream.judge(predicted, true, clips.shape[:2])
            local = windows.maxima(predicted, true, clips.shape[:2])
            scores[done, :-1], scores[done, -1] = windows.scores(local, predicted, true, stream.how)[0], own[0]
            maps(done, places[0])
            maxima(done, local[0].numpy())
            done += 1
        if done != snippets:
            raise ChangedVideoError(video.path, f"no longer has {ticks} frames")
    return scores


@contextmanager
def whole_array(path: Path, rows: int, dtype: type[np.floating[Any]]) -> Iterator[Callable[[int, NDArray[Any]], None]]:
    """Takes rows one by one and writes them as one ``.npy``, whole or not at all; (0, 1, 1, 1) where none come."""
    with whole_file(path) as temporary:
        written: list[NDArray[Any]] = []

        def put(row: int, values: NDArray[Any]) -> None:
            if not written:
                shape = (rows, *values.shape)
                written.append(np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape))
            written[0][row] = values

        yield put
        if written:
            written[0].flush()  # type: ignore[attr-defined]
        else:
            np.save(temporary, np.zeros((0, 1, 1, 1), dtype))
