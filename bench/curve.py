"""AUC against frames a second: a picture and a table, of `small`, EdgeNets of several sizes, in every precision.

    python bench/curve.py RUN [RUN ...] --video VIDEO [--pairs 3] [--frames 500] [--out docs/edge.svg]

Every run is fitted on the same dataset; its name is what it is called. Frames a second are of a whole video by
OpenVINO on all cores, decoding included, as `bench/speed.py` takes them (a turn a process, in turns, medians). AUC is
of the run's own test videos, fused, in %, by the same engine and precision (`bench/precision.py`); test labels report.
*Every second*: the net, or an EdgeNet's head, tells something of every second frame, and the score is held: what half
of the work would cost. There is no such option. An EdgeNet is not computed in int8.
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
from twostream_vad.detector.engines.engine import Engine
from twostream_vad.detector.loading import beside
from twostream_vad.evaluation.auc import micro_auc
from twostream_vad.report.figures import BLACK, OKABE_ITO, STYLE, save_figure
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.ranges import ranges_of
from twostream_vad.runs.run import Run

WAYS = {"fp32": ("o", "fp32"), "bf16": ("^", "bf16"), "int8": ("s", "int8"), "fp32/2": ("v", "fp32, every second")}
"""Way to score → its marker, and what it is called."""


@dataclass(frozen=True)
class Point:
    """What a run reaches in one precision; AUC in %."""

    name: str
    way: str
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
    points = [reached(folder, way, speed) for (folder, way), speed in speeds.items()]
    draw(points, options.out)
    cores = f"{platform.machine()}, {os.cpu_count()} cores; openvino {version('openvino')}"
    print(f"{cores}; {options.video.name}, {options.frames} frames, {options.pairs} turns\n")
    print("| run | way | frames/s | micro | micro, causal |\n|---|---|---|---|---|")
    for point in points:
        print(f"| {point.name} | {WAYS[point.way][1]} | {point.speed:.0f} | {point.paper:.1f} | {point.causal:.1f} |")


def timed(runs: list[Path], video: Path, frames: int, pairs: int) -> dict[tuple[Path, str], float]:
    """Median frames a second of each run and way."""
    edge = {run: Bundle(run).description.edge is not None for run in runs}
    ways = [(run, way) for run in runs for way in WAYS if not (edge[run] and way == "int8")]
    for run, way in ways:  # what an engine keeps is made by a process that is not measured
        turn(run, video, f"openvino {way}", 32, 0)
    found: dict[tuple[Path, str], list[float]] = {each: [] for each in ways}
    for _ in range(pairs):
        for run, way in ways:
            found[run, way].append(turn(run, video, f"openvino {way}", frames, 0)["fps"])
    return {each: statistics.median(speeds) for each, speeds in found.items()}


def reached(folder: Path, way: str, speed: float) -> Point:
    """AUC of a run's test videos."""
    run, bundle = Run.open(folder), Bundle(folder)
    precision, _, every = way.partition("/")
    engine = Engine("openvino", precision, kept=beside(bundle), ranges=ranges_of(run))  # type: ignore[arg-type]
    found, labels = scored(run, bundle, engine, int(every or 1)), labels_of(run)
    paper, causal = (100 * micro_auc(curves, labels) for curves in (found.paper, found.causal))
    return Point(folder.name, way, speed, paper, causal)


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
                    axes.plot(point.speed, auc, WAYS[point.way][0], color=colour, markersize=5)
            axes.set(xscale="log", xlabel="frames a second", ylabel="fused micro-AUC, %", title=title)
            axes.set_xticks([20, 30, 50, 100, 150, 200], ["20", "30", "50", "100", "150", "200"])
            axes.minorticks_off()
            axes.grid(visible=True, linewidth=0.3)
        panels[0].legend(loc="lower left", title="● float32  ▲ bfloat16  ■ int8  ▼ every second")
        save_figure(figure, out)


if __name__ == "__main__":
    main()
