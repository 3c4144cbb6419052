"""The context recovery stream: a trained STUNet and the error of what it predicts."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import RecoverySettings
from ..nets.stunet import STUNet
from ..training import fill, load_tensors
from ..video.snippets import Snippet
from .error import frame_level_error, local_maxima, maximum_local_error, over_crops


class RecoveryStream:
    """Scores clips by MLE for every window of the settings, and by FLE in a last column.

    Args:
        net: a trained STUNet; it is put into eval mode.
        settings: geometry, windows and how errors become scores.
        device: where the net computes.
    """

    def __init__(self, net: STUNet, settings: RecoverySettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.net = net.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        span = (settings.length - 1) * settings.interval
        self._snippet = Snippet(settings.length, settings.interval, offset=span)

    @classmethod
    def load(cls, model: Path, settings: RecoverySettings, size: int, device: torch.device) -> "RecoveryStream":
        """The stream of a model file that `train` wrote.

        Raises:
            CheckpointError: no such file, a broken one, or tensors of another net.
        """
        net = STUNet(settings.width, size, residual=settings.residual)
        fill(net, load_tensors(model)[0], model)
        return cls(net, settings, device)

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

    def maxima(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """What the score is made of, for clips (B, crops, 3, 9, S, S).

        Returns:
            Local maxima (B, crops, windows, 3), see `local_maxima`; root of the mean square error and mean
            absolute error of the whole crop, (B, crops, 2). On the CPU.
        """
        predicted, true = self.predict(clips.flatten(0, 1))
        with torch.inference_mode():
            local = local_maxima(predicted, true, self.settings.windows, self.settings.window_stride)
            whole = torch.stack([frame_level_error(predicted, true, l1=l1) for l1 in (0.0, 1.0)], dim=1)
            whole[:, 1] -= whole[:, 0]
            crops = clips.shape[:2]
            return local.reshape(*crops, *local.shape[1:]).cpu(), whole.reshape(*crops, 2).cpu()

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 9, S, S) → (B, windows + 1): MLE for each window, then FLE."""
        l1, channel_l2, crops = chosen(self.settings)
        local, whole = self.maxima(clips)
        errors = maximum_local_error(local, l1=l1, channel_l2=channel_l2)
        frame = whole[..., :1] + l1 * whole[..., 1:]
        return over_crops(torch.cat((errors, frame), dim=-1), crops).double().numpy()


def chosen(settings: RecoverySettings) -> tuple[float, bool, Literal["max", "mean"]]:
    """λ, channel-L2 and crops of the score.

    Raises:
        ValueError: one of them is still to be selected.
    """
    l1, channel_l2, crops = settings.score_l1, settings.channel_l2, settings.crops
    if l1 == "select" or channel_l2 == "select" or crops == "select":
        raise ValueError(
            "the recipe leaves the recovery score to be selected: run `tsvad recovery select-window` first"
        )
    return l1, channel_l2, crops
