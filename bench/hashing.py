"""Hash codes against exact nearest neighbour on the same features: AUC, agreement, bytes, time of a query.

    python bench/hashing.py --pets FEATURES.npz --run RUN [RUN ...] --seeds 1 2 3

Compares, by place where rows have one: exact L2 (the reference); the same on features as HashNet normalises them;
HashNet's tables as the paper has them, with fewer bits, and its codes compared one with all; centres by hashed keys
(`retrieval/centres.py`), with twice the reach, and at most half as many as rows; faiss's product quantisation and its
binary index over HashNet's bits, where `faiss-cpu` is installed. Agreement is the rank correlation with exact
distances on normal rows held out of training, which needs no labels. HashNet is trained as a run trains it, anew for
every seed.

`--pets` takes PETS 2009 I3D features (Pereira and Maia 2023), `viewN|train|scene|features` and so on; `--run` takes
run folders that were scored, with labels. Time is of one snippet's rows at once, on one thread.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hashing_cases import Case, Places, Rows, pets_cases, run_case
from numpy.typing import NDArray
from scipy.stats import spearmanr

from twostream_vad.detector.engines.nets import TorchHasher
from twostream_vad.evaluation.auc import roc_auc
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.features import FeatureSet, VideoRows
from twostream_vad.retrieval.keys import Keys
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.retrieval.train import train_retrieval

Answers = Callable[[Rows, Places], NDArray[np.float64]]
"""Features (N, values) at places (N,) → their distances (N,)."""
SIZES = {"bits": 32, "tables": 8}


@dataclass(frozen=True)
class Index:
    """What a method built: how it answers, and how many bytes it holds."""

    answer: Answers
    size: int


Method = Callable[[Case, Rows, Places, tuple[VideoRows, ...], int], Index]
"""Case, training rows and their places and videos, and a seed → the index."""


def by_place(
    rows: NDArray[Any], places: Places, build: Callable[[NDArray[Any]], tuple[Callable[[Any], Any], int]]
) -> Index:
    """An index of its own for every place."""
    built = {int(place): build(rows[places == place]) for place in np.unique(places)}

    def answer(asked: Rows, at: Places) -> NDArray[np.float64]:
        found = np.empty(len(asked))
        for place in np.unique(at):
            found[at == place] = built[int(place)][0](asked[at == place])
        return found

    return Index(answer, sum(size for _, size in built.values()))


def nearest(held: Rows) -> tuple[Callable[[Rows], NDArray[np.float64]], int]:
    """Distance to the nearest of all rows held."""
    squares = np.einsum("ij,ij->i", held, held)

    def answer(asked: Rows) -> NDArray[np.float64]:
        parts = [np.zeros(0)]
        for start in range(0, len(asked), 256):
            part = asked[start : start + 256]
            gaps = squares - 2 * part @ held.T + np.einsum("ij,ij->i", part, part)[:, None]
            parts.append(np.sqrt(np.maximum(gaps.min(axis=1), 0)))
        return np.concatenate(parts)

    return answer, held.nbytes


def exact(_case: Case, rows: Rows, places: Places, _videos: tuple[VideoRows, ...], _seed: int) -> Index:
    """Every row compared."""
    return by_place(rows, places, nearest)


def exact_normalised(_case: Case, rows: Rows, places: Places, _videos: tuple[VideoRows, ...], _seed: int) -> Index:
    """The same after HashNet's layer norm, which takes a feature's length away."""

    def normalise(given: Rows) -> Rows:
        return torch.nn.functional.layer_norm(torch.from_numpy(given), given.shape[1:]).numpy()

    index = by_place(normalise(rows), places, nearest)
    return Index(lambda asked, at: index.answer(normalise(asked), at), index.size)


def train_hasher(case: Case, rows: Rows, videos: tuple[VideoRows, ...], seed: int, bits: int) -> TorchHasher:
    """A HashNet trained as a run trains it."""
    settings = case.settings.model_copy(update={"bits": bits, "tables": SIZES["tables"]})
    with tempfile.TemporaryDirectory() as folder:
        features = FeatureSet(Path(folder), videos, rows.shape[1], "float32", case.name)
        np.save(features.path, rows)
        path = train_retrieval(features, settings, Path(folder) / "net", seed=seed)
        return TorchHasher.load(path, values=rows.shape[1], tables=settings.tables, bits=bits)


def hash_tables(bits: int) -> Method:
    """The paper's: distance of codes to their buckets' centres, least over tables."""

    def build(case: Case, rows: Rows, places: Places, videos: tuple[VideoRows, ...], seed: int) -> Index:
        hasher = train_hasher(case, rows, videos, seed, bits)

        def one(held: Rows) -> tuple[Callable[[Rows], NDArray[np.float32]], int]:
            tables = HashTables.build(hasher(held))
            size = sum(array.nbytes for array in (tables.keys, tables.counts, tables.centres))
            return lambda asked: tables.query(hasher(asked)).min(axis=1), size

        return by_place(rows, places, one)

    return build


def codes_compared(case: Case, rows: Rows, places: Places, videos: tuple[VideoRows, ...], seed: int) -> Index:
    """HashNet's real codes of all tables, each compared with every other: what buckets cost."""
    hasher = train_hasher(case, rows, videos, seed, SIZES["bits"])
    index = by_place(hasher(rows).reshape(len(rows), -1), places, nearest)
    return Index(lambda asked, at: index.answer(hasher(asked).reshape(len(asked), -1), at), index.size)


def hashed_centres(share: float = 1.0, wider: int = 1, most: int = sys.maxsize) -> Method:
    """Centres by hashed keys, at most so many a row, and so many in all; reach is ``wider`` than it would be."""

    def build(_case: Case, rows: Rows, places: Places, _videos: tuple[VideoRows, ...], seed: int) -> Index:
        centres = Centres(Keys.fit(rows, places, seed=seed), min(most, max(2, int(share * len(rows)))))
        centres.reach *= wider
        centres.add(rows, places)
        return Index(lambda asked, at: centres.find(asked, at)[1].astype(np.float64), centres.nbytes)

    return build


def quantised(faiss: Any) -> Method:
    """faiss's product quantisation: 8 values a byte, or fewer bits where a place has few rows."""

    def build(_case: Case, rows: Rows, places: Places, _videos: tuple[VideoRows, ...], _seed: int) -> Index:
        def one(held: Rows) -> tuple[Callable[[Rows], NDArray[np.float64]], int]:
            bits = min(8, max(1, int(np.log2(len(held) / 4))))
            index = faiss.IndexPQ(held.shape[1], held.shape[1] // 8, bits)
            index.pq.cp.min_points_per_centroid = 1
            index.train(held)
            index.add(held)
            return lambda asked: np.sqrt(np.maximum(index.search(asked, 1)[0][:, 0], 0)), _faiss_size(faiss, index)

        return by_place(rows, places, one)

    return build


def binary(faiss: Any) -> Method:
    """faiss's binary index: Hamming distance of HashNet's bits, all tables together."""

    def build(case: Case, rows: Rows, places: Places, videos: tuple[VideoRows, ...], seed: int) -> Index:
        hasher = train_hasher(case, rows, videos, seed, SIZES["bits"])

        def bits(given: Rows) -> NDArray[np.uint8]:
            return np.packbits(hasher(given).reshape(len(given), -1) > 0.5, axis=1)

        def one(held: Rows) -> tuple[Callable[[Rows], NDArray[np.int32]], int]:
            codes = bits(held)
            index = faiss.IndexBinaryFlat(8 * codes.shape[1])
            index.add(codes)
            return lambda asked: index.search(bits(asked), 1)[0][:, 0], codes.nbytes

        return by_place(rows, places, one)

    return build


def _faiss_size(faiss: Any, index: Any) -> int:
    return int(faiss.serialize_index(index).nbytes)


def compare(case: Case, methods: dict[str, Method], seeds: Sequence[int]) -> Iterator[str]:
    """A markdown row a method: mean ± sd of its AUC and of its agreement over seeds, bytes, time of a snippet."""
    held = np.zeros(len(case.train), np.bool_)
    kept: list[VideoRows] = []
    first = 0
    for number, video in enumerate(case.videos):
        if number % 4 == 3:
            held[video.first : video.first + video.rows] = True
        else:
            kept.append(VideoRows(video.name, first, video.snippets, video.crops, video.snippets, video.places))
            first += video.rows
    normal, at = case.train[held], case.train_places[held]
    reference = exact(case, case.train[~held], case.train_places[~held], (), 0).answer(normal, at)
    for name, method in methods.items():
        found: list[tuple[float, float, int, float]] = []
        for seed in seeds:
            part = method(case, case.train[~held], case.train_places[~held], tuple(kept), seed)
            answers = part.answer(normal, at)  # the same for all rows where every bucket is empty: no agreement
            agreement = spearmanr(answers, reference).statistic if np.ptp(answers) > 0 else 0.0
            index = method(case, case.train, case.train_places, case.videos, seed)
            scores, milliseconds = scored(case, index)
            found.append((100 * roc_auc(scores, case.labels), float(agreement), index.size, milliseconds))
        auc, agree, size, took = np.array(found).T
        yield (
            f"| {case.name} | {name} | {auc.mean():.1f} ± {auc.std():.1f} | {agree.mean():.3f} | "
            f"{size.mean() / 1e6:.2f} | {np.median(took):.2f} |"
        )


def scored(case: Case, index: Index) -> tuple[NDArray[np.float64], float]:
    """Scores of all snippets (S,), and the median time of one in milliseconds."""
    index.answer(case.test[: case.rows], case.test_places[: case.rows])  # what is made once is no query
    distances, times = [], []
    for start in range(0, len(case.test), case.rows):
        part = slice(start, start + case.rows)
        began = time.perf_counter()
        distances.append(index.answer(case.test[part], case.test_places[part]))
        times.append(time.perf_counter() - began)
    return case.combine(np.stack(distances)), 1e3 * float(np.median(times))


def methods_here() -> dict[str, Method]:
    """All methods that can be run here."""
    methods: dict[str, Method] = {
        "exact": exact,
        "exact, layer-normed": exact_normalised,
        "HashNet 8 × 32": hash_tables(32),
        "HashNet 8 × 16": hash_tables(16),
        "HashNet 8 × 32, codes compared": codes_compared,
        "centres": hashed_centres(),
        "centres, at most 65,536 (as shipped)": hashed_centres(most=1 << 16),
        "centres, twice the reach": hashed_centres(wider=2),
        "centres, at most half the rows": hashed_centres(0.5),
    }
    try:
        faiss = import_module("faiss")
    except ImportError:
        print("faiss is not installed: its two rows are left out; `pip install faiss-cpu` (extra `bench`)\n")
        return methods
    faiss.omp_set_num_threads(1)
    return methods | {"faiss PQ, 8 values a byte": quantised(faiss), "faiss binary, HashNet's bits": binary(faiss)}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pets", type=Path, help="features.npz of four cameras")
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="run folders")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--only", nargs="+", help="methods, by their names in the table; all unless given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = []
    for package in ("numpy", "torch", "faiss-cpu"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    print(f"{', '.join(versions)}, {platform.machine()}, one thread; seeds {options.seeds}\n")
    methods = {name: method for name, method in methods_here().items() if name in (options.only or [name])}
    print("| features | method | AUC | agreement | MB | ms a snippet |\n|---|---|---|---|---|---|")
    cases = [*(pets_cases(options.pets) if options.pets else ()), *map(run_case, options.run)]
    for case in cases:
        for row in compare(case, methods, options.seeds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
