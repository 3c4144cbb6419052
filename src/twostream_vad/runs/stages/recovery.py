"""Stages of context recovery: train, choose the window, score."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...datasets.layouts import Video
from ...progress import Progress, silent
from ...recovery.places import Places
from ...recovery.stream import RecoveryStream
from ...recovery.train import train_recovery
from ...recovery.window import select_window
from ...scores.files import kept, write_scores
from ...scores.stream import clip_batches
from ...storage import whole_file
from ...video.frames import ChangedVideoError
from ...video.views import Views
from ..fitted import normal_videos, recovery_settings, recovery_stream, training_videos, views
from ..run import Run
from .stage import stage


def run_train_recovery(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 2: trains STUNet."""
    with stage(run, "train-recovery", redo) as wanted:
        if wanted:
            train_recovery(
                list(training_videos(run).values()),
                run.recipe.recovery,
                views(run),
                run.path("recovery"),
                seed=run.recipe.seed,
                fixed_crops=run.recipe.view.training_crop == "fixed",
                progress=progress,
            )


def run_select_window(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Chooses the error window by pseudo-anomalies, and every other setting of the score left to be selected."""
    with stage(run, "select-window", redo) as wanted:
        if wanted:
            settings, places = run.recipe.recovery, run.path("recovery/places.safetensors")
            sums = run.path("recovery/places.sums.safetensors")
            if settings.per_place is not False and not places.exists():
                plain = recovery_stream(run, settings)
                Places.measure(plain, training_videos(run), views(run), sums, progress=progress).save(places)
            sums.unlink(missing_ok=True)
            stream, folder = recovery_stream(run, settings), run.path("recovery/pseudo")
            selection, scores = select_window(
                normal_videos(run), stream, run.recipe.pseudo, views(run), folder, run.recipe.seed, progress
            )
            write_scores(run.path("recovery/pseudo.npz"), scores)
            selection.save(run.path("recovery/selection.json"))
            shutil.rmtree(folder)


def run_score_recovery(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 3: scores every test video by context recovery.

    ``scores.npz`` holds (snippets, windows) a video, ``maps/VIDEO.npy`` each snippet's error by place, (snippets,
    crops, P, P), for the chosen window.
    """
    with stage(run, "score-recovery", redo) as wanted:
        if not wanted:
            return
        stream, videos, folder = recovery_stream(run, recovery_settings(run)), run.dataset.testing, run.path("recovery")
        scores = {}
        for done, video in enumerate(videos):
            progress(done, len(videos), video.name)
            scores[video.name] = kept(folder / f"scores/{video.name}.npy", partial(_score, run, stream, video))
        progress(len(videos), len(videos))
        write_scores(run.path("recovery/scores.npz"), {name: columns[:, :-1] for name, columns in scores.items()})
        write_scores(run.path("recovery/fle.npz"), {name: columns[:, -1] for name, columns in scores.items()})


def _score(run: Run, stream: RecoveryStream, video: Video) -> NDArray[np.float64]:
    """Scores of one video, (snippets, windows + 1); its map lies there before them."""
    with whole_file(run.path(f"recovery/maps/{video.name}.npy")) as maps:
        return _look(stream, video, run.prepared["testing"][video.name].frames, views(run), maps)


def _look(stream: RecoveryStream, video: Video, frames: int, look: Views, maps: Path) -> NDArray[np.float64]:
    """Scores of one video, (snippets, windows + 1); writes errors by place, (snippets, crops, P, P) float16."""
    snippets, done = stream.snippet.count(frames), 0
    scores, written = np.zeros((snippets, len(stream.settings.windows) + 1)), None
    crops = (look.scored(frame.image) for frame in video.open())
    for clips in clip_batches(crops, stream.snippet, stream.settings.score_batch):
        rows = slice(done, done := done + len(clips))
        if done > snippets:
            break
        scores[rows], places = stream.look(clips)
        if written is None:
            shape = (snippets, *places.shape[1:])
            written = np.lib.format.open_memmap(maps, mode="w+", dtype=np.float16, shape=shape)
        written[rows] = places
    if done != snippets:
        raise ChangedVideoError(video.path, f"no longer has {frames} frames")
    if written is None:
        np.save(maps, np.zeros((0, 1, 1, 1), np.float16))
    else:
        written.flush()
    return scores
