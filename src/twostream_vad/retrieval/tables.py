"""Hash tables as flat arrays: keys, counts and sums of real-valued codes, built and queried in bulk."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..errors import TsvadError
from ..storage import save_arrays
from .buckets import CHUNK, PART, Buckets, Directory, Floats, checked_chunks, group, merge, pack

FORMAT = "twostream-vad hash tables"
VERSION = "1"
FAN = 8  # parts of like size merged at once
ARRAYS: dict[str, type[np.generic]] = {"keys": np.uint64, "counts": np.int64, "sums": np.float64, "offsets": np.int64}


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


class TableError(TsvadError):
    """Hash tables that cannot be used; the message names the file, or what does not fit, and the remedy."""


class HashTables:
    """b hash tables over r-bit keys; a bucket holds the count and the sum of the real codes that fell there.

    The key of a code is its r bits, 1 to 64, bit = code > 0.5; a bucket's centre is the mean of its codes
    (Cao et al. 2024, section III-C). Tables start empty and grow by ``add``. Sums are float64, so the
    order in which codes arrive moves a centre by rounding at most.
    """

    def __init__(self, tables: int = 8, bits: int = 32) -> None:
        if tables < 1 or not 1 <= bits <= 64:
            raise ValueError(f"hash tables need 1 table or more of 1 to 64 bits, got {tables} of {bits}")
        self.tables = tables
        self.bits = bits
        self._parts: list[Buckets] = []
        self._ready: tuple[NDArray[np.float32], Directory] | None = None

    @classmethod
    def build(cls, codes: Floats) -> "HashTables":
        """Tables over codes (N, b, r); ValueError as for ``add``."""
        built = cls(codes.shape[1], codes.shape[2])
        built.add(codes)
        return built

    def add(self, codes: Floats) -> None:
        """Put codes (N, b, r) into their buckets, in place.

        Parts of like size are merged as they come, so that many small additions cost N log N in all.
        ValueError where a code is NaN or outside [0, 1] (nothing is added then), or the shape does not fit.
        """
        self._check_shape(codes)
        parts = [group(codes[start : start + PART], start) for start in range(0, len(codes), PART)]
        for part in parts:
            self._parts.append(part)
            while len(self._parts) >= FAN and self._parts[-FAN].codes < FAN * self._parts[-1].codes:
                self._parts[-FAN:] = [merge(self._parts[-FAN:])]
        self._ready = None

    def merge(self, other: "HashTables") -> "HashTables":
        """New tables that hold the codes of both; TableError where their tables or bits differ."""
        if (self.tables, self.bits) != (other.tables, other.bits):
            raise TableError(
                f"cannot merge {self.tables} tables of {self.bits} bits with {other.tables} of {other.bits}: "
                "build both from one hash network"
            )
        merged = HashTables(self.tables, self.bits)
        merged._parts = [merge([self._settled(), other._settled()])]
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
        return self._lookup()[0]

    def query(self, codes: Floats) -> NDArray[np.float32]:
        """L2 distance of codes (N, b, r) to their buckets' centres: (N, b), sqrt(r) where empty; errors as `add`."""
        return self.find(codes)[1]

    def find(self, codes: Floats) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Buckets of codes (N, b, r) and the distances that ``query`` gives, both (N, b); errors as `add`.

        A bucket is its row in ``keys``, ``counts`` and ``centres``; -1 where a table has none of the code's key.
        """
        self._check_shape(codes)
        centres, directory = self._lookup()
        buckets = np.full((len(codes), self.tables), -1, np.int64)
        distances = np.full(buckets.shape, math.sqrt(self.bits), np.float32)
        taken = np.empty((CHUNK * self.tables, self.bits), np.float32)
        for start, chunk in checked_chunks(codes):
            rows, found = directory.find(pack(chunk))
            if len(centres) > 0:
                gaps = np.take(centres, rows.ravel(), axis=0, out=taken[: rows.size], mode="clip")
                gaps -= chunk.reshape(gaps.shape)
                near = np.sqrt(np.einsum("ij,ij->i", gaps, gaps)).reshape(found.shape)
                np.copyto(buckets[start : start + len(chunk)], rows, where=found)
                np.copyto(distances[start : start + len(chunk)], near, where=found)
        return buckets, distances

    def scores(self, codes: Floats) -> NDArray[np.float32]:
        """Anomaly scores (S,) of snippets' codes (S, crops, b, r): minimum over tables, mean over crops."""
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
        save_arrays(path, arrays, metadata)

    @classmethod
    def load(cls, path: Path) -> "HashTables":
        """Read what ``save`` wrote; TableError where the file is not that, cut short or altered."""
        arrays, metadata = read_arrays(path, FORMAT, VERSION, ARRAYS)
        try:
            loaded = cls(*(int(metadata.get(name, "")) for name in ("tables", "bits")))
        except ValueError as error:
            raise unusable(path, f"states sizes that cannot be: {error}") from None
        if fault := _fault(arrays, loaded.tables, loaded.bits):
            raise unusable(path, f"is altered: {fault}")
        loaded._parts = [Buckets(int(arrays["counts"][: arrays["offsets"][1]].sum()), **arrays)]
        return loaded

    def _check_shape(self, codes: Floats) -> None:
        if codes.ndim != 3 or codes.shape[1:] != (self.tables, self.bits):
            raise TableError(
                f"codes must be (codes, {self.tables} tables, {self.bits} bits), got shape {codes.shape}: "
                "use the hash network that the tables were built with"
            )

    def _settled(self) -> Buckets:
        """All buckets in one part."""
        if not self._parts:
            self._parts = [group(np.empty((0, self.tables, self.bits), np.float32))]
        if len(self._parts) > 1:
            self._parts = [merge(self._parts)]
        return self._parts[0]

    def _lookup(self) -> tuple[NDArray[np.float32], Directory]:
        """Centres and directory, made once for all queries between two additions."""
        if self._ready is None:
            held = self._settled()
            self._ready = (held.sums / held.counts[:, None]).astype(np.float32), Directory(held)
        return self._ready


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
    if len({int(counts[a:b].sum()) for a, b in pairwise(offsets)}) > 1:
        return "tables hold different numbers of codes"
    if not ((sums >= 0) & (sums <= counts[:, None])).all():
        return "a bucket's centre is not within 0 and 1"
    # All codes of a bucket lie on the same side of 0.5 as its key's bits say, and so does their mean.
    sides = np.where(sums > 0.5 * counts[:, None], np.float32(1), np.float32(0))
    if (pack(sides[:, None]) != keys[:, None]).any():
        return "a bucket's centre does not fit its key"
    return ""


def read_arrays(
    path: Path, kind: str, version: str, wanted: Mapping[str, type[np.generic]]
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file of this format; TableError for another file, or a broken one."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise unusable(path, f"is not a whole safetensors file ({error})") from None
    if metadata.get("format") != kind or metadata.get("version") != version:
        raise unusable(path, f"does not hold {kind.removeprefix('twostream-vad ')} of version {version}")
    if {name: array.dtype.type for name, array in arrays.items()} != wanted:
        raise unusable(path, f"must hold exactly {', '.join(wanted)} in their own types")
    return arrays, metadata


def unusable(path: Path, why: str) -> TableError:
    """The refusal of a file, with the remedy."""
    return TableError(f"{path} {why}: index the training features again to make it anew")
