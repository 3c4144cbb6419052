"""Trains STUNet to predict the next frame of normal video."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import TsvadError
from ..nets.device import autocast, pick_device
from ..nets.i3d import load_encoder
from ..nets.stunet import STUNet
from ..progress import Progress, silent
from ..settings import RecoverySettings
from ..storage import fill, load_tensors
from ..training.loop import descend, deterministic, learning_rate, seeded, train_net
from ..video.clips import ClipReader
from ..video.frames import ImageFolder
from ..video.snippets import Snippet
from ..video.views import Views


def train_recovery(
    videos: Sequence[ImageFolder],
    settings: RecoverySettings,
    views: Views,
    folder: Path,
    *,
    seed: int,
    fixed_crops: bool = False,
    behind: tuple[Path, Path] | None = None,
    progress: Progress = silent,
    checkpoint_seconds: float = 120.0,
) -> Path:
    """Trains on normal videos, or goes on where a killed training stopped, to the same weights; see `train_net`.

    ``seed`` is that of the initial weights and of every draw, which takes crops anywhere, or among the test crops
    where they are fixed. ``behind`` are the files of a trained net and of an encoder: that net learns on behind that
    encoder, which stays as it is, its norms too. The model file is returned; one that is there already stays.

    Raises:
        TsvadError: no video is long enough, or pretrained weights are missing.
    """
    span = Snippet.predicting(settings.length, settings.interval).span
    long_enough = [video for video in videos if len(video) > span]
    if not long_enough:
        raise TsvadError(f"no training video has the {span + 1} frames of a snippet: give longer video")
    device = pick_device()
    with deterministic(seed):
        net = build(settings, views.size) if behind is None else joined(settings, views.size, *behind)
        net = net.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        trained = settings if behind is None else settings.model_copy(update={"encoder_rate": 0.0})
        optimizer = torch.optim.Adam(parameter_groups(net, trained), lr=settings.lr, fused=True)
        plan = Plan(len(long_enough), settings)
        draw = partial(draw_batch, long_enough, settings, ClipReader(views), seed, fixed_crops)

        def learn(step: int, clips: Tensor) -> dict[str, float]:
            if behind is not None:
                net.encoder.eval()
            rate = plan.rate(step)
            mse, l1 = optimise(net, optimizer, clips.to(device), settings, rate)
            return {"mse": mse, "l1": l1, "lr": rate, "loss": mse + settings.l1 * l1}

        return train_net(net, optimizer, plan.steps, draw, learn, folder, progress, checkpoint_seconds, kind="stunet")


class Plan:
    """How many steps a training has, and the rate at each."""

    def __init__(self, videos: int, settings: RecoverySettings) -> None:
        self.settings = settings
        self.a_epoch = max(1, videos * settings.draws // settings.batch)
        self.steps = settings.steps or settings.epochs * self.a_epoch

    def rate(self, step: int) -> float:
        """Learning rate of one step."""
        given, decays = self.settings, [epoch * self.a_epoch for epoch in self.settings.decay_epochs]
        return learning_rate(
            step, lr=given.lr, total=self.steps, schedule=given.schedule, decay_steps=decays, warmup=given.warmup_steps
        )


def build(settings: RecoverySettings, size: int) -> STUNet:
    """A new STUNet with its encoder's weights: a file's, or from scratch.

    Raises:
        TsvadError: neither pretrained weights nor ``encoder_reinit``, or weights of another net.
    """
    net = STUNet(settings.width, size, residual=settings.residual)
    if settings.pretrained is not None and not settings.encoder_reinit:
        path = Path(settings.pretrained)
        fill(net.encoder, load_encoder(path), path)
    elif not settings.encoder_reinit:
        raise TsvadError(
            "the recipe wants a pretrained encoder: import one (`tsvad weights import`) and give it with "
            "`--set recovery.pretrained=FILE.safetensors`, or train it from scratch with "
            "`--set recovery.encoder_reinit=true --set recovery.encoder_rate=1`"
        )
    return net


def joined(settings: RecoverySettings, size: int, start: Path, encoder: Path) -> STUNet:
    """The net of a file with another one's encoder; CheckpointError where one of them is of another net."""
    net = STUNet(settings.width, size, residual=settings.residual)
    fill(net, load_tensors(start)[0], start)
    fill(net.encoder, load_encoder(encoder), encoder)
    return net


def parameter_groups(net: STUNet, settings: RecoverySettings) -> list[dict[str, object]]:
    """The encoder at its own rate, or without gradients; its BatchNorm statistics move either way."""
    encoder = list(net.encoder.parameters())
    inside = {id(parameter) for parameter in encoder}
    groups: list[dict[str, object]] = [
        {"params": [parameter for parameter in net.parameters() if id(parameter) not in inside], "scale": 1.0}
    ]
    if settings.trains_encoder:
        groups.append({"params": encoder, "scale": settings.encoder_rate})
    else:
        net.encoder.requires_grad_(False)
    return groups


def optimise(
    net: STUNet, optimizer: torch.optim.Optimizer, clips: Tensor, settings: RecoverySettings, rate: float
) -> tuple[float, float]:
    """One step on clips (B, 3, 9, S, S); returns MSE and L1."""
    seen = clips[:, :, :-1].contiguous(memory_format=torch.channels_last_3d)
    with autocast(clips.device, settings.precision):
        predicted = net(seen)
    mse, l1 = recovery_loss(predicted.float(), clips[:, :, -1:])
    descend(optimizer, mse + settings.l1 * l1, rate)
    return mse.item(), l1.item()


def recovery_loss(predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """MSE and L1 over all values; the loss is their sum, L1 weighted by λ."""
    return F.mse_loss(predicted, true), F.l1_loss(predicted, true)


def draw_batch(
    videos: Sequence[ImageFolder], settings: RecoverySettings, reader: ClipReader, seed: int, fixed: bool, step: int
) -> Tensor:
    """A step's clips, (batch, 3, 9, S, S), at the test crops if ``fixed``; the draw depends on seed and step alone."""
    epoch, place = divmod(step, Plan(len(videos), settings).a_epoch)
    # Every video is drawn `draws` times an epoch, in one shuffled order that all steps of the epoch share.
    order = seeded(seed, 0, epoch).permutation(len(videos) * settings.draws) % len(videos)
    snippet = Snippet.predicting(settings.length, settings.interval)
    clips = []
    for place_in_epoch in range(place * settings.batch, (place + 1) * settings.batch):
        rng = seeded(seed, 1, epoch, place_in_epoch)
        video = videos[order[place_in_epoch % len(order)]]
        frames = snippet.frames(int(rng.integers(len(video) - snippet.span)))
        clips.append(reader.drawn(video, frames, rng.random(), fixed=fixed))
    return torch.stack(clips)
