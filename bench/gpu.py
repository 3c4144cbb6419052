"""Everything that wants measuring on a GPU, in one call of under 8 minutes: floor, full size, training, a small fit.

    python bench/gpu.py [--tiny] [--minutes 8] [--plaza FOLDER]

Takes CUDA where there is one, else the CPU. *Floor* is a square matrix product in the same precision; *plain* is the
net as PyTorch's users would write it: no folded norms, no channels-last memory. Nets have random weights of the paper's
size (``--tiny``: a sixteenth of its width, for a look at this script on a CPU). The fit is the demo's recipe on a
rendered plaza; its AUC is the fused one of the plaza's test videos. Where too little time is left it is left out.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.engines.engine import Engine, Precision
from twostream_vad.detector.engines.nets import clip_shape
from twostream_vad.nets.device import pick_device
from twostream_vad.nets.graphs import EncoderGraph, PredictorGraph
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.plaza.plaza import PlazaSettings, render_plaza
from twostream_vad.recipes import load_recipe
from twostream_vad.runs.evaluate import evaluate
from twostream_vad.runs.fit import fit
from twostream_vad.runs.run import Run

PRECISIONS: tuple[tuple[Precision, torch.dtype], ...] = (("fp32", torch.float32), ("bf16", torch.bfloat16))
FIT_SHARE = 0.6  # of the time, which the fit must have left to begin


def main() -> None:
    """Prints a table a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a sixteenth of the paper's width, crops of 128 pixels")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--plaza", type=Path, help="a plaza rendered before; none: one is rendered")
    options = parser.parse_args()
    set_up_process(None)
    device, began = pick_device(), time.monotonic()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}{', tiny' if options.tiny else ''}\n", flush=True)
    width, size, crops = (1 / 16, 128, (1, 3)) if options.tiny else (1.0, 256, (3, 24))
    floors = floor(device, 1024 if options.tiny else 8192)
    scoring(device, width, size, crops, floors)
    training(device, width, size, 2 if options.tiny else 16, floors)
    left = 60 * options.minutes - (time.monotonic() - began)
    if left < FIT_SHARE * 60 * options.minutes:
        print(f"no fit: {left:.0f} s are left")
        return
    small_fit(options.plaza, options.tiny)


def floor(device: torch.device, side: int) -> dict[str, float]:
    """Precision → operations a second of a matrix product."""
    print("| floor | TFLOP/s |\n|---|---|")
    found: dict[str, float] = {}
    for precision, kind in PRECISIONS:
        square = torch.randn(side, side, device=device, dtype=kind)
        found[precision] = 2 * side**3 / seconds(device, lambda square=square: square @ square)  # type: ignore[misc]
        print(f"| {precision}, {side} × {side} | {found[precision] / 1e12:.2f} |", flush=True)
    return found


def scoring(device: torch.device, width: float, size: int, counts: tuple[int, ...], floors: dict[str, float]) -> None:
    """Both nets, a batch of so many crops: plain, and as the engine computes them; the copy to the device counts."""
    print("\n| scoring | crops | plain ms | engine fp32 | engine bf16 | of the bf16 floor |\n|---|---|---|---|---|---|")
    graphs = {
        "STUNet": PredictorGraph(STUNet(width, size)).eval(),
        "I3D": EncoderGraph(I3D(width, size, size // 128), by_place=False).eval(),
    }
    for name, graph in graphs.items():
        computes = {
            precision: Engine("torch", precision, device).compile(graph, clip_shape(size))
            for precision, _ in PRECISIONS
        }
        for count in counts:
            clips = np.random.default_rng(0).standard_normal((count, *clip_shape(size))).astype(np.float32)
            plain = graph.to(device)

            def as_written(clips: np.ndarray = clips, plain: nn.Module = plain) -> object:
                with torch.inference_mode():
                    return plain(torch.from_numpy(clips).to(device)).cpu()

            took = [seconds(device, as_written)]
            took += [seconds(device, lambda c=c, clips=clips: c(clips)) for c in computes.values()]  # type: ignore[misc]
            share = operations(graph, clips, device) / took[2] / floors["bf16"]
            cells = " | ".join(f"{1e3 * each:.1f}" for each in took)
            print(f"| {name} | {count} | {cells} | {100 * share:.0f} % |", flush=True)


def training(device: torch.device, width: float, size: int, batch: int, floors: dict[str, float]) -> None:
    """Steps of STUNet: plain, channels last, and in bfloat16."""
    print("\n| training | batch | ms a step | of its floor |\n|---|---|---|---|")
    clips = torch.randn(batch, *clip_shape(size), device=device)
    work = 3 * operations(STUNet(width, size), clips.cpu().numpy()[:1], device) * batch
    for name, form, precision in (
        ("plain fp32", torch.contiguous_format, "fp32"),
        ("channels last, fp32", torch.channels_last_3d, "fp32"),
        ("channels last, bf16", torch.channels_last_3d, "bf16"),
    ):
        net = STUNet(width, size).to(device, memory_format=form)  # type: ignore[call-overload]
        optimizer, given = torch.optim.Adam(net.parameters()), clips.contiguous(memory_format=form)

        def step(
            net: nn.Module = net,
            optimizer: torch.optim.Optimizer = optimizer,
            given: torch.Tensor = given,
            precision: str = precision,
        ) -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                predicted = net(given)
            loss = F.mse_loss(predicted.float(), given[:, :, -1:])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        took = seconds(device, step)
        print(f"| {name} | {batch} | {1e3 * took:.1f} | {100 * work / took / floors[precision]:.0f} % |", flush=True)


def small_fit(plaza: Path | None, tiny: bool) -> None:
    """The demo's fit, and its AUC."""
    with tempfile.TemporaryDirectory() as folder:
        data = plaza or Path(folder) / "plaza"
        frames = {"training_videos": 3, "testing_videos": 2, "frames": 120} if tiny else {}
        if plaza is None:
            render_plaza(data, PlazaSettings(**frames))
        less = (
            ["recovery.epochs=1", "recovery.draws=4", "pace.epochs=1", "pace.draws=2", "pace.batch=2"] if tiny else []
        )
        run = Run.create(Path(folder) / "run", load_recipe("demo", less), data)
        began = time.monotonic()
        fit(run)
        took = time.monotonic() - began
        record = evaluate(run).record
        fused = record.rows("paper")["fused"].aucs
        print(
            f"\nfit of `demo`: {took:.0f} s; fused micro-AUC {'–' if fused[0] is None else f'{100 * fused[0]:.1f}'} %"
        )


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Median of several calls, after two."""
    took = []
    for turn in range(7):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if turn > 1:
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def operations(net: nn.Module, clips: np.ndarray, device: torch.device) -> float:
    """Of a call, 2 per multiply-add."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.to(device).eval()(torch.from_numpy(clips).to(device))
    return float(counter.get_total_flops())


if __name__ == "__main__":
    main()
