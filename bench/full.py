"""What bfloat16 costs at the paper's size: AUC of both nets, of fixed weights, on frames of Ped2's test videos.

    python bench/full.py RUN [--frames 300] [--training 40]

RUN is any run on Ped2, for its frames and labels. No weights of that size come with this program: both nets have random
ones (seed 0), which is enough to see what rounding does, not what the nets are worth. Context recovery is the largest
local error (window 64) of the frame after eight; knowledge retrieval the distance of a snippet's feature, the mean over
crops, to the nearest of ``--training`` normal ones. AUC in %, micro, of raw scores; *largest* is the largest difference
of a score over the largest score.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.engines.engine import Engine, Precision
from twostream_vad.detector.engines.nets import clip_shape
from twostream_vad.evaluation.auc import roc_auc
from twostream_vad.nets.graphs import EncoderGraph, PredictorGraph
from twostream_vad.nets.i3d import I3D
from twostream_vad.nets.stunet import STUNet
from twostream_vad.recovery.error import local_errors
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.run import Run
from twostream_vad.runs.videos import training_videos
from twostream_vad.video.source import Frame
from twostream_vad.video.views import Views

SIZE, LENGTH, WINDOW = 256, 8, 64
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
Floats = NDArray[np.float64]


def main() -> None:
    """Prints a row a net."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--training", type=int, default=40, help="normal snippets")
    options = parser.parse_args()
    set_up_process(None)
    torch.manual_seed(0)
    nets = PredictorGraph(STUNet()).eval(), EncoderGraph(I3D(), by_place=False).eval()
    engines = [Engine("openvino", precision) for precision in PRECISIONS]
    works = [[engine.compile(net, clip_shape(SIZE)) for engine in engines] for net in nets]
    run, began = Run.open(options.run), time.monotonic()
    normal = []
    per_video = -(-options.training // len(training_videos(run)))
    for video in training_videos(run).values():
        every = max(1, (len(video) - LENGTH) // per_video)
        normal += [clip for number, (clip, _) in enumerate(snippets(video, SIZE)) if number % every == 0][:per_video]
    known = [np.stack([work(clip) for clip in normal[: options.training]])[:, :, 0] for work in works[1]]
    errors: list[list[float]] = [[], []]
    distances: list[list[float]] = [[], []]
    truth: list[bool] = []
    labels = labels_of(run)
    for test in run.dataset.testing:
        for number, (clip, following) in enumerate(snippets(test.open(), SIZE)):
            if len(truth) == options.frames:
                break
            truth.append(bool(labels[test.name][number + LENGTH]))
            for way in range(2):
                predicted = torch.from_numpy(works[0][way](clip))
                found = local_errors(predicted, following, [WINDOW])[WINDOW][:, 0]
                errors[way].append(float(found.flatten(1).amax(1).mean()))
                gaps = np.linalg.norm(known[way] - works[1][way](clip)[None, :, 0], axis=2)
                distances[way].append(float(gaps.mean(1).min()))
            took = time.monotonic() - began
            print(f"\r{len(truth)}/{options.frames} frames, {took:.0f} s", end="", flush=True)
    print(f"\nopenvino {version('openvino')}; {len(truth)} frames, {sum(truth)} of them anomalous\n")
    print("| | fp32 | bf16 | difference | largest |\n|---|---|---|---|---|")
    for title, (full, half) in {"context recovery": errors, "knowledge retrieval": distances}.items():
        one, other = (100 * roc_auc(np.array(scores), np.array(truth)) for scores in (full, half))
        largest = np.abs(np.subtract(full, half)).max() / np.max(full)
        print(f"| {title} | {one:.2f} | {other:.2f} | {other - one:+.2f} | {largest:.1e} |")


def snippets(video: Iterable[Frame], size: int) -> Iterator[tuple[NDArray[np.float32], torch.Tensor]]:
    """Eight frames' crops, (3, 3, 8, S, S), and those of the next frame, (3, 3, S, S)."""
    views, seen = Views(size), deque[torch.Tensor](maxlen=LENGTH)
    for frame in video:
        now = views.scored(frame.image)
        if len(seen) == LENGTH:
            yield torch.stack(list(seen), dim=2).numpy(), now
        seen.append(now)


if __name__ == "__main__":
    main()
