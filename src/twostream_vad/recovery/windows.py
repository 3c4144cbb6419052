"""Every window and every kind of error of a clip at once: what selection and the table of an evaluation look at."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..settings import RecoverySettings, Resolved
from ..video.snippets import Snippet
from ..video.views import Views
from .error import frame_level_error, local_errors, maximum_local_error, over_crops
from .stream import Predictor, predict, relative


class AllWindows:
    """Context recovery without a chosen score.

    ``normal`` is, by window, what normal video reaches at each place, (crops, 3, P, P); without it none is known.
    """

    def __init__(
        self, predictor: Predictor, settings: RecoverySettings, views: Views, normal: Mapping[int, Tensor] | None = None
    ) -> None:
        self.predictor, self.settings, self.views, self.normal = predictor, settings, views, normal or {}
        self.snippet = Snippet.predicting(settings.length, settings.interval)

    def local_errors(self, clips: Tensor) -> dict[int, Tensor]:
        """Clips (B, crops, 3, 9, S, S) → window → (B · crops, 3, P, P)."""
        with torch.inference_mode():
            return local_errors(*predict(self.predictor, clips), self.settings.windows, self.settings.window_stride)

    def maxima(self, predicted: Tensor, true: Tensor, crops: Sequence[int]) -> Tensor:
        """Local maxima (B, crops, windows, 2, 3) of frames (B · crops, 3, S, S), ``crops`` being (B, crops).

        As they are and relative to what is normal at their place (where nothing is known of places, the same), of the
        three kinds of `local_errors`.
        """
        with torch.inference_mode():
            pairs = [
                (plain, relative(plain, self.normal[window], crops) if window in self.normal else plain)
                for window, plain in local_errors(
                    predicted, true, self.settings.windows, self.settings.window_stride
                ).items()
            ]
            found = [torch.stack([errors.flatten(2).amax(2) for errors in pair], dim=1) for pair in pairs]
            local = torch.stack(found, dim=1)
            return local.reshape(*crops, *local.shape[1:])

    def scores(self, local: Tensor, predicted: Tensor, true: Tensor, how: Resolved) -> NDArray[np.float64]:
        """(B, windows + 1): MLE of each window, from `maxima`, then FLE; λ, map, crops and place as ``how`` says."""
        with torch.inference_mode():
            whole = torch.stack([frame_level_error(predicted, true, l1=l1) for l1 in (0.0, 1.0)], dim=1)
            whole[:, 1] -= whole[:, 0]
            whole = whole.reshape(*local.shape[:2], 2)
            frame = whole[..., :1] + how.score_l1 * whole[..., 1:]
            errors = torch.cat((maximum_errors(local, how), frame), dim=-1)
            return over_crops(errors, how.crops).double().numpy()


def maximum_errors(maxima: Tensor, how: Resolved) -> Tensor:
    """MLE of each crop and window from `AllWindows.maxima`: (B, crops, windows, 2, 3) → (B, crops, windows)."""
    return maximum_local_error(maxima[..., int(how.per_place), :], l1=how.score_l1, channel_l2=how.channel_l2)
