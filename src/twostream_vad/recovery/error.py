"""How wrong a predicted frame is: maximum local and frame-level error, MLE and FLE (Cao et al. 2024)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SQUARED, CHANNEL_L2, ABSOLUTE = KINDS = range(3)  # of error, see `local_errors`


def local_errors(
    predicted: Tensor, true: Tensor, windows: Sequence[int], stride: int = 8, kinds: Sequence[int] = KINDS
) -> dict[int, Tensor]:
    """Mean error of frames (N, 3, S, S) in every window of each side, in pixels, ``stride`` pixels apart.

    Window → (N, kinds, P, P), P = (S - window) // stride + 1: of the squared error, the mean of the channels' squares;
    of its channel-L2 form, the norm over channels, over 3; of the absolute error, the mean over channels.

    Raises:
        ValueError: a window that is larger than the frame.
    """
    side = min(true.shape[-2:])
    if max(windows) > side:
        raise ValueError(
            f"window {max(windows)} is larger than the error map's {side} pixels; choose one of at most {side}"
        )
    difference = predicted - true
    of_kind = {
        SQUARED: lambda: difference.square().mean(1),
        CHANNEL_L2: lambda: difference.square().sum(1).sqrt() / 3,
        ABSOLUTE: lambda: difference.abs().mean(1),
    }
    maps = torch.stack([of_kind[kind]() for kind in kinds], dim=1)  # (N, kinds, S, S)
    blocks = F.avg_pool2d(maps, min(stride, side))  # whose mean windows of whole blocks are, at a fraction of the work
    return {
        window: F.avg_pool2d(maps, window, stride)
        if window % stride
        else F.avg_pool2d(blocks, window // stride, stride=1)
        for window in windows
    }


def local_maxima(predicted: Tensor, true: Tensor, windows: Sequence[int], stride: int = 8) -> Tensor:
    """The largest of `local_errors` of each frame, window and kind, (N, windows, 3); they may lie at different places.

    Raises:
        ValueError: as `local_errors`.
    """
    found = local_errors(predicted, true, windows, stride).values()
    return torch.stack([errors.flatten(2).amax(2) for errors in found], dim=1)


def maximum_local_error(maxima: Tensor, *, l1: float, channel_l2: bool = False) -> Tensor:
    """MLE from `local_maxima`: the squared error's plus ``l1`` (λ) times the absolute's, (…, W, 3) → (…, W)."""
    return maxima[..., 1 if channel_l2 else 0] + l1 * maxima[..., 2]


def frame_level_error(predicted: Tensor, true: Tensor, *, l1: float) -> Tensor:
    """FLE of each frame: root of the mean square plus ``l1`` times mean absolute error, (N, 3, S, S) → (N,)."""
    difference = (predicted - true).flatten(1)
    return difference.square().mean(1).sqrt() + l1 * difference.abs().mean(1)


def over_crops(scores: Tensor, how: Literal["max", "mean"]) -> Tensor:
    """A frame's score from those of its crops, (N, crops, …) → (N, …)."""
    return scores.amax(1) if how == "max" else scores.mean(1)
