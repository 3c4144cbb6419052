"""Times scoring: context recovery and feature extraction at both sizes, as shares of the measured matrix-product rate.

    python bench/scoring.py

The floor is arithmetic: 2 operations a multiply-add, counted by torch's FlopCounterMode; the machine's rate is that of
a 2048 × 2048 float32 matrix product, measured between the repeats. Medians.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.recipes import load_recipe

SIDE = 2048


def main() -> None:
    """Prints a line a net, size and memory layout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads")
    small = load_recipe("small")
    cases: list[tuple[str, nn.Module, int, int]] = [
        ("STUNet, small", STUNet(small.recovery.width, small.view.size, residual=True), small.view.size, 12),
        ("I3D, small", I3D(small.recovery.width, small.view.size, small.retrieval.cells), small.view.size, 12),
        ("STUNet, paper", STUNet(), 256, 3),
        ("I3D, paper", I3D(), 256, 3),
    ]
    print(f"{'net':16}{'layout':>16}{'GFLOP/crop':>12}{'ms/crop':>10}{'GFLOP/s':>9}{'of matmul':>11}")
    for name, net, size, batch in cases:
        for layout, form in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last_3d)):
            report(name, layout, net.eval().to(memory_format=form), size, batch, form, arguments.repeats)  # type: ignore[call-overload]


def report(
    name: str, layout: str, net: nn.Module, size: int, batch: int, form: torch.memory_format, repeats: int
) -> None:
    """Times one net, the matrix product between its repeats."""
    clips = torch.randn(batch, 3, 8, size, size).contiguous(memory_format=form)
    square = torch.randn(SIDE, SIDE)
    with torch.inference_mode():
        operations = count_operations(net, clips)
        net(clips)
        times, rates = [], []
        for _ in range(repeats):
            rates.append(2 * SIDE**3 / seconds(lambda: square @ square))
            times.append(seconds(lambda: net(clips)))
    took, rate = statistics.median(times), statistics.median(rates)
    achieved = operations / took
    print(
        f"{name:16}{layout:>16}{operations / batch / 1e9:12.2f}{1e3 * took / batch:10.1f}"
        f"{achieved / 1e9:9.1f}{100 * achieved / rate:10.0f}%",
        flush=True,
    )


def count_operations(net: nn.Module, clips: Tensor) -> int:
    """Operations of one forward pass."""
    with FlopCounterMode(display=False) as counter:
        net(clips)
    return int(counter.get_total_flops())


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
