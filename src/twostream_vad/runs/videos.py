"""A run's video: made ready, what is learned from, what is held out, and the rate of time that is learned."""

from collections import Counter
from collections.abc import Sequence

from ..datasets.dataset import Video
from ..datasets.prepare import prepare
from ..progress import Progress
from ..video.frames import ImageFolder
from .run import Run, RunError


def prepare_frames(run: Run, progress: Progress, workers: int | None = None) -> None:
    """Stage 1: frames out of videos, counted by decoding."""
    prepare(run.source(), run.path("frames"), workers=workers, progress=progress)


def split_training(videos: Sequence[Video], share: float) -> tuple[tuple[Video, ...], tuple[Video, ...]]:
    """Training videos to learn from, and those held out: ``share`` of them, evenly spaced, one at least of three."""
    count = 0 if share == 0 or len(videos) < 3 else min(max(1, round(share * len(videos))), len(videos) - 1)
    held = {int((place + 0.5) * len(videos) / count) for place in range(count)}
    return (
        tuple(video for place, video in enumerate(videos) if place not in held),
        tuple(video for place, video in enumerate(videos) if place in held),
    )


def training_videos(run: Run) -> dict[str, ImageFolder]:
    """Frames of every training video that is learned from; RunError where the dataset has no training videos."""
    return _folders(run, held_out=False)


def normal_videos(run: Run) -> dict[str, ImageFolder]:
    """Normal video for calibration and pseudo-anomalies: what was held out, or all training video if none was."""
    return _folders(run, held_out=True) or _folders(run, held_out=False)


def holds_out(run: Run) -> bool:
    """Whether any training video is held out."""
    return bool(split_training(_training(run), run.recipe.calibration.held_out)[True])


def learned_rate(run: Run) -> float:
    """Frames a second of the training video; of several rates the one that most of its frames have."""
    frames: Counter[float] = Counter()
    for video in _training(run):
        frames[video.open().rate] += run.prepared["training"][video.name].frames
    return max(frames, key=lambda rate: frames[rate])


def image_folder(video: Video) -> ImageFolder:
    """A prepared video's frames by random access."""
    folder = video.open()
    assert isinstance(folder, ImageFolder), "prepare leaves image folders only"
    return folder


def _folders(run: Run, *, held_out: bool) -> dict[str, ImageFolder]:
    chosen = split_training(_training(run), run.recipe.calibration.held_out)[held_out]
    return {video.name: image_folder(video) for video in chosen}


def _training(run: Run) -> tuple[Video, ...]:
    if not run.dataset.training:
        raise RunError(f"{run.data} has no training videos: put normal video into {run.data}/training")
    return run.dataset.training
