"""CPU milliseconds a frame by part, of scoring a video on one core: decoding, resizing, nets, tables.

    python bench/parts.py RUN VIDEO [--engine openvino] [--precision fp32] [--frames 500] [--turns 5]

A watcher is given frame after frame, all in one thread and bound to one core, so that the parts add up. Each part is a
median over turns of the CPU time in it, less that of parts inside; *rest* is all else: buffers, clock, smoothing, and
what FFmpeg's own threads decode ahead.
"""

import argparse
import itertools
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from twostream_vad.cli.process import set_up_process
from twostream_vad.detector.bundle import Bundle
from twostream_vad.detector.detector import Detector
from twostream_vad.detector.engines.engine import Engine
from twostream_vad.detector.loading import beside
from twostream_vad.video.frames import open_source
from twostream_vad.video.views import Views

WARM = 40  # frames before anything is measured


class Clockwork:
    """CPU seconds by part; what is measured inside another part is not the other's."""

    def __init__(self) -> None:
        self.took, self._inside = defaultdict[str, float](float), [0.0]

    def wrap(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, measured."""

        def measured(*given: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.process_time()
            found = work(*given, **named)
            took = time.process_time() - began
            self.took[part] += took - self._inside.pop()
            self._inside[-1] += took
            return found

        return measured

    def watch(self, part: str, owner: Any, name: str) -> None:
        """Measures a method of an object, or of all objects of a class."""
        setattr(owner, name, self.wrap(part, getattr(owner, name)))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a fitted run or a detector")
    parser.add_argument("video", type=Path)
    parser.add_argument("--engine", choices=["openvino", "torch", "onnx"], default="openvino")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--frames", type=int, default=500, help="of a turn")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    set_up_process(1)
    engine = Engine(options.engine, options.precision, kept=beside(Bundle(options.run)), threads=1)
    detector, clockwork = Detector.load(options.run, engine), Clockwork()
    clockwork.watch("resize, crops", Views, "scored")
    if detector.flow is not None:
        clockwork.watch("nets: each frame", detector.flow.model, "see")
        clockwork.watch("nets: head", detector.flow.model, "tell")
    else:
        clockwork.watch("nets: STUNet", detector.streams["recovery"].predictor, "compute")  # type: ignore[attr-defined]
        clockwork.watch("nets: I3D", detector.streams["retrieval"].encoding.encoder, "compute")  # type: ignore[attr-defined]
    clockwork.watch("local errors", detector.streams["recovery"], "score")
    clockwork.watch("tables", detector.streams["retrieval"], "score")
    turns: list[dict[str, float]] = []
    for _ in range(options.turns):
        turns.append(turn(detector, options.video, options.frames, clockwork))
    machine = (
        f"{platform.machine()}, one core; {options.engine} {version(options.engine.replace('onnx', 'onnxruntime'))}"
    )
    print(f"{machine}, {options.precision}; {options.turns} turns of {options.frames} frames\n")
    print("| part | CPU ms a frame |\n|---|---|")
    for part in turns[0]:
        print(f"| {part} | {1e3 * statistics.median(each[part] for each in turns):.2f} |")


def turn(detector: Detector, video: Path, frames: int, clockwork: Clockwork) -> dict[str, float]:
    """Part → CPU seconds a frame, *all* last."""
    watcher, images = detector.watch(detector.rate), iter(open_source(video))
    read: Callable[[], Any] = clockwork.wrap("decode", lambda: next(images, None))
    for frame in itertools.islice(images, WARM):
        watcher.push(frame.image)
    clockwork.took.clear()
    count, began = 0, time.process_time()
    while count < frames and (frame := read()) is not None:
        watcher.push(frame.image)
        count += 1
    whole = time.process_time() - began
    found = {part: seconds / count for part, seconds in clockwork.took.items()}
    return found | {"rest": whole / count - sum(found.values()), "all": whole / count}


if __name__ == "__main__":
    main()
