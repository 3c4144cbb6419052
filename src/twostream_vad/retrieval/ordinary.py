"""What distance is normal at each place: how far the events of one normal video are from those of the others."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..scores.calibration import DEVIATIONS, FLOOR
from .features import VideoRows
from .keys import spread
from .placed import Floats, around

LOOKED_AT = 400  # snippets, evenly spaced
PARTS = 4  # that a video is cut into where there are fewer videos
BLOCK = 64  # snippets compared with at once


def normal_distances(features: NDArray[np.floating], videos: Sequence[VideoRows], side: int) -> Floats:
    """Mean plus three deviations of the distance at each place, with those beside it, and half of the median place's.

    The distance is to the nearest event of another video, exactly, or of another part where there are few videos;
    ``features`` are rows by snippet and place (N, values), perhaps a memory map, and the answer is (places,).
    """
    each, count = videos[0].each, sum(video.snippets for video in videos)
    parts = 1 if len(videos) >= PARTS else PARTS
    own = np.concatenate(
        [np.arange(v.snippets) * parts // max(v.snippets, 1) + n * parts for n, v in enumerate(videos)]
    )
    group, clips = torch.from_numpy(own), features.reshape(count, each, -1)
    rows = spread(count, LOOKED_AT)
    with torch.inference_mode():
        asked = _by_place(clips[rows])  # (places, L, values)
        least = torch.full(asked.shape[:2], torch.inf)
        for first in range(0, count, BLOCK):
            held = _by_place(clips[first : first + BLOCK])
            gaps = torch.cdist(asked, held)
            gaps[:, group[rows, None] == group[None, first : first + BLOCK]] = torch.inf
            least = torch.minimum(least, gaps.amin(dim=2))
    local = np.stack([around(clip.reshape(-1, side, side)) for clip in least.T.numpy()])
    local = local[np.isfinite(local).all(axis=(1, 2, 3))]
    if len(local) == 0:  # a single snippet is near nothing
        return np.ones(each, np.float32)
    most = local.mean(axis=0) + DEVIATIONS * local.std(axis=0)
    normal: Floats = (most + max(FLOOR * float(np.median(most)), 1e-6)).reshape(each).astype(np.float32)
    return normal


def _by_place(clips: NDArray[np.floating]) -> torch.Tensor:
    """(snippets, places, values) → (places, snippets, values)."""
    return torch.from_numpy(np.require(clips, np.float32, ("C", "W"))).transpose(0, 1).contiguous()
