"""The context recovery stream: a trained STUNet and the error of what it predicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..nets.stunet import STUNet
from ..settings import RecoverySettings
from ..storage import fill, load_tensors
from ..video.snippets import Snippet
from .error import frame_level_error, local_errors, maximum_local_error, over_crops


class RecoveryStream:
    """Scores clips by MLE for every window of the settings, and by FLE in a last column.

    Args:
        net: a trained STUNet; it is put into eval mode.
        settings: geometry, windows and how errors become scores.
        device: where the net computes.
        normal: window → what normal video reaches at each place, (crops, 3, P, P); for scores by place.
    """

    def __init__(
        self,
        net: STUNet,
        settings: RecoverySettings,
        device: torch.device,
        normal: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.settings, self.device, self.normal = settings, device, normal
        self.net = net.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        span = (settings.length - 1) * settings.interval
        self._snippet = Snippet(settings.length, settings.interval, offset=span)

    @classmethod
    def load(
        cls,
        model: Path,
        settings: RecoverySettings,
        size: int,
        device: torch.device,
        normal: Mapping[int, Tensor] | None = None,
    ) -> "RecoveryStream":
        """The stream of a model file that `train` wrote.

        Raises:
            CheckpointError: no such file, a broken one, or tensors of another net.
        """
        net = STUNet(settings.width, size, residual=settings.residual)
        fill(net, load_tensors(model)[0], model)
        return cls(net, settings, device, normal)

    @property
    def snippet(self) -> Snippet:
        """Frames t, t+2, …, t+16; the score belongs to the predicted one, the last."""
        return self._snippet

    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and true last frames of clips (N, 3, 9, S, S): two of (N, 3, S, S), on the device."""
        with torch.inference_mode():
            clips = clips.to(self.device)
            seen = clips[:, :, :-1].contiguous(memory_format=torch.channels_last_3d)
            return self.net(seen)[:, :, 0], clips[:, :, -1]

    def local_errors(self, predicted: Tensor, true: Tensor) -> dict[int, Tensor]:
        """Local errors of frames (N, 3, S, S) for each window of the settings: window → (N, 3, P, P)."""
        with torch.inference_mode():
            return local_errors(predicted, true, self.settings.windows, self.settings.window_stride)

    def maxima(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """What the score is made of, for clips (B, crops, 3, 9, S, S).

        Returns:
            Local maxima (B, crops, windows, 2, 3), as they are and relative to what is normal at their place, each of
            three kinds of error, see `local_errors`; root of the mean square error and mean absolute error of the
            whole crop, (B, crops, 2). On the CPU. Where nothing is known of places, both are the same.
        """
        return self._maxima(*self.predict(clips.flatten(0, 1)), clips.shape[:2])

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 9, S, S) → (B, windows + 1): MLE for each window, then FLE."""
        return self._score(*self.maxima(clips))

    def look(self, clips: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """What `score` gives for clips (B, crops, 3, 9, S, S), and the chosen window's error by place.

        Returns:
            (B, windows + 1), and (B, crops, P, P): the largest value of a crop is its MLE, up to the place of λ's
            maximum.

        Raises:
            ValueError: no window is chosen yet.
        """
        settings, crops = self.settings, clips.shape[:2]
        if settings.window == "select":
            raise ValueError("no window is chosen yet: run `tsvad recovery select-window` first")
        how = chosen(settings)
        predicted, true = self.predict(clips.flatten(0, 1))
        scores = self._score(*self._maxima(predicted, true, crops))
        with torch.inference_mode():
            errors = local_errors(predicted, true, [settings.window], settings.window_stride)
            if how.per_place:
                errors = self._relative(errors, crops)
            found = errors[settings.window]
            local = found[:, 1 if how.channel_l2 else 0] + how.l1 * found[:, 2]
            return scores, local.reshape(*crops, *local.shape[-2:]).cpu().numpy()

    def _maxima(self, predicted: Tensor, true: Tensor, crops: Sequence[int]) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            plain = self.local_errors(predicted, true)
            relative = self._relative(plain, crops)
            local = torch.stack(
                [
                    torch.stack([errors[window].flatten(2).amax(2) for errors in (plain, relative)], dim=1)
                    for window in self.settings.windows
                ],
                dim=1,
            )
            whole = torch.stack([frame_level_error(predicted, true, l1=l1) for l1 in (0.0, 1.0)], dim=1)
            whole[:, 1] -= whole[:, 0]
            return local.reshape(*crops, *local.shape[1:]).cpu(), whole.reshape(*crops, 2).cpu()

    def _relative(self, errors: dict[int, Tensor], crops: Sequence[int]) -> dict[int, Tensor]:
        if self.normal is None:
            return errors
        found = {}
        for window, local in errors.items():
            normal = self.normal[window].to(local.device)
            if len(normal) != crops[1]:
                raise ValueError(
                    f"the video gives {crops[1]} crops a frame, the run's camera {len(normal)}: the run judges errors "
                    "by place, so it takes video of its own camera's shape only (recovery.per_place)"
                )
            shaped = local.reshape(*crops, *local.shape[1:]) / normal
            found[window] = shaped.flatten(0, 1)
        return found

    def _score(self, local: Tensor, whole: Tensor) -> NDArray[np.float64]:
        how = chosen(self.settings)
        errors = maximum_local_error(local[..., int(how.per_place), :], l1=how.l1, channel_l2=how.channel_l2)
        frame = whole[..., :1] + how.l1 * whole[..., 1:]
        return over_crops(torch.cat((errors, frame), dim=-1), how.crops).double().numpy()


class Chosen(NamedTuple):
    """How errors become a score, nothing left open."""

    l1: float
    channel_l2: bool
    crops: Literal["max", "mean"]
    per_place: bool


def chosen(settings: RecoverySettings) -> Chosen:
    """λ, channel-L2, crops and by place or not.

    Raises:
        ValueError: one of them is still to be selected.
    """
    l1, channel_l2, crops = settings.score_l1, settings.channel_l2, settings.crops
    if l1 == "select" or channel_l2 == "select" or crops == "select" or settings.per_place == "select":
        raise ValueError(
            "the recipe leaves the recovery score to be selected: run `tsvad recovery select-window` first"
        )
    return Chosen(l1, channel_l2, crops, settings.per_place)
