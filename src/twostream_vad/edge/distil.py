"""Trains EdgeNet to give what the fitted nets give: distillation on normal video, without labels (Hinton et al. 2015).

Features are the encoder's of knowledge retrieval, the change to the next frame is STUNet's. Three steps of four see
parts pasted in, many of them too fast, as the encoder did when it was trained: on ordinary video alone the net would
never learn where the features of other things lie.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsvadError
from ..nets.device import autocast, pick_device
from ..nets.edge import FRAMES, EdgeNet
from ..progress import Progress, silent
from ..retrieval.pace import draw_batch
from ..retrieval.placed import PLACE
from ..settings import EdgeSettings, PaceSettings
from ..training.loop import descend, deterministic, learning_rate, seeded, train_net
from ..video.clips import ClipReader
from ..video.frames import ImageFolder
from ..video.snippets import Snippet
from ..video.views import Views

PLAIN = 4  # of so many steps one sees video as it is, and learns to predict; in the others parts are pasted in
Nets = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""One of the fitted nets: clips (N, 3, 8, S, S) → its numbers."""


@dataclass(frozen=True)
class Teachers:
    """The fitted nets: the next frame (N, 3, S, S), ``interval`` on, and features (N · places, values)."""

    predictor: Nets
    interval: int
    encoder: Nets
    encoder_interval: int
    values: int

    @property
    def before(self) -> int:
        """Frames that a stretch has before the first snippet's end."""
        return (FRAMES - 1) * max(self.interval, self.encoder_interval)


@dataclass(frozen=True)
class Lesson:
    """Stretches of video, and what is to be told at each of their last frames, the ends."""

    clips: Tensor  # (B, 3, T, S, S)
    features: Tensor  # (B · ends, places, values)
    change: Tensor | None  # (B · ends, 3, S, S); None: nothing is to be predicted


def distil(
    videos: Sequence[ImageFolder],
    settings: EdgeSettings,
    pasting: PaceSettings,
    teachers: Teachers,
    views: Views,
    folder: Path,
    *,
    seed: int,
    precision: str = "float32",
    progress: Progress = silent,
    checkpoint_seconds: float = 120.0,
) -> Path:
    """Trains on normal videos, or goes on where a killed training stopped, to the same weights; see `train_net`.

    ``pasting`` says what parts are pasted in, ``precision`` is that of the forward pass. The model file is returned;
    one that is there already stays. Raises TsvadError where no video is long enough.
    """
    stretch = Snippet(teachers.before + settings.ends, 1, 0)
    usable = [video for video in videos if len(video) > stretch.span]
    if not usable:
        raise TsvadError(
            f"no training video has the {stretch.length} frames of a stretch: give longer video, or --set edge.ends=1"
        )
    assert settings.width is not None
    device, size = pick_device(), settings.size or views.size
    with deterministic(seed):
        net = EdgeNet(settings.width, size, teachers.values)
        net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(net.parameters(), lr=settings.lr, fused=True)
        reader, parts = ClipReader(views), pasting.model_copy(update={"batch": settings.batch})

        def draw(step: int) -> Lesson:
            rng = seeded(seed, 5, step)
            if step % PLAIN:
                clips = draw_batch(usable, parts, stretch, reader, rng).clips
            else:
                clips = torch.stack([_anywhere(usable, stretch, reader, rng) for _ in range(settings.batch)])
            return taught(teachers, clips, settings.ends, size, predict=step % PLAIN == 0)

        def learn(step: int, lesson: Lesson) -> dict[str, float]:
            total, warmup = settings.steps, settings.warmup_steps
            rate = learning_rate(step, lr=settings.lr, total=total, schedule="cosine", warmup=warmup)
            with autocast(device, precision):
                change, features = net(lesson.clips.to(device), teachers.interval, predict=lesson.change is not None)
            unlike = F.mse_loss(features, lesson.features.to(device))
            told = {"features": unlike.item(), "lr": rate}
            loss = unlike
            if lesson.change is not None:
                # As a share of all that changes: how much contrast the video has does not tell.
                wanted = lesson.change.to(device)
                missed = F.mse_loss(change, wanted) / wanted.square().mean().clamp_min(1e-8)
                told["change"], loss = missed.item(), loss + missed
            descend(optimizer, loss, rate)
            return told | {"loss": loss.item()}

        return train_net(net, optimizer, settings.steps, draw, learn, folder, progress, checkpoint_seconds, kind="edge")


def taught(teachers: Teachers, clips: Tensor, ends: int, size: int, *, predict: bool) -> Lesson:
    """What the fitted nets give at the last ``ends`` frames of stretches (B, 3, T, S, S), at ``size`` pixels a side."""

    def seen(interval: int) -> NDArray[np.float32]:
        span = (FRAMES - 1) * interval
        found = [clips[:, :, end - span : end + 1 : interval] for end in range(teachers.before, teachers.before + ends)]
        stacked: NDArray[np.float32] = torch.stack(found, dim=1).flatten(0, 1).numpy()  # (B · ends, 3, 8, S, S)
        return stacked

    features = torch.from_numpy(teachers.encoder(seen(teachers.encoder_interval)))
    features = features.reshape(len(clips) * ends, -1, teachers.values)
    looked = seen(teachers.interval)
    change = torch.from_numpy(teachers.predictor(looked) - looked[:, :, -1]) if predict else None
    first = teachers.before - (FRAMES - 1) * teachers.interval  # what only the encoder looks back to
    clips = clips[:, :, first:]
    if size != clips.shape[-1]:
        side = round(features.shape[1] ** 0.5)
        maps = resized(features.transpose(1, 2).reshape(-1, teachers.values, side, side), size // PLACE)
        features = F.layer_norm(maps.flatten(2).transpose(1, 2), (teachers.values,))
        frames = resized(clips.transpose(1, 2).flatten(0, 1), size)
        clips = frames.reshape(len(clips), -1, *frames.shape[1:]).transpose(1, 2)
        change = None if change is None else resized(change, size)
    return Lesson(clips, features, change)


def resized(maps: Tensor, side: int) -> Tensor:
    """(N, C, S, S) → (N, C, side, side), as `Views` resizes."""
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


def _anywhere(videos: Sequence[ImageFolder], stretch: Snippet, reader: ClipReader, rng: np.random.Generator) -> Tensor:
    video = videos[int(rng.integers(len(videos)))]
    start = int(rng.integers(len(video) - stretch.span))
    return reader.drawn(video, stretch.frames(start), rng.random())
