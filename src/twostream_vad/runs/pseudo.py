"""What knowledge retrieval says of pseudo-anomalies: choices of the score and of the weight look at it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..detector.engines.engine import TORCH, Engine
from ..progress import Progress
from ..recovery.pseudo import PseudoVideo, pseudo_videos
from ..scores.files import kept
from ..scores.stream import ScoreLog, Stream, clip_batches
from ..scores.timeline import paper_timeline
from ..video.snippets import Snippet
from .assemble import retrieval_stream
from .run import Run
from .videos import normal_videos

WEIGHTS = (1.0, 0.5, 0.25, 0.125)
"""Weights of retrieval tried where the recipe leaves it to be selected, recovery's being as the recipe says."""
Curves = dict[str, NDArray[np.float64]]


def spoilt_videos(run: Run) -> list[PseudoVideo]:
    """The pseudo-anomalous videos of a run."""
    settings = run.recipe.recovery
    snippet = Snippet.predicting(settings.length, settings.interval)
    return pseudo_videos(normal_videos(run), run.recipe.pseudo, snippet, seed=run.recipe.seed)


def weights(run: Run) -> Sequence[float]:
    """Of retrieval: those that may be chosen."""
    given = run.recipe.fusion.retrieval
    return WEIGHTS if given == "select" else (given,)


def retrieval_curves(run: Run, folder: Path, progress: Progress, engine: Engine = TORCH) -> Curves:
    """Pseudo-anomalous video → retrieval's frame scores, paper's protocol; ``folder`` keeps them video by video."""
    stream, videos = retrieval_stream(run, engine), spoilt_videos(run)
    curves = {}
    for done, video in enumerate(videos):
        progress(done, len(videos), video.name)
        look = partial(_distances, stream, video, run.recipe.retrieval.score_batch)
        curves[video.name] = paper_timeline(kept(folder / f"{video.name}.npy", look), stream.snippet, len(video))
    progress(len(videos), len(videos))
    return curves


def beside(run: Run, curves: Curves) -> list[Curves]:
    """For every weight that may be chosen, what is added to one of context recovery's scores: retrieval's curves."""
    recovery = run.recipe.fusion.recovery or 1e-6
    return [{name: weight / recovery * curve for name, curve in curves.items()} for weight in weights(run)]


def _distances(stream: Stream, video: PseudoVideo, batch: int) -> NDArray[np.float64]:
    crops, log = (stream.views.scored(frame.image) for frame in video), ScoreLog()
    for clips in clip_batches(crops, stream.snippet, batch):
        log.add(stream.score(clips))
    return log.array()
