"""Stages of knowledge retrieval: encoder, features, hash net, tables, score."""

import numpy as np

from ...progress import Progress, silent
from ...retrieval.exemplars import Exemplars
from ...retrieval.features import FeatureSet, extract_features
from ...retrieval.pace import train_pace
from ...retrieval.stream import encode_codes, load_hashnet
from ...retrieval.tables import HashTables
from ...retrieval.train import train_retrieval
from ...scores.files import write_scores
from ..fitted import retrieval_encoder, retrieval_snippet, retrieval_stream, split_training, training_videos, views
from ..run import Run, RunError
from .stage import stage

INDEX_ROWS = 4096


def run_train_encoder(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Trains retrieval's encoder without labels, where the recipe asks for that."""
    if run.recipe.retrieval.encoder != "pace":
        raise RunError(
            f"the recipe takes a {run.recipe.retrieval.encoder} encoder for retrieval, nothing is trained; "
            "--set retrieval.encoder=pace trains one"
        )
    with stage(run, "train-encoder", redo) as wanted:
        if wanted:
            train_pace(
                list(training_videos(run).values()),
                run.recipe.pace,
                retrieval_snippet(run),
                views(run),
                run.path("recovery/model.safetensors"),
                run.path("retrieval/encoder"),
                width=run.recipe.recovery.width,
                seed=run.recipe.seed,
                progress=progress,
            )


def run_features(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 4: I3D features of both splits."""
    with stage(run, "features", redo) as wanted:
        if not wanted:
            return
        encoder, settings, look = retrieval_encoder(run), run.recipe.retrieval, views(run)
        for split in ("training", "testing"):
            videos = run.dataset.testing
            if split == "training":
                videos = split_training(run.dataset.training, run.recipe.calibration.held_out)[0]
            known = run.prepared[split]
            sources = [
                (
                    video.open(),
                    known[video.name].frames,
                    look.count(known[video.name].height, known[video.name].width),
                )
                for video in videos
            ]
            if sources:
                extract_features(
                    sources,
                    encoder,
                    look,
                    run.path(f"retrieval/features/{split}"),
                    dtype=settings.feature_dtype,
                    batch=settings.score_batch,
                    progress=progress,
                )


def run_train_retrieval(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 5: trains HashNet."""
    with stage(run, "train-retrieval", redo) as wanted:
        if wanted:
            features = FeatureSet.load(run.path("retrieval/features/training"))
            train_retrieval(
                features, run.recipe.retrieval, run.path("retrieval"), seed=run.recipe.seed, progress=progress
            )


def run_index(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Builds the hash tables from the training features."""
    with stage(run, "index", redo) as wanted:
        if not wanted:
            return
        settings = run.recipe.retrieval
        features = FeatureSet.load(run.path("retrieval/features/training"))
        net = load_hashnet(run.path("retrieval/model.safetensors"), settings, features.values).eval()
        tables, array = HashTables(settings.tables, settings.bits), features.array()
        for first in range(0, features.rows, INDEX_ROWS):
            tables.add(encode_codes(net, array[first : first + INDEX_ROWS]))
            progress(min(first + INDEX_ROWS, features.rows), features.rows)
        codes = (encode_codes(net, array[first : first + INDEX_ROWS]) for first in range(0, features.rows, INDEX_ROWS))
        Exemplars.build(tables, codes).save(run.path("retrieval/exemplars.safetensors"))
        tables.save(run.path("retrieval/tables.safetensors"))


def run_score_retrieval(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 6: scores every test video by knowledge retrieval; ``scores.npz`` holds (snippets,) a video."""
    with stage(run, "score-retrieval", redo) as wanted:
        if not wanted:
            return
        features, stream = FeatureSet.load(run.path("retrieval/features/testing")), retrieval_stream(run)
        array, scores = features.array(), {}
        for done, video in enumerate(features.videos):
            rows = np.asarray(array[video.first : video.first + video.rows], dtype=np.float32)
            shaped = rows.reshape(video.snippets, video.crops, features.values)
            scores[video.name] = stream.score_features(shaped) if video.snippets else np.zeros(0)
            progress(done + 1, len(features.videos), video.name)
        write_scores(run.path("retrieval/scores.npz"), scores)
