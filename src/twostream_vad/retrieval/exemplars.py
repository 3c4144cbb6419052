"""What an alarm was nearest to: each bucket's most central training snippets, and a sentence that names them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TsvadError
from ..storage import CheckpointError, load_tensors, save_tensors
from ..video.snippets import Snippet
from .buckets import Floats
from .features import FeatureSet
from .tables import HashTables

KIND = "exemplars"
REDO = "run `tsvad index RUN --redo`"
MISSED = 0.01
"""Share of keys that may have no bucket: codes computed again may lie over 0.5 by rounding where they lay below."""


class ExemplarError(TsvadError):
    """Exemplars that do not belong to the tables or the features; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Match:
    """The bucket nearest to a code; ``table`` is None where no table has one.

    ``distance`` is that from the bucket's centre; ``rows`` are its exemplars' feature rows, the most central first.
    """

    table: int | None
    distance: float
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a feature row comes from: ``frame`` is the snippet's first; all count from 0."""

    video: str
    frame: int
    crop: int


@dataclass(frozen=True, slots=True, eq=False)
class Exemplars:
    """Feature rows (buckets of all tables, most) of each bucket's most central codes, -1 where it holds fewer.

    The most central comes first, the lower row where two are as near. Buckets are in the tables' own order.
    """

    rows: NDArray[np.int64]

    @classmethod
    def build(cls, tables: HashTables, chunks: Iterable[Floats], most: int = 3) -> "Exemplars":
        """The ``most`` codes nearest each centre.

        Args:
            tables: complete.
            chunks: all codes that the tables hold, each (n, b, r), in the order of the feature rows.
            most: rows kept a bucket.

        Raises:
            ExemplarError: the chunks are not the tables' codes.
            ValueError: ``most`` is below 1, or as for `HashTables.query`.
        """
        if most < 1:
            raise ValueError(f"a bucket needs 1 exemplar or more, got {most}")
        rows = np.full((len(tables.keys), most), -1, np.int64)
        distances = np.full(rows.shape, np.inf, np.float32)
        seen, missed = 0, 0
        for chunk in chunks:
            buckets, near = tables.find(chunk)
            missed += int((buckets < 0).sum())
            _keep_nearest(rows, distances, buckets, near, seen)
            seen += len(chunk)
        if seen != tables.codes:
            raise ExemplarError(f"the tables hold {tables.codes} codes, but {seen} came: {REDO}")
        keys = seen * tables.tables
        if missed > MISSED * keys:
            raise ExemplarError(f"{missed} of {keys} keys have no bucket: these are not the tables' codes; {REDO}")
        return cls(rows)

    def save(self, path: Path) -> None:
        """One safetensors file, written whole."""
        save_tensors(path, {"rows": torch.from_numpy(self.rows)}, {"kind": KIND})

    @classmethod
    def load(cls, path: Path, tables: HashTables) -> "Exemplars":
        """What ``save`` wrote.

        Raises:
            ExemplarError: there is no such file, it is broken, or it is of other tables.
        """
        try:
            tensors, metadata = load_tensors(path)
        except CheckpointError as error:
            raise ExemplarError(f"{error} (`tsvad index RUN --redo`)") from None
        found = tensors.get("rows")
        if metadata.get("kind") != KIND or found is None or found.dtype != torch.int64 or found.ndim != 2:
            raise ExemplarError(f"{path}: does not hold exemplars; {REDO}")
        rows: NDArray[np.int64] = found.numpy()
        if len(rows) != len(tables.keys):
            raise ExemplarError(f"{path}: has {len(rows)} buckets, the tables have {len(tables.keys)}; {REDO}")
        if ((rows < -1) | (rows >= tables.codes)).any() or ((rows >= 0).sum(axis=1) > tables.counts).any():
            raise ExemplarError(f"{path}: names rows that its buckets cannot hold; {REDO}")
        return cls(rows)


def nearest(tables: HashTables, exemplars: Exemplars, codes: Floats) -> Match:
    """The nearest bucket to one crop's codes (b, r); its distance is the crop's score in `HashTables.scores`.

    Of tables that are as near, the lower. Where no bucket matched the distance is sqrt(r).
    """
    buckets, distances = tables.find(codes[None])
    table = int(distances[0].argmin())
    distance, bucket = float(distances[0, table]), int(buckets[0, table])
    if bucket < 0:  # a bucket's centre is never as far as sqrt(r): so no table has one
        return Match(None, distance, ())
    rows = exemplars.rows[bucket]
    return Match(table, distance, tuple(rows[rows >= 0].tolist()))


def origin(features: FeatureSet, row: int) -> Origin:
    """Video, frame and crop of a feature row.

    Raises:
        ExemplarError: there is no such row.
    """
    if not 0 <= row < features.rows:
        raise ExemplarError(f"{features.folder}: has {features.rows} rows, no row {row}; {REDO}")
    # The last video that begins here or before: one without snippets begins where the next one does.
    place = int(np.searchsorted([video.first for video in features.videos], row, side="right")) - 1
    video = features.videos[place]
    frame, crop = divmod(row - video.first, video.crops)
    return Origin(video.name, frame, crop)


def sentence(match: Match, origins: Sequence[Origin], snippet: Snippet) -> str:
    """What was nearest, in words.

    Args:
        match: of one crop.
        origins: of the match's rows, in their order; the first is named.
        snippet: the retrieval stream's geometry.
    """
    if match.table is None:
        return "no bucket matched: nothing like this was seen in training"
    place = f"(distance {match.distance:.2f}, table {match.table})"
    if not origins:  # rounding may leave a bucket none
        return f"nearest normal: a bucket without exemplars {place}"
    first = origins[0]
    frames = f"frames {first.frame}–{first.frame + snippet.span}" if snippet.span else f"frame {first.frame}"
    return f"nearest normal: training {first.video}, {frames}, crop {first.crop} {place}"


def _keep_nearest(
    rows: NDArray[np.int64],
    distances: NDArray[np.float32],
    buckets: NDArray[np.int64],
    near: NDArray[np.float32],
    first: int,
) -> None:
    """Puts a chunk's codes among the nearest so far, in place.

    Args:
        rows: (G, most) kept so far, all below ``first``.
        distances: of these from the centres, infinite where there is no row.
        buckets: (n, b) of the chunk's codes, -1 where there is none.
        near: (n, b) their distances.
        first: row of the chunk's first code.
    """
    most = rows.shape[1]
    code, table = np.nonzero(buckets >= 0)
    bucket, gap = buckets[code, table], near[code, table]
    order = np.lexsort((code, gap, bucket))
    touched, starts, counts = np.unique(bucket[order], return_index=True, return_counts=True)
    # Each bucket's run of codes, nearest first: its first few become a line of new candidates.
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    line = np.repeat(np.arange(len(touched)), counts)
    line, rank, order = line[rank < most], rank[rank < most], order[rank < most]
    candidates = np.full((len(touched), 2 * most), -1, np.int64)
    gaps = np.full(candidates.shape, np.inf, np.float32)
    candidates[:, :most], gaps[:, :most] = rows[touched], distances[touched]
    candidates[line, most + rank], gaps[line, most + rank] = first + code[order], gap[order]
    # Stable: of two as near, the one kept before has the lower row.
    best = np.argsort(gaps, axis=1, kind="stable")[:, :most]
    rows[touched] = np.take_along_axis(candidates, best, axis=1)
    distances[touched] = np.take_along_axis(gaps, best, axis=1)
