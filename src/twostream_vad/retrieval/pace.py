"""Trains retrieval's encoder, without labels, to tell at which pace each part of a picture plays.

For who has no encoder trained on other video: features of a net that has only learned to predict tell where people
are, not what they do. Telling normal from sped-up video as a task is of Benaim et al. (SpeedNet, CVPR 2020) and Wang
et al. (pace prediction, ECCV 2020); here parts of a clip play faster, and every cell of the feature map answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import TsvadError
from ..nets.device import autocast, pick_device
from ..nets.i3d import I3D, load_encoder
from ..progress import Progress, silent
from ..settings import PaceSettings
from ..storage import fill
from ..training.loop import descend, deterministic, learning_rate, seeded, train_net
from ..video.clips import ClipReader
from ..video.frames import ImageFolder
from ..video.pasting import busy_place, soft_box
from ..video.snippets import Snippet
from ..video.source import scene_of
from ..video.views import Views

MOVING = 0.15  # change from frame to frame, above the noise and in normalised values, at which a cell counts fully
STILL = 0.01  # what a cell counts where nothing moves: there every pace looks the same


@dataclass(frozen=True)
class Clips:
    """Clips (B, 3, 8, S, S); where they play too fast (1, else 0), how much each pixel moves, both (B, S, S)."""

    clips: Tensor
    fast: Tensor
    change: Tensor


class PaceNet(nn.Module):
    """An encoder, and a linear answer of every cell of its last two maps: does it play too fast?"""

    def __init__(self, encoder: I3D, middle: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.middle, self.last = nn.Conv3d(middle, 1, 1), nn.Conv3d(encoder.out_channels, 1, 1)
        for parameter in (*self.middle.parameters(), *self.last.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 8, S, S) → logits (B, 1, S/16, S/16) of s4 and (B, 1, S/32, S/32) of s5."""
        maps = self.encoder.maps(clips)
        return self.middle(maps.s4).mean(2), self.last(maps.s5).mean(2)


def train_pace(
    videos: Sequence[ImageFolder],
    settings: PaceSettings,
    snippet: Snippet,
    views: Views,
    start: Path,
    folder: Path,
    *,
    width: float,
    seed: int,
    scenes: int = 1,
    heads: bool = False,
    precision: str = "float32",
    progress: Progress = silent,
    checkpoint_seconds: float = 120.0,
) -> Path:
    """Trains the encoder of ``start`` (weights of an I3D or a STUNet) on normal videos; see `train_net`.

    ``snippet`` is retrieval's geometry, ``width`` the encoder's, ``seed`` that of every draw; a step takes a batch of
    each of so many ``scenes`` drawn; ``precision`` is that of the forward pass. The encoder's file is returned, or with
    ``heads`` the whole `PaceNet`'s; one that is there already stays. Raises TsvadError where no video is long enough to
    be played at the least of the faster paces.
    """
    least = min(speed for speed in settings.speeds if speed > 1)
    usable = [video for video in videos if len(video) > least * snippet.span]
    if not usable:
        raise TsvadError(
            f"no training video has the {least * snippet.span + 1} frames of a snippet at {least} times its pace; give "
            "longer video, or take another encoder: --set retrieval.encoder=recovery"
        )
    device = pick_device()
    with deterministic(seed):
        encoder = I3D(width, views.size, cells=1, final_relu=True)
        fill(encoder, load_encoder(start), start)
        net = PaceNet(encoder, encoder.s4_channels).to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        optimizer = torch.optim.Adam(net.parameters(), lr=settings.lr, fused=True)
        steps = settings.steps or settings.epochs * max(1, len(usable) * settings.draws // settings.batch)
        reader = ClipReader(views)

        def draw(step: int) -> Clips:
            rng = seeded(seed, 3, step)
            parts = [draw_batch(usable, settings, snippet, reader, rng) for _ in range(scenes)]
            together = zip(*((part.clips, part.fast, part.change) for part in parts), strict=True)
            return Clips(*(torch.cat(part) for part in together))

        def learn(step: int, batch: Clips) -> dict[str, float]:
            rate = learning_rate(step, lr=settings.lr, total=steps, schedule="cosine", warmup=settings.warmup_steps)
            clips = batch.clips.to(device).contiguous(memory_format=torch.channels_last_3d)
            with autocast(device, precision):
                answers = net(clips)
            loss = sum_of_losses([answer.float() for answer in answers], batch.fast.to(device), batch.change.to(device))
            descend(optimizer, loss, rate)
            return {"loss": loss.item(), "lr": rate}

        kind, kept = ("pace", net) if heads else ("i3d", encoder)
        return train_net(net, optimizer, steps, draw, learn, folder, progress, checkpoint_seconds, kind=kind, kept=kept)


def sum_of_losses(answers: Sequence[Tensor], fast: Tensor, change: Tensor) -> Tensor:
    """Cross entropy of every cell's answer (B, 1, C, C), each as much as it moves, summed over maps; see `Clips`."""
    total = torch.zeros((), device=fast.device)
    for answer in answers:
        share, weight = truth(fast, change, answer.shape[-1])
        losses = F.binary_cross_entropy_with_logits(answer, share, reduction="none")
        total = total + (losses * weight).sum() / weight.sum()
    return total


def truth(fast: Tensor, change: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Of each cell, how much of what moves there is too fast, and what the cell counts; both (B, 1, cells, cells)."""
    change = change + 1e-4  # in a cell where nothing moves, all pixels count alike
    side = fast.shape[-1] // cells
    moved = F.avg_pool2d(change[:, None], side)
    share = F.avg_pool2d((fast * change)[:, None], side) / moved
    return share.clamp(0, 1), (moved / MOVING).clamp(STILL, 1)


def draw_batch(
    videos: Sequence[ImageFolder],
    settings: PaceSettings,
    snippet: Snippet,
    reader: ClipReader,
    rng: np.random.Generator,
) -> Clips:
    """Normal clips with parts of other times and paces pasted in.

    Parts at the ordinary pace, from the batch's other clips, are pasted as well: a seam does not tell, only the pace
    does. All clips show the same crop of one scene, and share a few faster ones: reading video costs as much as
    learning from it.
    """
    scene = scene_of(videos[int(rng.integers(len(videos)))].name)
    own = [video for video in videos if scene_of(video.name) == scene]
    u, longest = rng.random(), max(len(video) for video in own)
    ordinary = [_read(own, snippet, 1, reader, u, rng) for _ in range(settings.batch)]
    speeds = [speed for speed in settings.speeds if speed > 1 and speed * snippet.span < longest]
    half = -(-settings.batch // 2) if speeds else 0
    faster = [_read(own, snippet, int(rng.choice(speeds)), reader, u, rng) for _ in range(half)]
    share = len(speeds) / (len(speeds) + settings.speeds.count(1))
    changes = {id(clip): _change(clip) for clip in (*ordinary, *faster)}
    pasted = [_paste(clip, ordinary, faster, share, changes, settings, rng) for clip in ordinary]
    clips, fast, change = (torch.stack(part) for part in zip(*pasted, strict=True))
    return Clips(clips, fast, change)


def _paste(
    clip: Tensor,
    ordinary: Sequence[Tensor],
    faster: Sequence[Tensor],
    share: float,
    changes: Mapping[int, np.ndarray],
    settings: PaceSettings,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """A clip (3, 8, S, S) with parts of others in it, ``share`` of them faster; where it is fast; what changes.

    ``changes`` are those of all clips.
    """
    size, clip = clip.shape[-1], clip.clone()
    fast = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, settings.boxes + 1))):
        is_fast = rng.random() < share
        others = faster if is_fast else ordinary
        part = others[int(rng.integers(len(others)))]
        sides = rng.uniform(*settings.sides, size=2) * size
        shown = soft_box(size, size, busy_place(changes[id(part)], rng), (float(sides[0]), float(sides[1])))
        rows, columns = (slice(*np.flatnonzero(shown.any(axis))[[0, -1]] + (0, 1)) for axis in (1, 0))
        here = clip[..., rows, columns]
        here += torch.from_numpy(shown[rows, columns]) * (part[..., rows, columns] - here)
        fast = np.where(shown > 0.5, np.float32(is_fast), fast)
    now = torch.from_numpy(_change(clip))
    flip = [-1] if rng.random() < 0.5 else []
    return clip.flip(flip), torch.from_numpy(fast).flip(flip), now.flip(flip)


def _read(
    videos: Sequence[ImageFolder], snippet: Snippet, speed: int, reader: ClipReader, u: float, rng: np.random.Generator
) -> Tensor:
    span = speed * snippet.span
    long_enough = [video for video in videos if len(video) > span]
    video = long_enough[int(rng.integers(len(long_enough)))]
    start = int(rng.integers(len(video) - span))
    return reader.drawn(video, range(start, start + span + 1, speed * snippet.interval), u)


def _change(clip: Tensor) -> np.ndarray:
    """Mean change of a pixel from frame to frame above the sensor's noise, (3, T, S, S) → (S, S)."""
    # The stillest quarter of a picture tells the noise; what changes less than twice as much does not move.
    change: np.ndarray = (clip[:, 1:] - clip[:, :-1]).abs().mean((0, 1)).numpy()
    moves: np.ndarray = np.maximum(change - 2 * np.quantile(change, 0.25), 0).astype(np.float32)
    return moves
