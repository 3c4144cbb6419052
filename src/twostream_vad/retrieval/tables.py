"""Hash tables as flat arrays: keys, counts and sums of real-valued codes, built and queried in bulk."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.sparse import csr_array

from ..storage import whole_file

Floats = NDArray[np.floating[Any]]

FORMAT = "twostream-vad hash tables"
VERSION = "1"
ARRAYS = {"keys": np.uint64, "counts": np.int64, "sums": np.float64, "offsets": np.int64}

PART = 1 << 18  # codes grouped in one go: 16 MiB of keys at 8 tables
CHUNK = 1 << 10  # codes packed or compared in one go: 1 MiB at 8 tables of 32 bits, which a cache holds
ROWS = 1 << 13  # rows gathered and summed in one go


@dataclass(frozen=True, slots=True)
class Bucket:
    """One key of a table, its first bit the lowest, and how many codes fell there."""

    key: int
    count: int


@dataclass(frozen=True, slots=True)
class TableSummary:
    """One table at a glance; ``fullest`` falls from the most codes, ``emptiest`` rises from the fewest."""

    buckets: int
    fullest: tuple[Bucket, ...]
    emptiest: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class _Buckets:
    """The buckets of all tables: table t owns rows ``offsets[t]:offsets[t + 1]``, sorted by key."""

    codes: int
    keys: NDArray[np.uint64]  # (G,)
    counts: NDArray[np.int64]  # (G,)
    sums: NDArray[np.float64]  # (G, bits)
    offsets: NDArray[np.int64]  # (tables + 1,)

    def table(self, t: int) -> slice:
        return slice(int(self.offsets[t]), int(self.offsets[t + 1]))


class HashTables:
    """b hash tables over r-bit keys; a bucket holds the count and the sum of the real codes that fell there.

    The key of a code is its r bits, bit = code > 0.5; a bucket's centre is the mean of its codes
    (Cao et al. 2024, section III-C). Tables start empty and grow by ``add``. Sums are float64, so the
    order in which codes arrive moves a centre by rounding at most.

    Args:
        tables: b, one per hash layer.
        bits: r, the length of a code, 1 to 64.
    """

    def __init__(self, tables: int = 8, bits: int = 32) -> None:
        if tables < 1 or not 1 <= bits <= 64:
            raise ValueError(f"hash tables need 1 table or more of 1 to 64 bits, got {tables} of {bits}")
        self.tables = tables
        self.bits = bits
        self._parts: list[_Buckets] = []
        self._centres: NDArray[np.float32] | None = None

    @classmethod
    def build(cls, codes: Floats) -> "HashTables":
        """Tables over codes (N, b, r); ValueError as for ``add``."""
        if codes.ndim != 3:
            raise ValueError(f"codes must be (codes, tables, bits), got shape {codes.shape}")
        built = cls(codes.shape[1], codes.shape[2])
        built.add(codes)
        return built

    def add(self, codes: Floats) -> None:
        """Put codes (N, b, r) into their buckets, in place.

        Parts of like size are merged as they come, so that many small additions cost N log N in all.
        ValueError where a code is NaN or outside [0, 1] (nothing is added then), or the shape does not fit.
        """
        self._check_shape(codes)
        parts = [_group(codes[start : start + PART]) for start in range(0, len(codes), PART)]
        for part in parts:
            self._parts.append(part)
            while len(self._parts) > 1 and self._parts[-2].codes < 2 * self._parts[-1].codes:
                last = self._parts.pop()
                self._parts[-1] = _merge(self._parts[-1], last)
        self._centres = None

    def merge(self, other: "HashTables") -> "HashTables":
        """New tables that hold the codes of both; ValueError where their tables or bits differ."""
        if (self.tables, self.bits) != (other.tables, other.bits):
            raise ValueError(
                f"cannot merge {self.tables} tables of {self.bits} bits with {other.tables} of {other.bits}: "
                "build both from one hash network"
            )
        merged = HashTables(self.tables, self.bits)
        merged._parts = [_merge(self._settled(), other._settled())]
        return merged

    @property
    def codes(self) -> int:
        """How many codes were added."""
        return sum(part.codes for part in self._parts)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(tables + 1,): table t owns rows ``offsets[t]:offsets[t + 1]`` of the arrays below."""
        return self._settled().offsets

    @property
    def keys(self) -> NDArray[np.uint64]:
        """(buckets of all tables,), rising within a table."""
        return self._settled().keys

    @property
    def counts(self) -> NDArray[np.int64]:
        """(buckets of all tables,): codes in each."""
        return self._settled().counts

    @property
    def centres(self) -> NDArray[np.float32]:
        """(buckets of all tables, bits): mean of each bucket's codes."""
        if self._centres is None:
            held = self._settled()
            self._centres = (held.sums / held.counts[:, None]).astype(np.float32)
        return self._centres

    def query(self, codes: Floats) -> NDArray[np.float32]:
        """L2 distance of codes (N, b, r) to the centres of their buckets: (N, b), sqrt(r) where empty.

        ValueError where a code is NaN or outside [0, 1], or the shape does not fit these tables.
        """
        self._check_shape(codes)
        held, centres = self._settled(), self.centres
        distances = np.full((len(codes), self.tables), math.sqrt(self.bits), np.float32)
        for start, chunk in _checked_chunks(codes):
            rows, found = _find(held, _pack(chunk))
            if len(centres) > 0:
                gaps = np.take(centres, rows.ravel(), axis=0)
                gaps -= chunk.reshape(gaps.shape)
                near = np.sqrt(np.einsum("ij,ij->i", gaps, gaps)).reshape(found.shape)
                np.copyto(distances[start : start + len(chunk)], near, where=found)
        return distances

    def scores(self, codes: Floats) -> NDArray[np.float32]:
        """Anomaly scores (S,) of snippets' codes (S, crops, b, r): minimum over tables, mean over crops."""
        if codes.ndim != 4 or codes.shape[1] == 0:
            raise ValueError(f"codes must be (snippets, crops, tables, bits), got shape {codes.shape}")
        nearest = self.query(codes.reshape(-1, *codes.shape[2:])).min(axis=1)
        means: NDArray[np.float32] = nearest.reshape(codes.shape[:2]).mean(axis=1)
        return means

    def summary(self, show: int = 5) -> list[TableSummary]:
        """Per table: how many buckets, and the ``show`` fullest and emptiest (ties by key)."""
        held = self._settled()
        summaries = []
        for t in range(self.tables):
            keys, counts = held.keys[held.table(t)], held.counts[held.table(t)]
            by_count = [
                tuple(Bucket(int(keys[i]), int(counts[i])) for i in np.argsort(order, kind="stable")[:show])
                for order in (-counts, counts)
            ]
            summaries.append(TableSummary(len(keys), *by_count))
        return summaries

    def save(self, path: Path) -> None:
        """Write safetensors, whole or not at all."""
        held = self._settled()
        arrays = {name: np.ascontiguousarray(getattr(held, name)) for name in ARRAYS}
        metadata = {"format": FORMAT, "version": VERSION, "tables": str(self.tables), "bits": str(self.bits)}
        with whole_file(path) as temporary:
            save_file(arrays, temporary, metadata)

    @classmethod
    def load(cls, path: Path) -> "HashTables":
        """Read what ``save`` wrote; ValueError where the file is not that, cut short or altered."""
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except SafetensorError as error:
            raise _unusable(path, f"is not a whole safetensors file ({error})") from None
        if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
            raise _unusable(path, f"does not hold hash tables of version {VERSION}")
        if {name: array.dtype.type for name, array in arrays.items()} != ARRAYS:
            raise _unusable(path, f"must hold exactly {', '.join(ARRAYS)} in their own types")
        sizes = [metadata.get(name, "") for name in ("tables", "bits")]
        if not all(size.isascii() and size.isdigit() and len(size) < 5 for size in sizes):
            raise _unusable(path, f"states tables and bits as {sizes}")
        try:
            loaded = cls(*map(int, sizes))
        except ValueError as error:
            raise _unusable(path, f"states sizes that cannot be: {error}") from None
        if fault := _fault(arrays, loaded.tables, loaded.bits):
            raise _unusable(path, f"is altered: {fault}")
        codes = int(arrays["counts"][: arrays["offsets"][1]].sum())
        loaded._parts = [_Buckets(codes, **arrays)]
        return loaded

    def _check_shape(self, codes: Floats) -> None:
        if codes.ndim != 3 or codes.shape[1:] != (self.tables, self.bits):
            raise ValueError(
                f"codes must be (codes, {self.tables} tables, {self.bits} bits), got shape {codes.shape}: "
                "use the hash network that the tables were built with"
            )

    def _settled(self) -> _Buckets:
        """All buckets in one part."""
        if not self._parts:
            self._parts = [_group(np.empty((0, self.tables, self.bits), np.float32))]
        while len(self._parts) > 1:
            last = self._parts.pop()
            self._parts[-1] = _merge(self._parts[-1], last)
        return self._parts[0]


def _checked_chunks(codes: Floats) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(start, float32 contiguous chunk) pairs; ValueError at the first code that no sigmoid gives."""
    for start in range(0, len(codes), CHUNK):
        chunk = np.ascontiguousarray(codes[start : start + CHUNK], np.float32)
        with np.errstate(invalid="ignore"):
            fits = chunk.min() >= 0 and chunk.max() <= 1  # False for NaN
        if not fits:
            row, table, bit = np.argwhere(~((chunk >= 0) & (chunk <= 1)))[0]
            raise ValueError(
                f"code {start + row} has {chunk[row, table, bit]} at table {table}, bit {bit}; codes lie in "
                "(0, 1): look for NaN in the features or the hash network's weights"
            )
        yield start, chunk


def _pack(codes: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Keys (N, b) of codes (N, b, r): bit i of the key is ``code[i] > 0.5``."""
    count, tables, bits = codes.shape
    on = codes > 0.5
    if bits % 8 == 0:
        packed = np.packbits(on.reshape(-1), bitorder="little")  # one flat run is twice as fast as rows
    else:
        packed = np.packbits(on, axis=-1, bitorder="little")
    octets = np.zeros((count, tables, 8), np.uint8)
    octets[..., : -(-bits // 8)] = packed.reshape(count, tables, -1)
    return octets.view("<u8")[..., 0].astype(np.uint64, copy=False)


def _group(codes: Floats) -> _Buckets:
    """Buckets of at most PART codes (N, b, r)."""
    count, tables, bits = codes.shape
    codes = np.ascontiguousarray(codes, np.float32)
    keys = np.empty((tables, count), np.uint64)
    for start, chunk in _checked_chunks(codes):
        keys[:, start : start + len(chunk)] = _pack(chunk).T
    found, counts, sums = [], [], []
    for t in range(tables):
        order, ordered = _sort(keys[t], bits)
        starts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
        found.append(ordered[starts])
        counts.append(np.diff(starts, append=count))
        sums.append(_sum_runs(codes.reshape(-1, bits), order * tables + t, starts))
    offsets = np.concatenate([[0], np.cumsum([len(k) for k in found])])
    return _Buckets(count, np.concatenate(found), np.concatenate(counts), np.concatenate(sums), offsets)


def _sort(keys: NDArray[np.uint64], bits: int) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """The stable order of keys (N,), and the keys in that order."""
    if bits > 32:
        order = np.argsort(keys, kind="stable")
        return order, keys[order]
    # Key above, row below: one plain sort of whole words is three times as fast as an argsort.
    words = keys << np.uint64(32) | np.arange(len(keys), dtype=np.uint64)
    words.sort()
    return (words & np.uint64(0xFFFFFFFF)).astype(np.intp), words >> np.uint64(32)


def _sum_runs(
    rows: NDArray[np.float32], order: NDArray[np.intp], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Sums (len(starts), r) of ``rows[order]``, each run from one start to the next."""
    sums = np.zeros((len(starts), rows.shape[1]))
    edges = np.append(starts, len(order))
    gathered = np.empty((ROWS, rows.shape[1]), np.float32)
    block = np.empty(gathered.shape)
    columns, ones = np.arange(ROWS, dtype=np.int32), np.ones(ROWS)
    for row in range(0, len(order), ROWS):
        picked = order[row : row + ROWS]
        size = len(picked)
        block[:size] = np.take(rows, picked, axis=0, out=gathered[:size], mode="clip")
        # The first run may have begun in the block before: what of it lies here is added to it.
        first = np.searchsorted(starts, row, side="right") - 1
        last = np.searchsorted(starts, row + size)
        local = np.clip(edges[first : last + 1] - row, 0, size).astype(np.int32)
        # A product with the runs' 0/1 matrix: three times as fast as np.add.reduceat, whose sums it gives.
        runs = csr_array((ones[:size], columns[:size], local), shape=(last - first, size))
        sums[first:last] += runs @ block[:size]
    return sums


def _merge(a: _Buckets, b: _Buckets) -> _Buckets:
    keys, counts, sums = [], [], []
    for t in range(len(a.offsets) - 1):
        mine, theirs = a.table(t), b.table(t)
        keys.append(np.union1d(a.keys[mine], b.keys[theirs]))
        counts.append(np.zeros(len(keys[-1]), np.int64))
        sums.append(np.zeros((len(keys[-1]), a.sums.shape[1])))
        for part, rows in ((a, mine), (b, theirs)):
            place = np.searchsorted(keys[-1], part.keys[rows])
            counts[-1][place] += part.counts[rows]  # no place comes twice: keys differ within a part
            sums[-1][place] += part.sums[rows]
    offsets = np.concatenate([[0], np.cumsum([len(k) for k in keys])])
    return _Buckets(
        a.codes + b.codes, np.concatenate(keys), np.concatenate(counts), np.concatenate(sums), offsets
    )


def _find(held: _Buckets, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Row of each key (N, b) in the flat arrays, and whether it is there; rows of absent keys are any."""
    rows = np.zeros(keys.shape, np.intp)
    found = np.zeros(keys.shape, np.bool_)
    for t in range(keys.shape[1]):
        table = held.keys[held.table(t)]
        if len(table) > 0:
            place = np.minimum(np.searchsorted(table, keys[:, t]), len(table) - 1)
            found[:, t] = table[place] == keys[:, t]
            rows[:, t] = place + held.offsets[t]
    return rows, found


def _fault(arrays: dict[str, NDArray[Any]], tables: int, bits: int) -> str:
    """What is wrong with arrays read from a file; empty where nothing is."""
    keys, counts, sums, offsets = (arrays[name] for name in ARRAYS)
    if offsets.shape != (tables + 1,) or keys.ndim != 1 or counts.shape != keys.shape:
        return "array shapes do not fit each other"
    if sums.shape != (len(keys), bits):
        return f"sums must be {(len(keys), bits)}, are {sums.shape}"
    if offsets[0] != 0 or offsets[-1] != len(keys) or (np.diff(offsets) < 0).any():
        return "offsets do not rise from 0 to the number of keys"
    inner = np.ones(max(len(keys) - 1, 0), np.bool_)
    inner[offsets[(offsets > 0) & (offsets < len(keys))] - 1] = False
    if (keys[1:] <= keys[:-1])[inner].any():
        return "keys are not sorted"
    if (counts < 1).any() or (counts > 1 << 48).any():
        return "a bucket's count is not positive"
    if len({int(counts[a:b].sum()) for a, b in zip(offsets[:-1], offsets[1:], strict=True)}) > 1:
        return "tables hold different numbers of codes"
    if not ((sums >= 0) & (sums <= counts[:, None])).all():
        return "a bucket's centre is not within 0 and 1"
    # All codes of a bucket lie on the same side of 0.5 as its key's bits say, and so does their mean.
    sides = np.where(sums > 0.5 * counts[:, None], np.float32(1), np.float32(0))
    if (_pack(sides[:, None]) != keys[:, None]).any():
        return "a bucket's centre does not fit its key"
    return ""


def _unusable(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} {why}: index the training features again to make it anew")
