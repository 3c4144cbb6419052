"""Normal events as centres in feature space, found by hashed keys: near to exact, in bounded memory and time."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .buckets import Floats
from .centrefile import ARRAYS, fault, read, write
from .keys import Keys
from .tables import TableError, unusable

LIMIT = 1 << 18  # centres: 190 MB at 128 values, 8 tables
REACHES = 4, 8  # candidates on either side in each table: where there are many places, and few
FEW = 64  # places: a snippet asks once for each, and must not take longer for it
REFINED = 8  # candidates whose distance is computed in full
BLOCK = 1 << 14  # rows added in one go
CHUNK = 1 << 9  # rows looked up in one go
KEPT = 0.75  # of the limit, once centres were merged
HELD = "means", "places", "counts", "rows", "seen"
Ints = NDArray[np.int64]


class Centres:
    """Means of near features of one place, and what finds the nearest one.

    Every table holds all centres in the order of its keys; the candidates of a feature are its neighbours there, those
    with the longest common prefix of bits (LSH forest: Bawa, Condie and Ganesan 2005), so that no look-up is empty.
    Candidates are chosen by a sketch, the best few compared in full; ``reach`` is how many on either side of a feature
    a table gives, 4 unless told, or 8 where places are few. Until ``limit`` centres are held, each feature is
    one. Then the nearest pairs are merged and ``radius`` is the greatest distance over which that was done, in spreads
    of the place, so that a still place keeps its grain: what comes later goes into a centre within it. The limit should
    be many times the number of places; where no two centres share one, the longest unseen are forgotten.
    """

    def __init__(self, keys: Keys, limit: int = LIMIT, reach: int | None = None) -> None:
        reach = REACHES[keys.places <= FEW] if reach is None else reach
        if limit < 2 or reach < 1:
            raise ValueError(f"centres need a limit of 2 or more and a reach of 1 or more, got {limit} and {reach}")
        self.keys, self.limit, self.reach = keys, limit, reach
        self.radius, self.added = 0.0, 0
        self.means = np.empty((0, len(keys.mixes)), np.float32)
        self.places, self.counts, self.rows, self.seen = (np.empty(0, np.int64) for _ in range(4))
        self.normal = np.ones(keys.places, np.float32)  # what distance normal events reach at each place
        self._index: tuple[NDArray[np.float32], list[tuple[NDArray[np.uint64], NDArray[np.int64]]]] | None = None

    @classmethod
    def build(
        cls, features: Floats, places: NDArray[np.int64], limit: int = LIMIT, reach: int | None = None, seed: int = 0
    ) -> "Centres":
        """Keys fitted to features (N, values) at places (N,) from 0, and their centres; ``features`` may be mapped."""
        built = cls(Keys.fit(features, places, seed=seed), limit, reach)
        built.add(features, places)
        return built

    def __len__(self) -> int:
        return len(self.means)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, with what look-ups need."""
        sketches, tables = self.indexed()
        index = sketches.nbytes + sum(keys.nbytes + order.nbytes for keys, order in tables)
        return index + sum(array.nbytes for array in self._arrays().values())

    def add(self, features: Floats, places: NDArray[np.int64]) -> None:
        """Put features (N, values) at places (N,) in, a block at a time; they are numbered on from ``added``.

        Raises:
            TableError: the shape does not fit, a value is not finite, or a place is not one that keys were fitted to.
        """
        for start in range(0, len(features), BLOCK):
            block, at = self._checked(features[start : start + BLOCK], places[start : start + BLOCK])
            numbers = np.arange(self.added, self.added + len(block))
            self.added += len(block)
            self._put(block, at, np.ones(len(at), np.int64), numbers, numbers, near=self.radius > 0)

    def merge(self, other: "Centres") -> "Centres":
        """New centres of the features of both, with this one's limits; the other's features are numbered on.

        What of the other lies within the radius of a centre goes into it. TableError where the keys differ.
        """
        if not self.keys.same(other.keys):
            raise TableError("cannot merge centres that other keys find: build both from one fit")
        merged = Centres(self.keys, self.limit, self.reach)
        for name in HELD:
            setattr(merged, name, getattr(self, name).copy())
        merged.normal = np.maximum(self.normal, other.normal)
        merged.radius, merged.added = max(self.radius, other.radius), self.added + other.added
        rows, seen = (numbers + self.added for numbers in (other.rows, other.seen))
        merged._put(other.means, other.places, other.counts, rows, seen, near=True)
        return merged

    def find(self, features: Floats, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest centre found and its L2 distance, of features (N, values) at places (N,): both (N,).

        A centre is its row in ``means``, ``places``, ``counts``, ``rows`` (the number of its first feature) and
        ``seen`` (of its last); -1 and infinity where a place has none. Errors as `add`.
        """
        features, places = self._checked(features, places)
        return self._nearest(features, places, None)

    def save(self, path: Path) -> None:
        """Write safetensors, whole or not at all."""
        state = {name: str(getattr(self, name)) for name in ("limit", "reach", "added")}
        write(path, self._arrays(), state | {"radius": repr(float(self.radius))})

    @classmethod
    def load(cls, path: Path) -> "Centres":
        """Read what ``save`` wrote; TableError where the file is not that, cut short or altered."""
        arrays, state = read(path)
        try:
            limit, reach, added = (int(state.get(name, "")) for name in ("limit", "reach", "added"))
            radius = float(state.get("radius", ""))
            keys = Keys(*(arrays.pop(field.name) for field in fields(Keys)))
            loaded = cls(keys, limit, reach)
        except ValueError as error:
            raise unusable(path, f"states sizes that cannot be: {error}") from None
        loaded.radius, loaded.added = radius, added
        for name, array in arrays.items():
            setattr(loaded, name, array)
        if reason := fault(loaded):
            raise unusable(path, f"is altered: {reason}")
        return loaded

    def _arrays(self) -> dict[str, NDArray[Any]]:
        held = {name: getattr(self if hasattr(self, name) else self.keys, name) for name in ARRAYS}
        return {name: np.ascontiguousarray(array) for name, array in held.items()}

    def _checked(self, features: Floats, places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        values, known = len(self.keys.mixes), len(self.keys.medians)
        if features.ndim != 2 or features.shape[1] != values or places.shape != (len(features),):
            raise TableError(
                f"features must be (features, {values} values), a place each, got shapes {features.shape} and "
                f"{places.shape}: use the encoder that the centres were built with"
            )
        if len(places) > 0 and not (places.min() >= 0 and places.max() < known):
            raise TableError(f"places must be 0 to {known - 1}: use the views that the centres were built with")
        features = np.require(features, np.float32, ("C", "W"))  # torch takes no read-only map without a word
        if not np.isfinite(features).all():
            row = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
            raise TableError(f"feature {row} has a value that is not finite: look for NaN in the encoder's weights")
        return features, places

    def _nearest(
        self, features: NDArray[np.float32], places: NDArray[np.int64], own: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `find`; ``own`` are centres (N,) that do not count."""
        found, distances = np.full(len(features), -1, np.int64), np.full(len(features), np.inf, np.float32)
        if len(self) == 0:
            return found, distances
        sketches, tables = self.indexed()
        around = np.arange(-self.reach, self.reach)
        for start in range(0, len(features), CHUNK):
            part = slice(start, start + CHUNK)
            asked, at = features[part], places[part, None]
            keys = self.keys.keys(asked, places[part])
            near = [
                np.take(order, np.searchsorted(held, own_keys)[:, None] + around, mode="clip")
                for (held, order), own_keys in zip(tables, keys, strict=True)
            ]
            candidates = np.sort(np.concatenate(near, axis=1), axis=1)
            barred = np.take(self.places, candidates, mode="clip") != at
            barred[:, 1:] |= candidates[:, 1:] == candidates[:, :-1]  # found by several tables: once is enough
            if own is not None:
                barred |= candidates == own[part, None]
            gaps = _gaps(sketches, candidates, self.keys.sketches(asked), barred)
            best = np.argpartition(gaps, min(REFINED, gaps.shape[1] - 1), axis=1)[:, :REFINED]
            candidates, barred = (np.take_along_axis(array, best, 1) for array in (candidates, barred))
            gaps = _gaps(self.means, candidates, asked, barred)
            each, best = np.arange(len(asked)), gaps.argmin(axis=1)
            distances[part] = np.sqrt(gaps[each, best])
            found[part] = np.where(np.isfinite(distances[part]), candidates[each, best], -1)
        return found, distances

    def indexed(self) -> tuple[NDArray[np.float32], list[tuple[NDArray[np.uint64], NDArray[np.int64]]]]:
        """Sketches of all centres, and of each table its keys in order and whose they are."""
        if self._index is None:
            keys = np.empty((self.keys.tables, len(self)), np.uint64)
            sketches = np.empty((len(self), self.keys.directions.shape[1] + 1), np.float32)
            for start in range(0, len(self), BLOCK):
                part = slice(start, start + BLOCK)
                keys[:, part] = self.keys.keys(self.means[part], self.places[part])
                sketches[part] = self.keys.sketches(self.means[part])
            orders = np.argsort(keys, axis=1, kind="stable")
            self._index = sketches, [(own[order], order) for own, order in zip(keys, orders, strict=True)]
        return self._index

    def _put(
        self, means: NDArray[np.float32], places: Ints, counts: Ints, rows: Ints, seen: Ints, *, near: bool
    ) -> None:
        """Further centres, into those held where they are ``near`` one."""
        if near:
            centre, distance = self.find(means, places)
            far = ~(distance <= self.radius * self.keys.spreads[places])
            self._fold(centre[~far], means[~far], counts[~far], seen[~far])
            means, (places, counts, rows, seen) = means[far], (a[far] for a in (places, counts, rows, seen))
        for name, array in zip(HELD, (means, places, counts, rows, seen), strict=True):
            setattr(self, name, np.concatenate([getattr(self, name), array]))
        self._index = None
        if len(self) > self.limit:
            self._shrink()

    def _fold(self, centre: Ints, means: NDArray[np.float32], counts: Ints, seen: Ints) -> None:
        """Means of so many features into their centres, which move to the new mean."""
        order = np.argsort(centre, kind="stable")
        own, starts = np.unique(centre[order], return_index=True)
        if len(own) == 0:
            return
        weights = counts[order, None].astype(np.float32)
        shift = np.add.reduceat(weights * (means[order] - self.means[centre[order]]), starts, axis=0)
        self.counts[own] += np.add.reduceat(counts[order], starts)
        self.means[own] += shift / self.counts[own, None].astype(np.float32)
        np.maximum.at(self.seen, centre, seen)

    def _shrink(self) -> None:
        """Merges the nearest pairs until KEPT of the limit are left."""
        while (surplus := len(self) - int(KEPT * self.limit)) > 0:
            each = np.arange(len(self))
            other, distance = self._nearest(self.means, self.places, each)
            distance /= self.keys.spreads[self.places]
            pairs = np.argsort(distance, kind="stable")[: int(np.isfinite(distance).sum())]
            first, second = _matched(pairs[: -(-len(pairs) // 2)], other, surplus)
            if len(first) == 0:
                self._keep(np.sort(np.lexsort((self.seen, self.counts))[surplus:]))
                return
            self.radius = max(self.radius, float(distance[first[-1]]))
            share = (self.counts[second] / (self.counts[first] + self.counts[second])).astype(np.float32)
            self.means[first] += share[:, None] * (self.means[second] - self.means[first])
            self.counts[first] += self.counts[second]
            self.rows[first] = np.minimum(self.rows[first], self.rows[second])
            self.seen[first] = np.maximum(self.seen[first], self.seen[second])
            self._keep(np.delete(each, second))

    def _keep(self, kept: NDArray[np.int64]) -> None:
        for name in HELD:
            setattr(self, name, getattr(self, name)[kept])
        self._index = None


def _matched(
    pairs: NDArray[np.int64], other: NDArray[np.int64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (i, ``other[i]``), given the nearest first, of which none shares a centre with a nearer one."""
    rank, nearest = np.arange(len(pairs)), np.full(len(other), len(pairs))
    for ends in (pairs, other[pairs]):
        np.minimum.at(nearest, ends, rank)
    both = pairs[(nearest[pairs] == rank) & (nearest[other[pairs]] == rank)][:most]
    return both, other[both]


def _gaps(
    held: NDArray[np.float32], candidates: NDArray[np.int64], asked: NDArray[np.float32], barred: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Squared distances of rows asked (N, v) to their candidates (N, c) among ``held``; infinite where barred."""
    taken = np.take(held, candidates, axis=0, mode="clip")  # twice as fast as a check of what cannot be
    taken -= asked[:, None]
    gaps: NDArray[np.float32] = np.einsum("ijk,ijk->ij", taken, taken)
    gaps[barred] = np.inf
    return gaps
