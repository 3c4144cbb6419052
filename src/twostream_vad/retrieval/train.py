"""Trains HashNet: neighbouring snippets get close codes, hash layers differ (Cao et al. 2024, III-C)."""

import itertools
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..nets.hashnet import HashNet
from ..progress import Progress, silent
from ..settings import RetrievalSettings
from ..storage import fill, save_tensors
from ..training.log import TrainingLog
from ..training.loop import deterministic, load_checkpoint, save_checkpoint, seeded
from .features import FeatureSet, VideoRows

CHECKPOINT_SECONDS = 60.0


def train_retrieval(
    features: FeatureSet,
    settings: RetrievalSettings,
    folder: Path,
    *,
    seed: int,
    progress: Progress = silent,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Path:
    """Trains on pairs of one video, or goes on where a killed training stopped, to the same weights.

    Args:
        features: of the training split.
        settings: of the recipe's retrieval section.
        folder: for ``checkpoint.safetensors``, ``model.safetensors`` and ``logs/``.
        seed: of the initial weights and of every draw.
        progress: told after every step.
        checkpoint_seconds: time from one checkpoint to the next.

    Returns:
        The model file; one that is there already stays.

    Raises:
        ValueError: no video is long enough for a snippet.
    """
    videos = [video for video in features.videos if video.snippets]
    if not videos:
        raise ValueError(
            f"{features.folder}: no training video is long enough for a snippet of {settings.length} frames"
        )
    array = features.array()
    if (folder / "model.safetensors").exists():
        return folder / "model.safetensors"
    with deterministic(seed):
        net = HashNet(features.values, settings.tables, settings.bits)
        optimizer = torch.optim.SGD(
            net.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        checkpoint = folder / "checkpoint.safetensors"
        first = _resume(checkpoint, net, optimizer)
        total = settings.epochs * max(1, len(videos) * settings.draws // settings.batch)
        saved = time.monotonic()
        with closing(TrainingLog(folder / "logs", resumed_at=first)) as log:
            for step in range(first, total):
                pairs = draw_pairs(videos, settings, seeded(seed, 2, step))
                cosine, mutual = hash_losses(net(_rows(array, pairs[:, 0])), net(_rows(array, pairs[:, 1])))
                optimizer.zero_grad(set_to_none=True)
                (cosine + settings.mutual * mutual).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                log.write(step, cosine=cosine.item(), mutual=mutual.item())
                if time.monotonic() - saved > checkpoint_seconds and step + 1 < total:
                    save_checkpoint(checkpoint, step + 1, net, optimizer)
                    saved = time.monotonic()
                progress(step + 1, total, f"loss {cosine.item():.4f}")
        save_tensors(folder / "model.safetensors", net.state_dict(), {"kind": "hashnet", "steps": str(total)})
        checkpoint.unlink(missing_ok=True)
    return folder / "model.safetensors"


def draw_pairs(videos: Sequence[VideoRows], settings: RetrievalSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of ``batch`` pairs, (batch, 2).

    A pair is two snippets of one video at most ``gap`` frames apart, each in any of its crops.
    """
    picked = rng.integers(len(videos), size=settings.batch)
    first, snippets, crops = (
        np.array([getattr(video, key) for video in videos], np.int64)[picked] for key in ("first", "snippets", "crops")
    )
    start = rng.integers(snippets)
    least = np.maximum(start - settings.gap, 0)
    other = rng.integers(least, np.minimum(start + settings.gap, snippets - 1) + 1)
    return np.stack([first + place * crops + rng.integers(crops) for place in (start, other)], axis=1)


def hash_losses(codes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of pairs of codes, both (B, b, r).

    Returns:
        1 - mean cosine of the concatenated codes; and the mutual loss averaged over both halves. The training
        minimises the first plus λm times the second.
    """
    cosine = 1 - F.cosine_similarity(codes.flatten(1), others.flatten(1)).mean()
    return cosine, (mutual_loss(codes) + mutual_loss(others)) / 2


def mutual_loss(codes: Tensor) -> Tensor:
    """How alike the hash layers' codes are: mean over pairs of layers of their cosine / r, (B, b, r) → ()."""
    tables, bits = codes.shape[1:]
    pairs = list(itertools.combinations(range(tables), 2))
    left, right = (torch.tensor(side) for side in zip(*pairs, strict=True))
    return F.cosine_similarity(codes[:, left], codes[:, right], dim=-1).mean() / bits


def _rows(array: NDArray[np.floating], rows: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.asarray(array[rows], dtype=np.float32))


def _resume(checkpoint: Path, net: HashNet, optimizer: torch.optim.Optimizer) -> int:
    if not checkpoint.exists():
        return 0
    saved = load_checkpoint(checkpoint)
    fill(net, saved.model, checkpoint)
    optimizer.load_state_dict(saved.optimizer)
    return saved.step
