"""Hash tables against a per-code Python loop over dicts, on the same codes; one thread each."""

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from twostream_vad.retrieval.tables import HashTables

Codes = NDArray[np.float32]
LoopTables = list[dict[bytes, tuple[int, NDArray[np.float64]]]]


def clustered_codes(count: int, clusters: int, tables: int, bits: int, seed: int) -> Codes:
    """Codes as a HashNet gives them: sigmoids of unit normals around shared centres, with a little jitter."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, tables, bits), dtype=np.float32)
    pick = rng.integers(0, clusters, count)
    codes = np.empty((count, tables, bits), np.float32)
    for start in range(0, count, 4096):
        logits = centres[pick[start : start + 4096]]
        logits += np.float32(0.05) * rng.standard_normal(logits.shape, dtype=np.float32)
        codes[start : start + 4096] = 1 / (1 + np.exp(-logits))
    return codes


def loop_build(codes: Codes) -> LoopTables:
    """One dict a table, code by code: key -> (count, sum)."""
    tables: LoopTables = [{} for _ in range(codes.shape[1])]
    for code in codes:
        for table, row in zip(tables, code, strict=True):
            key = np.packbits(row > 0.5).tobytes()
            count, total = table.get(key, (0, np.float64(0)))
            table[key] = (count + 1, total + row)
    return tables


def loop_query(tables: LoopTables, codes: Codes) -> Codes:
    """Distance of each code to its bucket's mean, code by code."""
    distances = np.empty(codes.shape[:2], np.float32)
    for i, code in enumerate(codes):
        for t, row in enumerate(code):
            bucket = tables[t].get(np.packbits(row > 0.5).tobytes())
            if bucket is None:
                distances[i, t] = np.sqrt(row.size)
            else:
                distances[i, t] = np.linalg.norm(row - bucket[1] / bucket[0])
    return distances


def timed[T](work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started
