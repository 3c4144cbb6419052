"""What the stages of a run have left behind: videos, settings, streams, calibration, frame scores."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.layouts import Video
from ..nets.device import pick_device
from ..recovery.places import Places
from ..recovery.stream import RecoveryStream
from ..recovery.window import Selection
from ..retrieval.exemplars import Exemplars, Origin, nearest, origin, sentence
from ..retrieval.features import FeatureSet
from ..retrieval.stream import Encoder, RetrievalStream, encode_codes, load_hashnet
from ..retrieval.tables import HashTables
from ..scores.calibration import Calibration
from ..scores.causal import causal_timeline, fuse_causal
from ..scores.files import read_scores
from ..scores.timeline import paper_timeline
from ..settings import RecoverySettings
from ..storage import typed
from ..video.frames import ImageFolder
from ..video.snippets import Snippet
from ..video.views import Region, Views, corridor_grid
from .run import Run, RunError

Curves = dict[str, dict[str, NDArray[np.float64]]]
"""Row of a table → video → frame scores (frames,)."""


def paper_curves(run: Run) -> Curves:
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


def causal_curves(run: Run) -> Curves:
    """Frame scores under the causal protocol: the chosen ``MLE <window>``, ``retrieval`` and ``fused``, by video.

    NaN at the first frames, for which there is no score yet.
    """
    settings, frames, scale = recovery_settings(run), run.prepared["testing"], calibration(run)
    column = settings.windows.index(chosen_window(settings))
    local = {
        name: causal_timeline(scores[:, column], recovery_snippet(settings), frames[name].frames, scale.recovery)
        for name, scores in read_scores(run.path("recovery/scores.npz")).items()
    }
    distances = {
        name: causal_timeline(scores, retrieval_snippet(run), frames[name].frames, scale.retrieval)
        for name, scores in read_scores(run.path("retrieval/scores.npz")).items()
    }
    weights = fusion_weights(run)
    fused = {name: fuse_causal(local[name], distances[name], weights) for name in local}
    return {f"MLE {settings.window}": local, "retrieval": distances, "fused": fused}


def calibration(run: Run) -> Calibration:
    """The scale of both streams on normal video.

    Raises:
        ValueError: the run is not calibrated yet, or the file is broken.
    """
    return Calibration.load(run.path("calibration/scale.json"))


def chosen_window(settings: RecoverySettings) -> int:
    """The window of settings in which it is chosen."""
    assert isinstance(settings.window, int), "a selection was applied"
    return settings.window


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


def split_training(videos: Sequence[Video], share: float) -> tuple[tuple[Video, ...], tuple[Video, ...]]:
    """Training videos to learn from, and those held out: ``share`` of them, evenly spaced, one at least of three."""
    count = 0 if share == 0 or len(videos) < 3 else min(max(1, round(share * len(videos))), len(videos) - 1)
    held = {int((place + 0.5) * len(videos) / count) for place in range(count)}
    return (
        tuple(video for place, video in enumerate(videos) if place not in held),
        tuple(video for place, video in enumerate(videos) if place in held),
    )


def training_videos(run: Run) -> dict[str, ImageFolder]:
    """Frames of every training video that is learned from, ready for random access.

    Raises:
        RunError: the dataset has no training videos.
    """
    return _folders(run, held_out=False)


def normal_videos(run: Run) -> dict[str, ImageFolder]:
    """Normal video for calibration and pseudo-anomalies: what was held out, or all training video if none was.

    Raises:
        RunError: the dataset has no training videos.
    """
    return _folders(run, held_out=True) or _folders(run, held_out=False)


def _folders(run: Run, *, held_out: bool) -> dict[str, ImageFolder]:
    if not run.dataset.training:
        raise RunError(f"{run.data} has no training videos: put normal video into {run.data}/training")
    chosen = split_training(run.dataset.training, run.recipe.calibration.held_out)[held_out]
    videos = {video.name: video.open() for video in chosen}
    folders = {name: video for name, video in videos.items() if isinstance(video, ImageFolder)}
    assert len(folders) == len(videos), "prepare leaves image folders only"
    return folders


def recovery_settings(run: Run) -> RecoverySettings:
    """The recipe's recovery section with what was selected filled in."""
    return Selection.load(run.path("recovery/selection.json")).apply(run.recipe.recovery)


def recovery_stream(run: Run, settings: RecoverySettings) -> RecoveryStream:
    """The trained context recovery stream, with what is normal at each place where the recipe asks for that."""
    path = run.path("recovery/places.safetensors")
    return RecoveryStream.load(
        run.path("recovery/model.safetensors"),
        settings,
        run.recipe.view.size,
        pick_device(),
        Places.load(path).normal if settings.per_place is not False and path.exists() else None,
    )


def fusion_weights(run: Run) -> tuple[float, float]:
    """Weights of recovery and retrieval."""
    return run.recipe.fusion.recovery, rated_weights(run)[0][0]


def rated_weights(run: Run) -> list[tuple[float, float | None]]:
    """Weights of retrieval and their mean micro-AUC on pseudo-anomalies, best first; none where the weight is fixed.

    Raises:
        RunError: no weight is chosen yet, or the file is broken.
    """
    path, command = run.path("results/weight.json"), f"`tsvad retrieval select-weight {typed(run.folder)}"
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


@dataclass(frozen=True)
class Nearest:
    """The normal event nearest to a frame's snippet.

    Attributes:
        sentence: it in words.
        origin: where it was seen in training; None where no bucket matched.
        frames: its frames, counted from its first.
    """

    sentence: str
    origin: Origin | None
    frames: range


class NearestNormal:
    """What retrieval found nearest in training, for any frame of a run's test videos."""

    def __init__(self, run: Run) -> None:
        self._features = FeatureSet.load(run.path("retrieval/features/testing"))
        self._training = FeatureSet.load(run.path("retrieval/features/training"))
        self._tables = HashTables.load(run.path("retrieval/tables.safetensors"))
        self._exemplars = Exemplars.load(run.path("retrieval/exemplars.safetensors"), self._tables)
        settings = run.recipe.retrieval
        self._net = load_hashnet(run.path("retrieval/model.safetensors"), settings, self._features.values).eval()
        self._snippet, self._array = retrieval_snippet(run), self._features.array()
        self._videos = {video.name: video for video in self._features.videos}

    def of(self, video: str, frame: int) -> Nearest | None:
        """For the snippet that ends at the frame, in the crop that is farthest from normal; None before the first."""
        known, start = self._videos[video], frame - self._snippet.span
        if not 0 <= start < known.snippets:
            return None
        first = known.first + start * known.crops
        codes = encode_codes(self._net, self._array[first : first + known.crops])
        match = max((nearest(self._tables, self._exemplars, code) for code in codes), key=lambda m: m.distance)
        origins = [origin(self._training, row) for row in match.rows]
        return Nearest(
            sentence(match, origins, self._snippet), origins[0] if origins else None, self._snippet.frames(0)
        )


def retrieval_encoder(run: Run) -> Encoder:
    """The encoder of knowledge retrieval, as the recipe says.

    Raises:
        RunError: pretrained weights are wanted and none are named.
    """
    settings, recovery = run.recipe.retrieval, run.recipe.recovery
    pretrained = settings.pretrained or recovery.pretrained
    if settings.encoder == "recovery":
        weights, source = run.path("recovery/model.safetensors"), run.identity("train-recovery")
    elif settings.encoder == "pace":
        weights, source = run.path("retrieval/encoder/model.safetensors"), run.identity("train-encoder")
    elif pretrained is not None:
        weights, source = Path(pretrained), pretrained
    else:
        raise RunError(
            "the recipe wants a pretrained encoder for retrieval: give it with `--set retrieval.pretrained="
            "FILE.safetensors`, or train one without labels with `--set retrieval.encoder=pace`"
        )
    width = 1.0 if settings.encoder == "pretrained" else recovery.width
    return Encoder.load(weights, settings, width=width, size=run.recipe.view.size, device=pick_device(), source=source)
