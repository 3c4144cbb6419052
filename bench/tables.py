"""Hash tables against a per-code Python loop over dicts, on the same codes; wall time."""

import argparse
import statistics
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


def build_by_chunks(codes: Codes, chunk: int) -> HashTables:
    """As a stream of features fills the tables."""
    grown = HashTables(codes.shape[1], codes.shape[2])
    for start in range(0, len(codes), chunk):
        grown.add(codes[start : start + chunk])
    grown.query(codes[:1])
    return grown


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", type=int, default=600_000)
    parser.add_argument("--clusters", type=int, default=2_000)
    parser.add_argument("--tables", type=int, default=8)
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="of the bulk form; the loop runs once")
    options = parser.parse_args()

    codes = clustered_codes(options.codes, options.clusters, options.tables, options.bits, options.seed)
    tables = HashTables.build(codes)
    per_table = sorted(t.buckets for t in tables.summary())
    gigabytes = codes.nbytes / 1e9
    print(f"{options.codes:,} codes x {options.tables} tables x {options.bits} bits ({gigabytes:.1f} GB)")
    print(f"{per_table[0]:,} to {per_table[-1]:,} buckets a table; wall time, bulk on all cores")

    floor = seconds(codes.max, options.repeats)
    loops: LoopTables = []
    work: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "build": (lambda: HashTables.build(codes), lambda: loops.extend(loop_build(codes))),
        "query": (lambda: tables.query(codes), lambda: loop_query(loops, codes)),
    }
    print(f"{'':8}{'bulk':>10}{'loop':>10}{'ratio':>9}{'bulk rate':>13}{'over one read of the codes':>30}")
    total_bulk = total_loop = 0.0
    for name, (bulk, loop) in work.items():
        bulk_time, loop_time = seconds(bulk, options.repeats), seconds(loop)
        total_bulk, total_loop = total_bulk + bulk_time, total_loop + loop_time
        print(
            f"{name:8}{bulk_time:9.3f}s{loop_time:9.2f}s{loop_time / bulk_time:8.0f}x"
            f"{codes.nbytes / bulk_time / 1e9:9.2f} GB/s{bulk_time / floor:28.1f} x"
        )
    print(f"{'both':8}{total_bulk:9.3f}s{total_loop:9.2f}s{total_loop / total_bulk:8.0f}x")
    grown = seconds(lambda: build_by_chunks(codes, 4096))
    print(f"built by adding 4,096 codes at a time: {grown:.3f}s")


if __name__ == "__main__":
    main()
