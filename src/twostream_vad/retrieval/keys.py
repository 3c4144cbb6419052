"""Hash keys of features whose order is that of nearness: the longer a shared prefix, the nearer two features."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from .buckets import Floats

SAMPLE = 1 << 13  # rows from which directions are learned
MEDIANS = 1 << 17  # rows from which medians are
RANK = 32  # leading principal directions that the bits mix
SKETCH = 16  # of these, coordinates that choose among candidates
BITS = 24  # of a key, below the place
ROUNDS = 4  # of subspace iteration


@dataclass(frozen=True, slots=True)
class Keys:
    """Projections of features, and where each bit turns on at each place.

    A bit says on which side of its place's median a feature lies along a random mix of the leading principal
    directions, so that halves of what is normal at a place fall on either side; no labels and no gradient steps.
    """

    directions: NDArray[np.float32]  # (values, SKETCH), orthonormal
    mixes: NDArray[np.float32]  # (values, tables * BITS)
    medians: NDArray[np.float32]  # (places, tables * BITS)
    spreads: NDArray[np.float32]  # (places,): root mean square distance of a place's features to their mean

    @classmethod
    def fit(cls, features: Floats, places: NDArray[np.int64], tables: int = 8, seed: int = 0) -> "Keys":
        """Of normal features (N, values) at places (N,) from 0; evenly spaced rows are looked at, and a seed drawn.

        Raises:
            ValueError: no features, or a place below 0.
        """
        if len(features) == 0 or places.min() < 0:
            raise ValueError(f"keys need features, and places from 0; got {len(features)} features")
        rng = np.random.default_rng(seed)
        rows = spread(len(features), SAMPLE)
        sample, at = np.asarray(features[rows], np.float32), places[rows]
        spreads = np.zeros(int(places.max()) + 1, np.float32)
        for place in np.unique(at):
            sample[at == place] -= sample[at == place].mean(axis=0)
            spreads[place] = np.sqrt(np.square(sample[at == place]).sum(axis=1).mean())
        np.maximum(spreads, 1e-3 * max(spreads.max(), 1e-6), out=spreads)  # where nothing moves is no exact copy
        rank = min(RANK, sample.shape[1])
        basis = np.linalg.qr(rng.standard_normal((sample.shape[1], rank)).astype(np.float32))[0]
        for _ in range(ROUNDS):
            basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
        turn = np.linalg.svd(sample @ basis, full_matrices=False)[2]
        basis = np.asarray(basis @ turn.T, np.float32)
        mixes = basis @ rng.standard_normal((rank, tables * BITS)).astype(np.float32)
        rows = spread(len(features), MEDIANS)
        at, medians = places[rows], np.zeros((len(spreads), mixes.shape[1]), np.float32)
        for place in np.unique(at):
            medians[place] = np.median(np.asarray(features[rows[at == place]], np.float32) @ mixes, axis=0)
        return cls(np.ascontiguousarray(basis[:, :SKETCH]), mixes, medians, spreads)

    @property
    def places(self) -> int:
        """Places that are known."""
        return len(self.medians)

    @property
    def tables(self) -> int:
        """Keys of a feature."""
        return len(self.mixes[0]) // BITS

    def same(self, other: "Keys") -> bool:
        """Whether both give every feature the same keys."""
        return all(np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def keys(self, features: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Features (N, values) at places (N,) → (tables, N): the place, then the bits, the first one highest."""
        on = (product(features, self.mixes) > self.medians[places]).reshape(len(features), self.tables, BITS)
        octets = np.zeros((self.tables, len(features), 8), np.uint8)
        octets[..., 8 - BITS // 8 :] = np.packbits(on, axis=-1).swapaxes(0, 1)
        return octets.view(">u8")[..., 0].astype(np.uint64) | places.astype(np.uint64) << np.uint64(BITS)

    def sketches(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, values) → (N, SKETCH + 1): leading coordinates, and the length of the rest.

        Their distance is never greater than that of the features.
        """
        lead = product(features, self.directions)
        rest = np.einsum("ij,ij->i", features, features) - np.einsum("ij,ij->i", lead, lead)
        return np.concatenate([lead, np.sqrt(np.maximum(rest, 0))[:, None]], axis=1)


def product(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """``rows @ columns`` by torch's threads: numpy's own would wait beside them, and slow the nets down by half."""
    with torch.inference_mode():
        found: NDArray[np.float32] = (torch.from_numpy(rows) @ torch.from_numpy(columns)).numpy()
        return found


def spread(rows: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` row numbers, evenly spaced."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))
