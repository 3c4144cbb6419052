"""Times the nets by every engine and precision, side by side, beside the floor.

    python bench/engines.py [--pairs 5] [--sizes small paper]

Three crops at once, as of one frame; weights are random. *plain* is torch as it comes, *torch* this program's: norms
folded, channels last in memory. The engines take turns, one call each, so that what else the machine does falls on all
alike; medians. The floor is arithmetic: operations counted by torch's FlopCounterMode (2 a multiply-add) over the rate
of a matrix product of 2048 of the same precision, measured between the turns; a kernel can beat it by a little.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.engines.engine import Engine, EngineError, Name, Precision
from twostream_vad.detector.engines.nets import clip_shape
from twostream_vad.nets.graphs import EncoderGraph, PredictorGraph
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.recipes import load_recipe

CROPS, SIDE = 3, 2048
ENGINES: dict[str, tuple[Name, Precision]] = {
    "torch": ("torch", "fp32"),
    "ONNX Runtime": ("onnx", "fp32"),
    "OpenVINO": ("openvino", "fp32"),
    "torch bf16": ("torch", "bf16"),
    "OpenVINO bf16": ("openvino", "bf16"),
}


def main() -> None:
    """Prints a table of milliseconds, and one of ratios to plain torch and to the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="turns of every engine")
    parser.add_argument("--sizes", nargs="+", choices=["small", "paper"], default=["small", "paper"])
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    set_up_process(options.threads)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "openvino", "onnxruntime"))
    print(f"{versions}; {platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()}; {CROPS} crops\n")
    print(f"| ms | plain | {' | '.join(ENGINES)} | floor fp32 | floor bf16 |\n|{'---|' * (len(ENGINES) + 4)}")
    for name, graph, size in nets(options.sizes):
        took = timed(graph, size, options.pairs)
        cells = [f"{1e3 * took[key]:.1f}" if key in took else "–" for key in ("plain", *ENGINES, "fp32", "bf16")]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        shares = [
            f"{took['plain'] / took[key]:.2f} × plain, {100 * took[precision] / took[key]:.0f} %"
            for key, (_, precision) in ENGINES.items()
            if key in took
        ]
        print(f"|   of plain and of the floor | | {' | '.join(shares)} | | |", flush=True)


def nets(sizes: list[str]) -> list[tuple[str, nn.Module, int]]:
    """Name, graph and crop size of both nets."""
    small, found = load_recipe("small"), list[tuple[str, nn.Module, int]]()
    if "small" in sizes:
        width, size = small.recovery.width, small.view.size
        found.append(("STUNet, `small`", PredictorGraph(STUNet(width, size, residual=True)), size))
        found.append(("I3D, `small`, by place", EncoderGraph(I3D(width, size), by_place=True), size))
    if "paper" in sizes:
        found.append(("STUNet, full size", PredictorGraph(STUNet()), 256))
        found.append(("I3D, full size", EncoderGraph(I3D(), by_place=False), 256))
    return [(name, graph.eval(), size) for name, graph, size in found]


def timed(graph: nn.Module, size: int, pairs: int) -> dict[str, float]:
    """Median seconds of every engine that is here, of plain torch, and of the floors."""
    clips = np.random.default_rng(0).standard_normal((CROPS, 3, 8, size, size)).astype(np.float32)
    works: dict[str, Callable[[], object]] = {"plain": lambda: plain(graph, clips)}
    for key, (name, precision) in ENGINES.items():
        try:
            works[key] = working(Engine(name, precision).compile(graph, clip_shape(size)), clips)
        except EngineError as error:
            print(f"{key}: {error}")
    squares = {
        name: torch.randn(SIDE, SIDE).to(kind) for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }
    works |= {name: working(product, square) for name, square in squares.items()}
    for work in works.values():
        work()
    took: dict[str, list[float]] = {key: [] for key in works}
    for _ in range(pairs):
        for key, work in works.items():
            took[key].append(min(seconds(work) for _ in range(1 if size > 128 and key not in squares else 3)))
    found = {key: statistics.median(each) for key, each in took.items()}
    operations = count_operations(graph, clips)
    return found | {name: operations * found[name] / (2 * SIDE**3) for name in squares}


def working(compute: Callable[..., object], given: object) -> Callable[[], object]:
    """A call of one argument as one of none."""
    return lambda: compute(given)


def product(square: torch.Tensor) -> torch.Tensor:
    """The floor's work."""
    return square @ square


def plain(graph: nn.Module, clips: NDArray[np.float32]) -> torch.Tensor:
    """Torch as it comes."""
    with torch.inference_mode():
        found: torch.Tensor = graph(torch.from_numpy(clips))
        return found


def count_operations(graph: nn.Module, clips: NDArray[np.float32]) -> int:
    """Operations of one forward pass."""
    with FlopCounterMode(display=False) as counter:
        plain(graph, clips)
    return int(counter.get_total_flops())


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
