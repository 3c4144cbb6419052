"""Buckets of real-valued codes as flat arrays: grouped, merged and looked up in bulk."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError

Floats = NDArray[np.floating[Any]]

PART = 1 << 19  # codes grouped in one go
CHUNK = 1 << 11  # codes packed or compared in one go: 2 MiB at 8 tables of 32 bits, which a cache holds
ROWS = 1 << 13  # rows gathered and summed in one go
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: multiplying by it spreads keys over the top bits
ONE = np.float32(1).view(np.uint32)


@dataclass(frozen=True, slots=True)
class Buckets:
    """The buckets of all tables: table t owns rows ``offsets[t]:offsets[t + 1]``, sorted by key."""

    codes: int
    keys: NDArray[np.uint64]  # (G,)
    counts: NDArray[np.int64]  # (G,)
    sums: NDArray[np.float64]  # (G, bits)
    offsets: NDArray[np.int64]  # (tables + 1,)

    @property
    def tables(self) -> int:
        return len(self.offsets) - 1

    def table(self, t: int) -> slice:
        return slice(int(self.offsets[t]), int(self.offsets[t + 1]))


def group(codes: Floats, first: int = 0) -> Buckets:
    """Buckets of at most PART codes (N, b, r); errors count codes from ``first``."""
    count, tables, bits = codes.shape
    codes = np.ascontiguousarray(codes, np.float32)
    keys = np.empty((tables, count), np.uint64)
    for start, chunk in checked_chunks(codes, first):
        keys[:, start - first : start - first + len(chunk)] = pack(chunk).T

    def one(t: int) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]:
        order, ordered = _sort(keys[t], bits)
        starts = _starts(ordered)
        sums = _sum_runs(codes.reshape(-1, bits), order * tables + t, starts)
        return ordered[starts], np.diff(starts, append=count), sums

    # Tables are independent and numpy sorts and gathers without the GIL: the result does not depend on threads.
    with ThreadPoolExecutor(min(tables, os.cpu_count() or 1)) as pool:
        found, counts, sums = zip(*pool.map(one, range(tables)), strict=True)
    return _joined(count, found, counts, sums)


def merge(parts: Sequence[Buckets]) -> Buckets:
    """Buckets of the codes of all parts."""
    found, counts, sums = [], [], []
    for t in range(parts[0].tables):
        keys = np.concatenate([part.keys[part.table(t)] for part in parts])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = _starts(keys)
        found.append(keys[starts])
        tallies = np.concatenate([part.counts[part.table(t)] for part in parts])[order]
        counts.append(np.add.reduceat(tallies, starts) if len(starts) > 0 else tallies)
        rows = np.concatenate([part.sums[part.table(t)] for part in parts])
        sums.append(_sum_runs(rows, order, starts))
    return _joined(sum(part.codes for part in parts), found, counts, sums)


def _joined(
    codes: int,
    keys: Sequence[NDArray[np.uint64]],
    counts: Sequence[NDArray[np.int64]],
    sums: Sequence[NDArray[np.float64]],
) -> Buckets:
    """Tables, one after another, as flat arrays."""
    offsets = np.concatenate([[0], np.cumsum([len(k) for k in keys])])
    return Buckets(codes, np.concatenate(keys), np.concatenate(counts), np.concatenate(sums), offsets)


class Directory:
    """Where each key lies. A slot by hash answers most look-ups; a binary search answers the rest."""

    def __init__(self, held: Buckets) -> None:
        self._held = held
        self._slots: list[tuple[NDArray[np.int32], np.uint64]] = []
        for t in range(held.tables):
            keys = held.keys[held.table(t)]
            size = max(4 * len(keys), 2).bit_length()
            slots, shift = np.zeros(1 << size, np.int32), np.uint64(64 - size)
            slots[keys * MIX >> shift] = np.arange(len(keys))
            self._slots.append((slots, shift))

    def find(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Row of each key (N, tables) in the flat arrays, and whether it is there; else the row is any."""
        rows = np.zeros(keys.shape, np.intp)
        found = np.zeros(keys.shape, np.bool_)
        for t, (slots, shift) in enumerate(self._slots):
            table = self._held.keys[self._held.table(t)]
            if len(table) == 0:
                continue
            wanted = np.ascontiguousarray(keys[:, t])
            place = slots[wanted * MIX >> shift].astype(np.intp)
            missed = np.flatnonzero(table[place] != wanted)
            place[missed] = np.minimum(np.searchsorted(table, wanted[missed]), len(table) - 1)
            found[:, t] = table[place] == wanted
            rows[:, t] = place + self._held.offsets[t]
        return rows, found


def checked_chunks(codes: Floats, first: int = 0) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """(first + start, float32 contiguous chunk) pairs; TsvadError at the first code that no sigmoid gives."""
    for start in range(0, len(codes), CHUNK):
        chunk = np.ascontiguousarray(codes[start : start + CHUNK], np.float32)
        # As unsigned words, whatever is negative, above 1 or NaN is greater than 1.0: one pass finds all.
        if len(chunk) > 0 and chunk.view(np.uint32).max() > ONE:
            row, table, bit = np.argwhere(chunk.view(np.uint32) > ONE)[0]
            raise TsvadError(
                f"code {first + start + row} has {chunk[row, table, bit]} at table {table}, bit {bit}; "
                "codes lie in (0, 1): look for NaN in the features or the hash network's weights"
            )
        yield first + start, chunk


def pack(codes: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Keys (N, b) of codes (N, b, r): bit i of the key is ``code[i] > 0.5``."""
    count, tables, bits = codes.shape
    on = codes > 0.5
    if bits in (8, 16, 32, 64):  # one flat run packs twice as fast as rows, and needs no filling up
        words = np.packbits(on.reshape(-1), bitorder="little").view(f"<u{bits // 8}")
        return words.reshape(count, tables).astype(np.uint64)
    octets = np.zeros((count, tables, 8), np.uint8)
    octets[..., : -(-bits // 8)] = np.packbits(on, axis=-1, bitorder="little")
    return octets.view("<u8")[..., 0].astype(np.uint64, copy=False)


def _sort(keys: NDArray[np.uint64], bits: int) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """The stable order of keys (N,), and the keys in that order."""
    if bits > 32:
        order = np.argsort(keys, kind="stable")
        return order, keys[order]
    # Key above, row below: one plain sort of whole words is twice as fast as an argsort.
    words = keys << np.uint64(32) | np.arange(len(keys), dtype=np.uint64)
    words.sort()
    return (words & np.uint64(0xFFFFFFFF)).astype(np.intp), words >> np.uint64(32)


def _starts(ordered: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where each run of equal keys begins."""
    new = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return np.flatnonzero(new)


def _sum_runs(rows: Floats, order: NDArray[np.intp], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sums (len(starts), r) of ``rows[order]``, each run from one start to the next."""
    from scipy.sparse import csr_array  # 0.2 s: needed to build tables, not to look codes up

    sums = np.zeros((len(starts), rows.shape[1]))
    edges = np.append(starts, len(order))
    size = min(ROWS, len(order))
    gathered = np.empty((size, rows.shape[1]), rows.dtype)
    block = np.empty(gathered.shape)
    # Row i of this 0/1 matrix sums run i of a block: faster than np.add.reduceat. Made once, as making it is slow.
    runs = csr_array((np.ones(size), np.arange(size), np.arange(size + 1)), shape=(size, size))
    for row in range(0, len(order), ROWS):
        picked = order[row : row + ROWS]
        held = len(picked)
        block[:held] = np.take(rows, picked, axis=0, out=gathered[:held], mode="clip")
        # The first run may have begun in the block before: what of it lies here is added to it.
        first = int(np.searchsorted(starts, row, side="right")) - 1
        last = int(np.searchsorted(starts, row + held))
        runs.indptr[: last - first + 1] = np.clip(edges[first : last + 1] - row, 0, held)
        runs.indptr[last - first + 1 :] = held
        summed = np.asarray(runs @ block)
        sums[first:last] += summed[: last - first]
    return sums
