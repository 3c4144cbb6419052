"""The context recovery stream: a predicted frame against the true one; its largest local error is the score."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsvadError
from ..settings import Resolved
from ..video.snippets import Snippet
from ..video.views import Views
from .error import ABSOLUTE, CHANNEL_L2, SQUARED, local_errors, over_crops


class Predictor(Protocol):
    """A net that predicts the next frame, by whichever engine."""

    def __call__(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """The frames seen (N, 3, 8, S, S) → the next ones (N, 3, S, S)."""
        ...


class RecoveryStream:
    """Scores clips by MLE, the maximum local error, as ``how`` says, with a window's step of ``stride`` crop pixels.

    The last of a snippet's frames is the predicted one. ``normal`` is, by window, what normal video reaches at each
    place, (crops, 3, P, P), and needed where ``how`` judges by place. Heat has a window of its own.
    """

    def __init__(
        self,
        predictor: Predictor,
        snippet: Snippet,
        views: Views,
        how: Resolved,
        stride: int,
        normal: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.predictor, self.snippet, self.views = predictor, snippet, views
        self.how, self.stride = how, stride
        assert not how.per_place or (normal or {}).keys() >= set(how.sides), "what is normal was measured"
        # Of the kinds of error those that count, and what is normal of them.
        self._kinds = [CHANNEL_L2 if how.channel_l2 else SQUARED, *([ABSOLUTE] if how.score_l1 else [])]
        self._normal = {side: (normal or {})[side][:, self._kinds] for side in how.sides if how.per_place}
        self.grain = heat_window(views.size), stride
        self.seen: Tensor | None = None  # (crops, 1, S, S): the pixels whose errors count, None for all

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 9, S, S) → (B,)."""
        return self.judge(*predict(self.predictor, clips), clips.shape[:2])[0]

    def look(self, clips: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """What `score` gives, and the error at each place in the heat's own window, (B, crops, P, P)."""
        return self.judge(*predict(self.predictor, clips), clips.shape[:2])

    def judge(
        self, predicted: Tensor, true: Tensor, crops: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Score and error by place of predicted and true frames (B · crops, 3, S, S), ``crops`` being (B, crops)."""
        with torch.inference_mode():
            if self.seen is not None:
                predicted = torch.where(self.seen.repeat(crops[0], 1, 1, 1), predicted, true)
            scores, local = self.judged(predicted, true, crops)
            return scores.numpy(), local.numpy()

    def judged(self, predicted: Tensor, true: Tensor, crops: Sequence[int]) -> tuple[Tensor, Tensor]:
        """As `judge`, in torch alone: an export takes it as a graph."""
        how = self.how
        found = local_errors(predicted, true, sorted({*how.sides, self.grain[0]}), self.stride, self._kinds)
        judged = [relative(found[s], self._normal[s], crops) if how.per_place else found[s] for s in how.sides]
        largest = torch.stack([errors.flatten(2).amax(2) for errors in judged], dim=1)  # (N, windows, kinds)
        warm = found[self.grain[0]]
        maxima, local = largest[..., 0], warm[:, 0]
        if how.score_l1:
            maxima, local = maxima + how.score_l1 * largest[..., 1], local + how.score_l1 * warm[:, 1]
        errors = over_crops(maxima.reshape(*crops, -1), how.crops)
        return errors.double().mean(1), local.reshape(*crops, *local.shape[-2:])


def heat_window(size: int) -> int:
    """The side of the heat's window, of crops of ``size`` pixels: an eighth, about a person; no setting changes it."""
    return size // 8


def predict(predictor: Predictor, clips: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted and true last frames of clips (B, crops, 3, 9, S, S): two of (B · crops, 3, S, S)."""
    flat = clips.flatten(0, 1)
    return torch.from_numpy(predictor(flat[:, :, :-1].numpy())), flat[:, :, -1]


def relative(errors: Tensor, normal: Tensor, crops: Sequence[int]) -> Tensor:
    """Local errors (B · crops, 3, P, P) over what is normal at their places, (crops, 3, P, P).

    TsvadError where the video has another number of crops than the camera that was learned.
    """
    if len(normal) != crops[1]:
        raise TsvadError(
            f"the video gives {crops[1]} crops a frame, the detector's camera {len(normal)}: errors are judged by "
            "place, so it takes video of its own camera's shape only (fit with --set recovery.per_place=false)"
        )
    return (errors.reshape(*crops, *errors.shape[1:]) / normal).flatten(0, 1)
