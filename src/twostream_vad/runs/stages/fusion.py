"""Stages of both streams together: the weight, the scale on normal video, the fused scores."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...detector.detector import Detector, RawScores
from ...evaluation.auc import micro_auc
from ...progress import Progress, silent
from ...recovery.pseudo import PseudoVideo, pseudo_videos
from ...retrieval.stream import RetrievalStream
from ...scores.calibration import Calibration, Scale
from ...scores.causal import cold_start
from ...scores.files import kept, read_scores, write_scores
from ...scores.fusion import fuse
from ...scores.stream import score_views
from ...scores.timeline import paper_timeline
from ...storage import write_text
from ...video.frames import ImageFolder
from ..fitted import (
    causal_curves,
    chosen_window,
    fusion_weights,
    normal_videos,
    paper_curves,
    recovery_settings,
    recovery_snippet,
    retrieval_stream,
    views,
)
from ..run import Run
from .stage import stage

WEIGHTS = (1.0, 0.5, 0.25, 0.125)
"""Weights of retrieval tried, recovery's being as the recipe says."""


def run_select_weight(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Chooses the fusion weight of knowledge retrieval by pseudo-anomalies, if the recipe leaves it to be selected."""
    with stage(run, "select-weight", redo) as wanted:
        if not wanted:
            return
        fusion = run.recipe.fusion
        rows: Sequence[tuple[float, float | None]]
        if fusion.retrieval == "select":
            rows = _rate_weights(run, fusion.recovery, progress)
        else:
            rows = [(fusion.retrieval, None)]
        run.path("results").mkdir(exist_ok=True)
        write_text(run.path("results/weight.json"), json.dumps(rows) + "\n")


def _rate_weights(run: Run, recovery: float, progress: Progress) -> list[tuple[float, float]]:
    """Weights of retrieval and the mean micro-AUC over both kinds of pseudo-anomalies, the best first."""
    errors = read_scores(run.path("recovery/pseudo.npz"))
    stream, snippet = retrieval_stream(run), recovery_snippet(run.recipe.recovery)
    videos = pseudo_videos(normal_videos(run), run.recipe.pseudo, snippet, seed=run.recipe.seed)
    curves, folder = {}, run.path("retrieval/pseudo")
    for done, video in enumerate(videos):
        progress(done, len(videos), video.name)
        distances = kept(folder / f"{video.name}.npy", partial(_distances, run, stream, video))
        curves[video.name] = (
            paper_timeline(errors[video.name], snippet, len(video)),
            paper_timeline(distances, stream.snippet, len(video)),
        )
    progress(len(videos), len(videos))
    shutil.rmtree(folder)
    rows = []
    for weight in WEIGHTS:
        aucs = []
        for kind in run.recipe.pseudo.kinds:
            own = [video for video in videos if video.kind == kind]
            fused = {video.name: fuse(*curves[video.name], (recovery, weight)) for video in own}
            aucs.append(micro_auc(fused, {video.name: video.labels() for video in own}))
        rows.append((weight, float(np.mean(aucs))))
    return sorted(rows, key=lambda row: -row[1])


def _distances(run: Run, stream: RetrievalStream, video: PseudoVideo) -> NDArray[np.float64]:
    crops = (views(run).scored(frame.image) for frame in video)
    return score_views(stream, crops, run.recipe.retrieval.score_batch)


def run_calibrate(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Scores normal video that was held out of training: the scale of causal scores, and the alarm threshold."""
    with stage(run, "calibrate", redo) as wanted:
        if not wanted:
            return
        detector, videos = Detector.load(run, calibrated=False), normal_videos(run)
        total, done = sum(len(video) for video in videos.values()), 0
        raw = {}
        for name, video in videos.items():
            raw[name] = _raw(detector, video, run.path(f"calibration/videos/{name}.npz"))
            done += len(video)
            progress(done, total, name)
        scales = [
            Scale.of(np.concatenate([getattr(scores, stream) for scores in raw.values()]))
            for stream in ("recovery", "retrieval")
        ]
        fused = [detector.causal(scores, *scales) for scores in raw.values()]
        reached = np.nanquantile(np.concatenate(fused), run.recipe.calibration.quantile)
        threshold = float(np.nextafter(reached, np.inf))  # an alarm is at the threshold or above
        run.path("calibration").mkdir(exist_ok=True)
        for stream in ("recovery", "retrieval"):
            scored = {name: getattr(scores, stream) for name, scores in raw.items()}
            write_scores(run.path(f"calibration/{stream}.npz"), scored)
        Calibration(scales[0], scales[1], threshold, tuple(videos)).save(run.path("calibration/scale.json"))
        shutil.rmtree(run.path("calibration/videos"))


def _raw(detector: Detector, video: ImageFolder, path: Path) -> RawScores:
    """Both streams' scores of a video, kept in ``path``: a killed calibration goes on where it was."""
    if not path.exists():
        write_scores(path, asdict(detector.raw(video, keep=path.with_suffix(".so-far.npz"))))
    return RawScores(**read_scores(path))


def run_fuse(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Aligns, smooths and fuses both streams' scores: ``results/fused.npz`` (paper) and ``results/causal.npz``."""
    with stage(run, "fuse", redo) as wanted:
        if wanted:
            curves = paper_curves(run)
            column = f"MLE {chosen_window(recovery_settings(run))}"
            weights = fusion_weights(run)
            fused = {name: fuse(curves[column][name], curves["retrieval"][name], weights) for name in curves[column]}
            write_scores(run.path("results/fused.npz"), fused)
            causal = causal_curves(run)["fused"]
            write_scores(run.path("results/causal.npz"), {name: cold_start(scores) for name, scores in causal.items()})
            progress(1, 1)
