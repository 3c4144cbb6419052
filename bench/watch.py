"""A watcher against the whole file, to the bit; and a million pushes: is the last thousand what the first was?

    python bench/watch.py DETECTOR --frames 5000 --pushes 1000000

Renders a plaza video of so many frames, scores it as a file and frame by frame by a watcher, with jittering time stamps
and an origin of its own, and compares every score. Then pushes small pictures into a watcher whose nets are tiny
(a mean of the last frames, a mean over cells, a random projection), and prints, every tenth of the way, the median
time of a thousand pushes and the resident memory. Exit code 1 where a score differs, where the last thousand takes
more than 1.2 of the first (medians of ten thousands each), or where memory grows by more than 1 MB after the first
tenth.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.plaza.plaza import PlazaSettings, render_plaza
from twostream_vad.recovery.stream import RecoveryStream
from twostream_vad.retrieval.stream import Encoding, RetrievalStream
from twostream_vad.retrieval.tables import HashTables
from twostream_vad.scores.calibration import Scale
from twostream_vad.scores.stream import Stream
from twostream_vad.settings import Resolved
from twostream_vad.video.frames import open_source
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.views import Views

SIDE, CELLS, TABLES, BITS = 32, 4, 4, 8
THOUSANDS = 10
"""Thousands of pushes whose median is compared."""


def main() -> None:
    """Both proofs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path, nargs="?", help="a bundle; none: the million only")
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--pushes", type=int, default=1_000_000)
    options = parser.parse_args()
    good = True
    if options.detector:
        good &= alike(Detector.load(options.detector), options.frames)
    good &= endless(options.pushes)
    sys.exit(0 if good else 1)


def alike(detector: Detector, frames: int) -> bool:
    """Whether a watcher gives the scores of the whole file, to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        render_plaza(Path(folder) / "plaza", PlazaSettings(training_videos=1, testing_videos=1, frames=frames))
        source = open_source(Path(folder) / "plaza/testing/frames/01", rate=detector.rate)
        began = time.perf_counter()
        whole = detector.score(source).fused
        print(f"whole file: {frames / (time.perf_counter() - began):.1f} frames/s", flush=True)
        watcher, rng, own = detector.watch(), np.random.default_rng(0), np.zeros(frames)
        began = time.perf_counter()
        for index, frame in enumerate(source):
            jitter = 0.02 * rng.uniform(-1, 1) / detector.rate
            own[index] = watcher.push(frame.image, 1e6 + index / detector.rate + jitter).fused
        print(f"watcher: {frames / (time.perf_counter() - began):.1f} frames/s", flush=True)
    same = np.array_equal(own, whole, equal_nan=True)
    print(f"{'ok  ' if same else 'FAIL'} {frames} frames, every score the same to the bit: {same}", flush=True)
    return same


def tiny() -> Detector:
    """A detector whose nets cost next to nothing."""
    torch.set_num_threads(1)
    rng, views = np.random.default_rng(0), Views(SIDE)
    project = rng.standard_normal((3 * CELLS * CELLS, TABLES * BITS))

    def predict(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        mean: NDArray[np.float32] = seen[:, :, -2:].mean(2)
        return mean

    class Means:
        """A clip's mean in each cell."""

        values, side, source = 3 * CELLS * CELLS, 1, "means"

        def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
            cells = clips.mean(2).reshape(len(clips), 3, CELLS, SIDE // CELLS, CELLS, SIDE // CELLS)
            means: NDArray[np.float32] = cells.mean((3, 5)).reshape(len(clips), -1)
            return means

    def codes(features: NDArray[np.float32]) -> NDArray[np.float32]:
        answers = 1 / (1 + np.exp(-features.astype(np.float64) @ project))
        return answers.reshape(len(features), TABLES, BITS).astype(np.float32)

    how = Resolved(window=8, score_l1=1.0, channel_l2=False, crops="mean", per_place=False)
    tables = HashTables.build(codes(rng.standard_normal((500, 3 * CELLS * CELLS)).astype(np.float32)))
    streams: dict[str, Stream] = {
        "recovery": RecoveryStream(predict, Snippet.predicting(9, 2), views, how, 4),
        "retrieval": RetrievalStream(Encoding(Means(), Snippet.centred(8, 4), views, "float16"), codes, tables),
    }
    scales = dict.fromkeys(streams, Scale(0.0, 1.0))
    return Detector(streams, 25.0, scales, dict.fromkeys(streams, 1.0), threshold=1e9)


def endless(pushes: int) -> bool:
    """Whether the last thousand of so many pushes cost what the first did, and memory is flat."""
    watcher = tiny().watch()
    images = np.random.default_rng(1).integers(0, 256, (64, SIDE, SIDE, 3), dtype=np.uint8)
    took: list[float] = []
    memory: list[float] = []
    for thousand in range(pushes // 1000):
        began = time.perf_counter()
        for index in range(1000):
            watcher.push(images[index % 64], (1000 * thousand + index) / 25)
        took.append(time.perf_counter() - began)
        memory.append(resident())
        if (thousand + 1) % max(1, pushes // 10_000) == 0:
            print(f"  {1000 * (thousand + 1):>9} pushes: {took[-1]:.3f} ms a push, {memory[-1]:.1f} MB", flush=True)
    first, last = (statistics.median(part) for part in (took[:THOUSANDS], took[-THOUSANDS:]))
    growth = memory[-1] - memory[len(memory) // 10]
    print(f"first thousands {first:.3f} ms a push, last {last:.3f}: ratio {last / first:.2f}; memory {growth:+.2f} MB")
    good = last <= 1.2 * first and growth <= 1
    print(f"{'ok  ' if good else 'FAIL'} {pushes} pushes")
    return good


def resident() -> float:
    """Resident memory of this process in MB."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
