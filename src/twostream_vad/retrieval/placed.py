"""Knowledge retrieval that knows where: a code for every place, looked up among what is normal there. Not in the paper.

Each cell of the encoder's s4 map is an event of its own: one cyclist in a crowd is a whole cell, where it was a small
part of a crop's feature.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import TsvadError
from .centres import Centres
from .exemplars import Exemplars, Match, Place
from .stream import Encoding

Floats = NDArray[np.float32]

PLACE = 16  # side of a place in crop pixels: of a cell of s4


class PlacedStream:
    """Scores clips by the place that is farthest from the normal events seen there; what is beside it counts too.

    Far is told relative to what distance normal video reaches at the place; `look` shows distances as they are.
    """

    def __init__(self, encoding: Encoding, centres: Centres) -> None:
        self.encoding, self.centres = encoding, centres
        self.snippet, self.views = encoding.snippet, encoding.views
        self.grain = PLACE, PLACE
        self.seen: NDArray[np.bool_] | None = None  # (crops, side, side): the places that count, None for all

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 8, S, S) → (B,)."""
        return self.look(clips)[0]

    def look(self, clips: Tensor) -> tuple[NDArray[np.float64], Floats]:
        """What `score` gives, and the distance at each place with those beside it, (B, crops, side, side)."""
        return self.look_at(self.encoding.encode(clips))

    def look_at(self, features: NDArray[Any]) -> tuple[NDArray[np.float64], Floats]:
        """As `look`, of features (B, places, values)."""
        # A clip at a time: it has one score only, whatever comes beside it.
        found = [self._local(self._find(clip)[1]) for clip in features]
        local = np.stack(found) if found else np.zeros((0, *self._normal.shape), np.float32)
        return (local / self._normal).max(axis=(1, 2, 3)).astype(np.float64), local

    def nearest(self, features: NDArray[Any], exemplars: Exemplars) -> Match:
        """The normal event nearest to what lies at the place that speaks, of one clip's features (places, values)."""
        centres, distances = self._find(features)
        side = self.encoding.encoder.side
        place = int((self._local(distances) / self._normal).argmax())
        centre = int(centres[place])
        seen = exemplars.of(0, int(self.centres.rows[centre])) if centre >= 0 else None
        return Match(0 if centre >= 0 else None, float(distances[place]), seen, Place(place, side, self.views))

    def refuse_other_shape(self, clip: NDArray[Any]) -> None:
        """Raises TsvadError for features (places, values) of a clip that has other places than the detector knows."""
        known = self.centres.keys.places
        if len(clip) != known:
            raise TsvadError(
                f"the video gives {len(clip)} places a frame, the detector's camera {known}: what is normal is known "
                "by place, so it takes video of its own camera's shape only (fit with --set retrieval.by_place=false)"
            )

    @property
    def _normal(self) -> Floats:
        """(crops, side, side)."""
        side = self.encoding.encoder.side
        return self.centres.normal.reshape(-1, side, side)

    def _local(self, distances: Floats) -> Floats:
        """Distances (places,) with those beside them, (crops, side, side); 0 at places that do not count."""
        local = distances.reshape(self._normal.shape)
        if self.seen is None:
            return around(local)
        return np.where(self.seen, around(np.where(self.seen, local, np.float32(0))), np.float32(0))

    def _find(self, clip: NDArray[Any]) -> tuple[NDArray[np.int64], Floats]:
        self.refuse_other_shape(clip)
        return self.centres.find(clip, np.arange(len(clip)))


def around(local: Floats) -> Floats:
    """Each place's mean with the eight beside it; beyond the edge nothing is seen, 0: (crops, side, side) → the same.

    What moves is larger than a cell; a single cell that is far from normal is mostly noise.
    """
    height, width = local.shape[1:]
    padded = np.pad(local, ((0, 0), (1, 1), (1, 1)))
    steps = [padded[:, down : down + height, across : across + width] for down in range(3) for across in range(3)]
    mean: Floats = np.mean(steps, axis=0, dtype=np.float32)
    return mean
