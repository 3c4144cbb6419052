"""What precision costs: AUC on a run's test videos, scored in float32 and in another precision.

    python bench/precision.py RUN [RUN ...] [--engine openvino] [--precision bf16|int8]

The run's detector, fitted in float32, scores every test video by torch in float32 (the reference), by the engine in
float32, and in the precision asked for. AUC in % of the fused score, by the paper's protocol and the causal one;
*largest* is the largest difference of a frame's causal score from the reference's, over the reference's largest.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.bundle import Bundle
from twostream_vad.detector.detector import Detector
from twostream_vad.detector.engines.engine import TORCH, Engine
from twostream_vad.detector.loading import beside
from twostream_vad.evaluation.auc import macro_auc, micro_auc
from twostream_vad.runs.curves import TestScores
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.ranges import ranges_of
from twostream_vad.runs.run import Run
from twostream_vad.scores.causal import cold_start
from twostream_vad.scores.fusion import fuse

Curves = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Found:
    """Fused frame scores of all test videos, by both protocols."""

    paper: Curves
    causal: Curves


def scored(run: Run, bundle: Bundle, engine: Engine, every: int = 1) -> Found:
    """Every test video by one engine; of ``every`` so many frames one is looked at, and its score held."""
    detector, scores = Detector.load(bundle, engine), TestScores.load(run, bundle)
    raw = {name: detector.score(video.open()).raw.streams for name, video in scores.videos.items()}
    own = {stream: {name: held(lines[stream], every) for name, lines in raw.items()} for stream in detector.streams}
    again = replace(scores, judged=own["recovery"], distances=own["retrieval"])
    curves = again.paper()
    rows = {"recovery": curves[again.chosen], "retrieval": curves["retrieval"]}
    weights = bundle.description.weights
    paper = {name: fuse({stream: rows[stream][name] for stream in rows}, weights) for name in raw}
    return Found(paper, {name: cold_start(line) for name, line in again.causal()["fused"].items()})


def held(raw: NDArray[np.float64], every: int) -> NDArray[np.float64]:
    """Scores (snippets,) of which each one's first of ``every`` counts for all of them."""
    return raw[np.arange(len(raw)) // every * every]


def compared(folder: Path, engines: dict[str, Engine]) -> Iterator[str]:
    """A markdown row an engine; the first is the reference."""
    run = Run.open(folder)
    bundle, labels = Bundle(run.path("detector")), labels_of(run)
    reference: Found | None = None
    for name, engine in engines.items():
        found = scored(run, bundle, replace(engine, kept=beside(bundle), ranges=ranges_of(run)))
        reference = reference or found
        largest = max(np.abs(line).max() for line in reference.causal.values())
        gap = max(np.abs(found.causal[video] - line).max() for video, line in reference.causal.items())
        aucs = [100 * auc(curves, labels) for curves in (found.paper, found.causal) for auc in (micro_auc, macro_auc)]
        yield f"| {folder.name} | {name} | {' | '.join(f'{value:.2f}' for value in aucs)} | {gap / largest:.1e} |"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--engine", choices=["openvino", "torch"], default="openvino")
    parser.add_argument("--precision", choices=["bf16", "int8"], default="bf16")
    options = parser.parse_args()
    set_up_process(None)
    engines = {
        "torch fp32": TORCH,
        f"{options.engine} fp32": Engine(options.engine),
        f"{options.engine} {options.precision}": Engine(options.engine, options.precision),
    }
    print("| run | | micro | macro | causal micro | causal macro | largest |\n|---|---|---|---|---|---|---|")
    for folder in options.runs:
        for row in compared(folder, engines):
            print(row, flush=True)


if __name__ == "__main__":
    main()
