"""The knowledge retrieval stream: features of a clip, their hash codes, the distance to normal events."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..video.snippets import Snippet
from ..video.views import Views
from .exemplars import Exemplars, Match
from .tables import HashTables

FeatureType = Literal["float16", "float32"]


class ClipEncoder(Protocol):
    """An encoder of clips, by whichever engine."""

    values: int  # of a feature
    side: int  # a clip has side × side features: one, or one of every place of the encoder's map
    source: str  # says which weights these are

    def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clips (N, 3, 8, S, S) → features (N · side², values)."""


class Hasher(Protocol):
    """A hash net, by whichever engine."""

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Features (N, values) → real-valued codes (N, b, r)."""


@dataclass(frozen=True)
class Encoding:
    """A clip's features as the hash net and the disk get them."""

    encoder: ClipEncoder
    snippet: Snippet  # frames t, t+8, …, t+56 in the paper, which places the score at t+32
    views: Views
    dtype: FeatureType  # that features are rounded to, for training and scoring alike

    def encode(self, clips: Tensor) -> NDArray[Any]:
        """(B, crops, 3, 8, S, S) → (B, crops · side², values) of ``dtype``."""
        features = self.encoder(clips.flatten(0, 1).numpy())
        return features.reshape(len(clips), -1, self.encoder.values).astype(self.dtype)


class RetrievalStream:
    """Scores clips by how far their hash codes are from the nearest bucket's centre, in tables of normal events."""

    def __init__(self, encoding: Encoding, hasher: Hasher, tables: HashTables) -> None:
        self.encoding, self.hasher, self.tables = encoding, hasher, tables
        self.snippet, self.views = encoding.snippet, encoding.views

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, 8, S, S) → (B,)."""
        return self.score_features(self.encoding.encode(clips))

    def score_features(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """(B, crops, values) → (B,): least distance over tables, mean over crops."""
        if len(features) == 0:
            return np.zeros(0)
        # A clip at a time: products of matrices of other sizes round differently, and a clip has one score only.
        codes = np.stack([self.hasher(clip) for clip in features])
        return self.tables.scores(codes).astype(np.float64)

    def nearest(self, features: NDArray[Any], exemplars: Exemplars) -> Match:
        """The normal event nearest to the crop that is farthest from normal, of one clip's features (crops, values)."""
        return exemplars.farthest(self.tables, self.hasher(features))
