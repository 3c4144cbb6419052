"""The six stages of the paper on a run folder, and `fit`, which is all of them in order."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from .config import RecoverySettings
from .datasets.layouts import Video
from .datasets.prepare import prepare
from .evaluation.auc import micro_auc
from .recovery.pseudo import KINDS, pseudo_videos
from .recovery.stream import RecoveryStream
from .recovery.train import train_recovery
from .recovery.window import Selection, select_window
from .retrieval.features import FeatureSet, extract_features
from .retrieval.stream import Encoder, RetrievalStream, encode_codes, load_hashnet
from .retrieval.tables import HashTables
from .retrieval.train import train_retrieval
from .run import Run, RunError
from .scores.files import read_scores, write_scores
from .scores.fusion import fuse
from .scores.stream import score_views
from .scores.timeline import paper_timeline
from .storage import whole_file, write_text
from .training import Progress, pick_device, set_up_process, silent
from .video.frames import ImageFolder
from .video.snippets import Snippet
from .video.views import Region, Views, corridor_grid

INDEX_ROWS = 4096
WEIGHTS = (1.0, 0.5, 0.25, 0.125)
"""Weights of retrieval tried, recovery's being as the recipe says."""


def run_prepare(run: Run, *, redo: bool = False, workers: int | None = None, progress: Progress = silent) -> None:
    """Stage 1: frames out of videos, counted by decoding."""
    with _stage(run, "prepare", redo) as wanted:
        if wanted:
            prepare(run.source(), run.path("frames"), workers=workers, progress=progress)


def run_train_recovery(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 2: trains STUNet."""
    with _stage(run, "train-recovery", redo) as wanted:
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
    with _stage(run, "select-window", redo) as wanted:
        if wanted:
            settings = run.recipe.recovery
            stream = recovery_stream(run, settings)
            selection, scores = select_window(
                training_videos(run), stream, run.recipe.pseudo, views(run), seed=run.recipe.seed, progress=progress
            )
            write_scores(run.path("recovery/pseudo.npz"), scores)
            selection.save(run.path("recovery/selection.json"))


def run_score_recovery(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 3: scores every test video by context recovery; ``scores.npz`` holds (snippets, windows) a video."""
    with _stage(run, "score-recovery", redo) as wanted:
        if not wanted:
            return
        settings = recovery_settings(run)
        stream = recovery_stream(run, settings)
        videos, folder = run.dataset.testing, run.path("recovery/scores")
        for done, video in enumerate(videos):
            progress(done, len(videos), video.name)
            if not (folder / f"{video.name}.npy").exists():
                _save_array(
                    folder / f"{video.name}.npy",
                    _score_video(stream, video, views(run), settings.score_batch),
                )
        progress(len(videos), len(videos))
        scores = {video.name: np.load(folder / f"{video.name}.npy") for video in videos}
        write_scores(run.path("recovery/scores.npz"), {name: columns[:, :-1] for name, columns in scores.items()})
        write_scores(run.path("recovery/fle.npz"), {name: columns[:, -1] for name, columns in scores.items()})


def run_features(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 4: I3D features of both splits."""
    with _stage(run, "features", redo) as wanted:
        if not wanted:
            return
        encoder, settings, look = retrieval_encoder(run), run.recipe.retrieval, views(run)
        for split in ("training", "testing"):
            videos = run.dataset.training if split == "training" else run.dataset.testing
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
    with _stage(run, "train-retrieval", redo) as wanted:
        if wanted:
            features = FeatureSet.load(run.path("retrieval/features/training"))
            train_retrieval(
                features, run.recipe.retrieval, run.path("retrieval"), seed=run.recipe.seed, progress=progress
            )


def run_index(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Builds the hash tables from the training features."""
    with _stage(run, "index", redo) as wanted:
        if not wanted:
            return
        settings = run.recipe.retrieval
        features = FeatureSet.load(run.path("retrieval/features/training"))
        net = load_hashnet(run.path("retrieval/model.safetensors"), settings, features.values).eval()
        tables, array = HashTables(settings.tables, settings.bits), features.array()
        for first in range(0, features.rows, INDEX_ROWS):
            tables.add(encode_codes(net, array[first : first + INDEX_ROWS]))
            progress(min(first + INDEX_ROWS, features.rows), features.rows)
        tables.save(run.path("retrieval/tables.safetensors"))


def run_select_weight(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Chooses the fusion weight of knowledge retrieval by pseudo-anomalies, if the recipe leaves it to be selected."""
    with _stage(run, "select-weight", redo) as wanted:
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
    videos = pseudo_videos(training_videos(run), run.recipe.pseudo, snippet, seed=run.recipe.seed)
    curves = {}
    for done, video in enumerate(videos):
        progress(done, len(videos), video.name)
        batches = list(
            score_views(stream, (views(run).scored(frame.image) for frame in video), run.recipe.retrieval.score_batch)
        )
        distances = np.concatenate(batches) if batches else np.zeros(0)
        curves[video.name] = (
            paper_timeline(errors[video.name], snippet, len(video)),
            paper_timeline(distances, stream.snippet, len(video)),
        )
    progress(len(videos), len(videos))
    rows = []
    for weight in WEIGHTS:
        aucs = []
        for kind in KINDS:
            own = [video for video in videos if video.kind == kind]
            fused = {video.name: fuse(*curves[video.name], (recovery, weight)) for video in own}
            aucs.append(micro_auc(fused, {video.name: video.labels() for video in own}))
        rows.append((weight, float(np.mean(aucs))))
    return sorted(rows, key=lambda row: -row[1])


def run_score_retrieval(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Stage 6: scores every test video by knowledge retrieval; ``scores.npz`` holds (snippets,) a video."""
    with _stage(run, "score-retrieval", redo) as wanted:
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


def run_fuse(run: Run, *, redo: bool = False, progress: Progress = silent) -> None:
    """Aligns, smooths and fuses both streams' scores under the paper's protocol; ``results/fused.npz``."""
    with _stage(run, "fuse", redo) as wanted:
        if wanted:
            curves = paper_curves(run)
            column = f"MLE {recovery_settings(run).window}"
            weights = fusion_weights(run)
            fused = {name: fuse(curves[column][name], curves["retrieval"][name], weights) for name in curves[column]}
            write_scores(run.path("results/fused.npz"), fused)
            progress(1, 1)


FITTING: dict[str, Callable[..., None]] = {
    "prepare": run_prepare,
    "train-recovery": run_train_recovery,
    "select-window": run_select_window,
    "features": run_features,
    "train-retrieval": run_train_retrieval,
    "index": run_index,
    "select-weight": run_select_weight,
    "score-recovery": run_score_recovery,
    "score-retrieval": run_score_retrieval,
    "fuse": run_fuse,
}
"""All stages in the order in which `fit` runs them."""


def paper_curves(run: Run) -> dict[str, dict[str, np.ndarray]]:
    """Frame scores under the paper's protocol: ``MLE <window>`` for each, ``FLE`` and ``retrieval``, by video."""
    settings, frames = recovery_settings(run), run.prepared["testing"]
    local = read_scores(run.path("recovery/scores.npz"))
    whole = read_scores(run.path("recovery/fle.npz"))
    distances = read_scores(run.path("retrieval/scores.npz"))
    recovery, retrieval = recovery_snippet(settings), retrieval_snippet(run)
    curves = {
        f"MLE {window}": {
            name: paper_timeline(scores[:, column], recovery, frames[name].frames) for name, scores in local.items()
        }
        for column, window in enumerate(settings.windows)
    }
    curves["FLE"] = {name: paper_timeline(scores, recovery, frames[name].frames) for name, scores in whole.items()}
    curves["retrieval"] = {
        name: paper_timeline(scores, retrieval, frames[name].frames) for name, scores in distances.items()
    }
    return curves


def recovery_snippet(settings: RecoverySettings) -> Snippet:
    """Context recovery's geometry."""
    return Snippet(settings.length, settings.interval, offset=(settings.length - 1) * settings.interval)


def retrieval_snippet(run: Run) -> Snippet:
    """Knowledge retrieval's geometry."""
    settings = run.recipe.retrieval
    return Snippet(settings.length, settings.interval, offset=settings.length // 2 * settings.interval)


def views(run: Run) -> Views:
    """Resize and crops of the run's recipe."""
    settings = run.recipe.view
    if settings.regions == "corridor":
        return Views(settings.size, corridor_grid())
    return Views(settings.size, tuple(Region(*region) for region in settings.regions))


def training_videos(run: Run) -> dict[str, ImageFolder]:
    """Frames of every training video, ready for random access.

    Raises:
        RunError: the dataset has no training videos.
    """
    videos = {video.name: video.open() for video in run.dataset.training}
    if not videos:
        raise RunError(f"{run.data} has no training videos: put normal video into {run.data}/training")
    folders = {name: video for name, video in videos.items() if isinstance(video, ImageFolder)}
    assert len(folders) == len(videos), "prepare leaves image folders only"
    return folders


def recovery_settings(run: Run) -> RecoverySettings:
    """The recipe's recovery section with what was selected filled in."""
    return Selection.load(run.path("recovery/selection.json")).apply(run.recipe.recovery)


def recovery_stream(run: Run, settings: RecoverySettings) -> RecoveryStream:
    """The trained context recovery stream."""
    return RecoveryStream.load(run.path("recovery/model.safetensors"), settings, run.recipe.view.size, pick_device())


def fusion_weights(run: Run) -> tuple[float, float]:
    """Weights of recovery and retrieval."""
    return run.recipe.fusion.recovery, rated_weights(run)[0][0]


def rated_weights(run: Run) -> list[tuple[float, float | None]]:
    """Weights of retrieval and their mean micro-AUC on pseudo-anomalies, best first; none where the weight is fixed.

    Raises:
        RunError: no weight is chosen yet, or the file is broken.
    """
    path, command = run.path("results/weight.json"), f"`tsvad retrieval select-weight {run.folder}"
    try:
        return [(float(weight), auc) for weight, auc in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        raise RunError(f"{path} is not there; run {command}` first") from None
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is broken ({error}); run {command} --redo`") from None


def retrieval_stream(run: Run) -> RetrievalStream:
    """The knowledge retrieval stream with its tables."""
    encoder = retrieval_encoder(run)
    net = load_hashnet(run.path("retrieval/model.safetensors"), run.recipe.retrieval, encoder.values)
    return RetrievalStream(encoder, net, HashTables.load(run.path("retrieval/tables.safetensors")))


def retrieval_encoder(run: Run) -> Encoder:
    """The encoder of knowledge retrieval: pretrained, or that of the trained STUNet.

    Raises:
        RunError: pretrained weights are wanted and none are named.
    """
    settings, recovery = run.recipe.retrieval, run.recipe.recovery
    pretrained = settings.pretrained or recovery.pretrained
    if settings.encoder == "recovery":
        weights, source = run.path("recovery/model.safetensors"), run.identity("train-recovery")
    elif pretrained is not None:
        weights, source = Path(pretrained), pretrained
    else:
        raise RunError(
            "the recipe wants a pretrained encoder for retrieval: give it with `--set retrieval.pretrained="
            "FILE.safetensors`, or take the trained one with `--set retrieval.encoder=recovery`"
        )
    width = recovery.width if settings.encoder == "recovery" else 1.0
    return Encoder.load(weights, settings, width=width, size=run.recipe.view.size, device=pick_device(), source=source)


def _score_video(stream: RecoveryStream, video: Video, look: Views, batch: int) -> np.ndarray:
    crops = (look.scored(frame.image) for frame in video.open())
    batches = list(score_views(stream, crops, batch))
    columns = len(stream.settings.windows) + 1
    return np.concatenate(batches) if batches else np.zeros((0, columns))


def _save_array(path: Path, array: np.ndarray) -> None:
    with whole_file(path) as temporary:
        np.save(temporary, array)


@contextmanager
def _stage(run: Run, name: str, redo: bool) -> Iterator[bool]:
    set_up_process(run.recipe.threads)
    torch.manual_seed(run.recipe.seed)
    wanted, done = run.begin(name, redo=redo), False
    try:
        yield wanted
        done = True
    finally:
        if wanted:
            run.end(name, done=done)
