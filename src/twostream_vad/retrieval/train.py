"""Trains HashNet: neighbouring snippets get close codes, hash layers differ (Cao et al. 2024, III-C)."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..nets.hashnet import HashNet
from ..progress import Progress, silent
from ..settings import RetrievalSettings
from ..training.loop import descend, deterministic, seeded, train_net
from .features import FeatureSet, VideoRows


def train_retrieval(
    features: FeatureSet,
    settings: RetrievalSettings,
    folder: Path,
    *,
    seed: int,
    progress: Progress = silent,
    checkpoint_seconds: float = 60.0,
) -> Path:
    """Trains on pairs of one video of the training split, or goes on where a killed training stopped; see `train_net`.

    ``seed`` is that of the initial weights and of every draw. The model file is returned; one that is there already
    stays. Raises ValueError where no video is long enough for a snippet.
    """
    videos = [video for video in features.videos if video.snippets]
    if not videos:
        raise ValueError(
            f"{features.folder}: no training video is long enough for a snippet of {settings.length} frames"
        )
    array = features.array()
    with deterministic(seed):
        net = HashNet(features.values, settings.tables, settings.bits)
        optimizer = torch.optim.SGD(
            net.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        steps = settings.epochs * max(1, len(videos) * settings.draws // settings.batch)

        def draw(step: int) -> list[Tensor]:
            """Features of both snippets of every pair, (batch, values) each."""
            pairs = draw_pairs(videos, settings, seeded(seed, 2, step))
            return [torch.from_numpy(np.asarray(array[pairs[:, side]], dtype=np.float32)) for side in (0, 1)]

        def learn(_step: int, batch: list[Tensor]) -> dict[str, float]:
            cosine, mutual = hash_losses(net(batch[0]), net(batch[1]))
            loss = cosine + settings.mutual * mutual
            descend(optimizer, loss)
            return {"loss": loss.item(), "cosine": cosine.item(), "mutual": mutual.item()}

        return train_net(net, optimizer, steps, draw, learn, folder, progress, checkpoint_seconds, kind="hashnet")


def draw_pairs(videos: Sequence[VideoRows], settings: RetrievalSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of pairs, (batch, 2): two snippets of one video at most ``gap`` frames apart, each in any of its crops."""
    picked = rng.integers(len(videos), size=settings.batch)
    first, snippets, crops = (
        np.array([getattr(video, key) for video in videos], np.int64)[picked] for key in ("first", "snippets", "crops")
    )
    start = rng.integers(snippets)
    least = np.maximum(start - settings.gap, 0)
    other = rng.integers(least, np.minimum(start + settings.gap, snippets - 1) + 1)
    return np.stack([first + place * crops + rng.integers(crops) for place in (start, other)], axis=1)


def hash_losses(codes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Of pairs of codes, both (B, b, r): 1 - mean cosine of the concatenated codes; mutual loss averaged over both.

    The training minimises the first plus λm times the second.
    """
    cosine = 1 - F.cosine_similarity(codes.flatten(1), others.flatten(1)).mean()
    return cosine, (mutual_loss(codes) + mutual_loss(others)) / 2


def mutual_loss(codes: Tensor) -> Tensor:
    """How alike the hash layers' codes are: mean over pairs of layers of their cosine / r, (B, b, r) → ()."""
    tables, bits = codes.shape[1:]
    pairs = list(itertools.combinations(range(tables), 2))
    left, right = (torch.tensor(side) for side in zip(*pairs, strict=True))
    return F.cosine_similarity(codes[:, left], codes[:, right], dim=-1).mean() / bits
