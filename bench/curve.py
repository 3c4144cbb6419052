"""AUC against frames a second: a picture and a table, of `small`, EdgeNets of several sizes, float32 and bfloat16.

    python bench/curve.py RUN [RUN ...] --video VIDEO [--pairs 3] [--frames 500] [--out docs/edge.svg]

Every run is fitted on the same dataset; its name is what it is called. Frames a second are of a whole video by
OpenVINO on all cores, decoding included, as `bench/speed.py` takes them (a turn a process, in turns, medians). AUC is
of the run's own test videos, fused, in %, by the same engine and precision (`bench/precision.py`); test labels report.
"""

import argparse
import os
import platform
import statistics
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from precision import scored
from speed import turn

from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.bundle import Bundle
from twostream_vad.detector.engines.engine import Engine, Precision
from twostream_vad.detector.loading import beside
from twostream_vad.evaluation.auc import micro_auc
from twostream_vad.report.figures import BLACK, OKABE_ITO, STYLE, save_figure
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.run import Run

PRECISIONS: dict[Precision, str] = {"fp32": "o", "bf16": "^"}
"""Precision → its marker."""


@dataclass(frozen=True)
class Point:
    """What a run reaches in one precision; AUC in %."""

    name: str
    precision: Precision
    speed: float
    paper: float
    causal: float


def main() -> None:
    """Prints a table and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs/edge.svg")
    options = parser.parse_args()
    speeds = timed(options.runs, options.video, options.frames, options.pairs)
    set_up_process(None)
    points = [reached(folder, precision, speed) for (folder, precision), speed in speeds.items()]
    draw(points, options.out)
    cores = f"{platform.machine()}, {os.cpu_count()} cores; openvino {version('openvino')}"
    print(f"{cores}; {options.video.name}, {options.frames} frames, {options.pairs} turns\n")
    print("| run | precision | frames/s | micro | micro, causal |\n|---|---|---|---|---|")
    for point in points:
        print(f"| {point.name} | {point.precision} | {point.speed:.0f} | {point.paper:.1f} | {point.causal:.1f} |")


def timed(runs: list[Path], video: Path, frames: int, pairs: int) -> dict[tuple[Path, Precision], float]:
    """Median frames a second of each run and precision."""
    ways = [(run, precision) for run in runs for precision in PRECISIONS]
    for run, precision in ways:  # what an engine keeps is made by a process that is not measured
        turn(run, video, f"openvino {precision}", 32, 0)
    found: dict[tuple[Path, Precision], list[float]] = {way: [] for way in ways}
    for _ in range(pairs):
        for run, precision in ways:
            found[run, precision].append(turn(run, video, f"openvino {precision}", frames, 0)["fps"])
    return {way: statistics.median(each) for way, each in found.items()}


def reached(folder: Path, precision: Precision, speed: float) -> Point:
    """AUC of a run's test videos."""
    run, bundle = Run.open(folder), Bundle(folder)
    engine = Engine("openvino", precision, kept=beside(bundle))
    found, labels = scored(run, bundle, engine), labels_of(run)
    paper, causal = (100 * micro_auc(curves, labels) for curves in (found.paper, found.causal))
    return Point(folder.name, precision, speed, paper, causal)


def draw(points: list[Point], out: Path) -> None:
    """Both protocols' AUC over speed, a colour a run."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3), layout="constrained")
        panels = figure.subplots(1, 2, sharey=False)
        colours = dict(zip(dict.fromkeys(point.name for point in points), (BLACK, *OKABE_ITO), strict=False))
        for axes, protocol, title in zip(panels, ("paper", "causal"), ("the paper's protocol", "causal"), strict=True):
            for name, colour in colours.items():
                own = [point for point in points if point.name == name]
                speeds, aucs = [point.speed for point in own], [getattr(point, protocol) for point in own]
                axes.plot(speeds, aucs, color=colour, linewidth=0.8, label=name)
                for point, auc in zip(own, aucs, strict=True):
                    axes.plot(point.speed, auc, PRECISIONS[point.precision], color=colour, markersize=5)
            axes.set(xscale="log", xlabel="frames a second", ylabel="fused micro-AUC, %", title=title)
            axes.set_xticks([20, 30, 50, 100, 150, 200], ["20", "30", "50", "100", "150", "200"])
            axes.minorticks_off()
            axes.grid(visible=True, linewidth=0.3)
        panels[0].legend(loc="lower left", title="● float32   ▲ bfloat16")
        save_figure(figure, out)


if __name__ == "__main__":
    main()
