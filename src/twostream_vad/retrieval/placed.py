"""Knowledge retrieval that knows where: a code for every place, looked up among what is normal there. Not in the paper.

Each cell of the encoder's s4 map is an event of its own: one cyclist in a crowd is a whole cell, where it was a small
part of a crop's feature.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsvadError
from ..storage import load_tensors, save_tensors
from .centres import Centres
from .exemplars import Exemplars, Match
from .stream import Encoding

Floats = NDArray[np.float32]

PLACE = 16  # side of a place in crop pixels: of a cell of s4
DEVIATIONS = 3.0
FLOOR = 0.5  # of the median place's reach, added at every place: where nothing ever moves, noise is no anomaly


class PlacedStream:
    """Scores clips by the place that is farthest from the normal events seen there, relative to what is normal there.

    ``normal`` is the distance that normal video reaches at each place, (crops · side²,).
    """

    def __init__(self, encoding: Encoding, centres: Centres, normal: Floats) -> None:
        self.encoding, self.centres, self.normal = encoding, centres, normal
        self.snippet, self.views = encoding.snippet, encoding.views
        self.grain = PLACE, PLACE

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 8, S, S) → (B,)."""
        return self.look(clips)[0]

    def look(self, clips: Tensor) -> tuple[NDArray[np.float64], Floats]:
        """What `score` gives, and the relative distance at each place, (B, crops, side, side)."""
        return self.look_at(self.encoding.encode(clips))

    def look_at(self, features: NDArray[Any]) -> tuple[NDArray[np.float64], Floats]:
        """As `look`, of features (B, places, values)."""
        side = self.encoding.encoder.side
        # A clip at a time: it has one score only, whatever comes beside it.
        found = [around(self._find(clip)[1].reshape(-1, side, side)) for clip in features]
        local = np.stack(found) if found else np.zeros((0, 1, side, side), np.float32)
        return local.reshape(len(local), -1).max(axis=1).astype(np.float64), local

    def nearest(self, features: NDArray[Any], exemplars: Exemplars) -> Match:
        """The normal event nearest to what lies at the place that speaks, of one clip's features (places, values)."""
        centres, distances = self._find(features)
        place = int(distances.argmax())
        seen = exemplars.of(0, int(self.centres.rows[centres[place]])) if centres[place] >= 0 else None
        return Match(0 if centres[place] >= 0 else None, float(distances[place]), seen, place)

    def _find(self, clip: NDArray[Any]) -> tuple[NDArray[np.int64], Floats]:
        self.refuse_other_shape(clip)
        centres, distances = self.centres.find(clip, np.arange(len(clip)))
        return centres, distances / self.normal

    def refuse_other_shape(self, clip: NDArray[Any]) -> None:
        """Raises TsvadError for features (places, values) of a clip that has other places than the detector knows."""
        if len(clip) != len(self.normal):
            raise TsvadError(
                f"the video gives {len(clip)} places a frame, the detector's camera {len(self.normal)}: what is normal "
                "is known by place, so it takes video of its own camera's shape only (fit with --set "
                "retrieval.by_place=false)"
            )


def around(local: Floats) -> Floats:
    """Each place's mean with the eight beside it, as far as there are any: (crops, side, side) → the same.

    What moves is larger than a cell; a single cell that is far from normal is mostly noise.
    """
    height, width = local.shape[1:]
    padded, inside = np.pad(local, ((0, 0), (1, 1), (1, 1))), np.pad(np.ones((height, width), np.float32), 1)
    steps = [(down, across) for down in range(3) for across in range(3)]
    total = sum(padded[:, down : down + height, across : across + width] for down, across in steps)
    count = sum(inside[down : down + height, across : across + width] for down, across in steps)
    mean: Floats = np.asarray(total / count, np.float32)
    return mean


def what_is_normal(distances: Iterable[Floats]) -> Floats:
    """Mean plus three deviations of normal video's distances (n, places), place by place, and a floor: (places,)."""
    count, sums, squares = 0, np.zeros(1), np.zeros(1)
    for part in distances:
        values = part.astype(np.float64)
        count, sums, squares = count + len(values), sums + values.sum(0), squares + (values**2).sum(0)
    mean = sums / max(count, 1)
    most = mean + DEVIATIONS * np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    normal: Floats = np.maximum(most + FLOOR * np.median(most), np.finfo(np.float32).tiny).astype(np.float32)
    return normal


def save_normal(path: Path, normal: Floats) -> None:
    """What `load_normal` reads."""
    save_tensors(path, {"normal": torch.from_numpy(normal)}, {"kind": "normal distances"})


def load_normal(path: Path) -> Floats:
    """The distance that normal video reaches at each place; CheckpointError for no such file, or a broken one."""
    normal: Floats = load_tensors(path)[0]["normal"].numpy()
    return normal
