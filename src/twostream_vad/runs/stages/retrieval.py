"""Stages of knowledge retrieval: encoder, features, hash net, tables, score."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...detector.bundle import Bundle
from ...detector.engines.engine import TORCH, Engine
from ...detector.engines.nets import TorchHasher
from ...detector.engines.sides import for_several, side_by_side
from ...detector.loading import retrieval_stream
from ...progress import Progress
from ...retrieval.exemplars import Exemplars
from ...retrieval.features import FeatureSet, extract_features
from ...retrieval.pace import train_pace
from ...retrieval.placed import PlacedStream
from ...retrieval.tables import HashTables
from ...retrieval.train import train_retrieval
from ...scores.files import save_array, write_scores
from ...video.pictures import thumbnail
from ...video.snippets import Snippet
from ..assemble import encoding, hasher, learned_views, retrieval_interval
from ..curves import ticks_by_video
from ..run import Run, RunError
from ..videos import learned_rate, split_training, training_videos
from .places import index_places

INDEX_ROWS = 4096


def train_encoder(run: Run, progress: Progress) -> None:
    """Trains retrieval's encoder without labels, where the recipe asks for that."""
    recipe, settings = run.recipe, run.recipe.retrieval
    if settings.encoder != "pace":
        given = f"the recipe takes a {settings.encoder} encoder for retrieval, nothing is trained"
        raise RunError(f"{given}; --set retrieval.encoder=pace trains one")
    videos, snippet = list(training_videos(run).values()), Snippet.centred(settings.length, settings.interval)
    precision = recipe.recovery.precision
    start, out, width = run.path("recovery/model.safetensors"), run.path("retrieval/encoder"), recipe.recovery.width
    train_pace(
        videos,
        recipe.pace,
        snippet,
        learned_views(run),
        start,
        out,
        width=width,
        seed=recipe.seed,
        precision=precision,
        progress=progress,
    )


def encode(run: Run, progress: Progress, engine: Engine) -> None:
    """Stage 4: I3D features of both splits; test video one snippet at a time, as a detector sees it."""
    several = for_several(engine)
    encodes, rate = encoding(run, several), learned_rate(run)
    training = split_training(run.dataset.training, run.recipe.calibration.held_out)[0]
    batch = run.recipe.retrieval.score_batch
    for split, videos, at_once in (("training", training, batch), ("testing", run.dataset.testing, 1)):
        ticks, sources = ticks_by_video(run, split, rate), []
        for video in videos:
            known = run.prepared[split][video.name]
            crops = encodes.views.count(known.height, known.width)
            sources.append((video.open(), int(ticks[video.name][-1]) + 1, crops))
        if sources:
            folder = run.path(f"retrieval/features/{split}")
            extract_features(
                sources,
                encodes,
                folder,
                rate=rate,
                batch=at_once,
                progress=progress,
                sides=partial(side_by_side, engine=several),
            )


def train(run: Run, progress: Progress) -> None:
    """Stage 5: trains HashNet."""
    features = FeatureSet.load(run.path("retrieval/features/training"))
    train_retrieval(features, run.recipe.retrieval, run.path("retrieval"), seed=run.recipe.seed, progress=progress)


def index(run: Run, progress: Progress) -> None:
    """Builds the hash tables from the training features, and an exemplar of each bucket with its pictures."""
    settings, features = run.recipe.retrieval, FeatureSet.load(run.path("retrieval/features/training"))
    snippet = Snippet.centred(settings.length, retrieval_interval(run.recipe))
    if settings.by_place:
        index_places(run, features, snippet.span, progress)
        return
    hashes, tables, array = hasher(run, features.values), HashTables(settings.tables, settings.bits), features.array()
    for codes in _codes(hashes, array):
        tables.add(codes)
        progress(tables.codes, features.rows)
    names = [video.name for video in features.videos]
    exemplars = Exemplars.build(tables, _codes(hashes, array), features.places(), names)
    videos = training_videos(run)
    frames = sum(len(video) for video in videos.values())
    exemplars = exemplars.illustrated(lambda name, frame: thumbnail(videos[name].read(frame)), snippet.span, frames)
    exemplars.save(run.path("retrieval/exemplars.safetensors"))
    tables.save(run.path("retrieval/tables.safetensors"))


def _codes(hashes: TorchHasher, array: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
    return (hashes(array[first : first + INDEX_ROWS]) for first in range(0, len(array), INDEX_ROWS))


def score(run: Run, progress: Progress) -> None:
    """Stage 6: ``scores.npz``, (snippets,) a test video; by place also ``maps``, the relative distances there."""
    features = FeatureSet.load(run.path("retrieval/features/testing"))
    stream, array, scores = retrieval_stream(Bundle(run.path("detector")), TORCH), features.array(), {}
    for done, video in enumerate(features.videos):
        rows = array[video.first : video.first + video.rows].reshape(video.snippets, video.each, features.values)
        if isinstance(stream, PlacedStream):
            scores[video.name], local = stream.look_at(rows)
            save_array(run.path(f"retrieval/maps/{video.name}.npy"), local.astype(np.float16))
        else:
            scores[video.name] = stream.score_features(rows)
        progress(done + 1, len(features.videos), video.name)
    write_scores(run.path("retrieval/scores.npz"), scores)
