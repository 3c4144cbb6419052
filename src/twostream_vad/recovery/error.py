"""How wrong a predicted frame is: maximum local and frame-level error, MLE and FLE (Cao et al. 2024)."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def squared_error_map(predicted: Tensor, true: Tensor, *, channel_l2: bool = False) -> Tensor:
    """Error e of every pixel.

    Args:
        predicted: frames, (N, 3, S, S).
        true: as ``predicted``.
        channel_l2: the norm of the difference over channels, over 3, in place of its mean square.

    Returns:
        (N, S, S).
    """
    squares = (predicted - true).square()
    return squares.sum(1).sqrt() / 3 if channel_l2 else squares.mean(1)


def absolute_error_map(predicted: Tensor, true: Tensor) -> Tensor:
    """Error a of every pixel: mean absolute difference over channels, (N, 3, S, S) → (N, S, S)."""
    return (predicted - true).abs().mean(1)


def local_error(error: Tensor, window: int, stride: int) -> Tensor:
    """Mean error in every ``window`` × ``window`` square.

    (N, S, S) → (N, P, P), P = (S - window) // stride + 1.

    Raises:
        ValueError: a window that is larger than the map.
    """
    side = min(error.shape[-2:])
    if window > side:
        raise ValueError(f"window {window} is larger than the error map's {side} pixels; choose one of at most {side}")
    return F.avg_pool2d(error[:, None], window, stride)[:, 0]


def local_errors(predicted: Tensor, true: Tensor, windows: Sequence[int], stride: int = 8) -> dict[int, Tensor]:
    """Mean error in every window of each side, for each kind of error map.

    Args:
        predicted: frames, (N, 3, S, S).
        true: as ``predicted``.
        windows: sides p of the error window in pixels.
        stride: step of the window in pixels.

    Returns:
        Window → (N, 3, P, P): of the squared error, of its channel-L2 form, of the absolute error.

    Raises:
        ValueError: a window that is larger than the frame.
    """
    maps = (
        squared_error_map(predicted, true),
        squared_error_map(predicted, true, channel_l2=True),
        absolute_error_map(predicted, true),
    )
    return {window: torch.stack([local_error(error, window, stride) for error in maps], dim=1) for window in windows}


def local_maxima(predicted: Tensor, true: Tensor, windows: Sequence[int], stride: int = 8) -> Tensor:
    """Largest local error of each frame for each window and each kind of error map.

    Arguments and errors as `local_errors`.

    Returns:
        (N, windows, 3). The maxima may lie at different places.
    """
    found = local_errors(predicted, true, windows, stride).values()
    return torch.stack([errors.flatten(2).amax(2) for errors in found], dim=1)


def maximum_local_error(maxima: Tensor, *, l1: float, channel_l2: bool = False) -> Tensor:
    """MLE from `local_maxima`: that of the squared error plus ``l1`` (λ) times that of the absolute error.

    (…, windows, 3) → (…, windows).
    """
    return maxima[..., 1 if channel_l2 else 0] + l1 * maxima[..., 2]


def frame_level_error(predicted: Tensor, true: Tensor, *, l1: float) -> Tensor:
    """FLE of each frame: root of the mean square plus ``l1`` times the mean absolute error.

    (N, 3, S, S) → (N,).
    """
    difference = (predicted - true).flatten(1)
    return difference.square().mean(1).sqrt() + l1 * difference.abs().mean(1)


def over_crops(scores: Tensor, how: Literal["max", "mean"]) -> Tensor:
    """A frame's score from those of its crops, (N, crops, …) → (N, …)."""
    return scores.amax(1) if how == "max" else scores.mean(1)
