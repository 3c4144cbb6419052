"""Times the scoring of a whole video by several engines, or by another checkout, side by side.

    python bench/speed.py RUN VIDEO [--pairs 5] [--frames 500] [--cores 1] [--before CHECKOUT]

Each turn is a process of its own, so that peak memory is its own too; the ways take turns (A B C, A B C, …), medians.
Decoding, resizing, nets and look-ups are in the time; the start, and the first frames until every net is compiled, are
not. *Waiting* is the share of the time in which no net computes. ``--cores`` binds a turn to so many. ``--before`` is
an older checkout that is timed in the same turns, in the same ways. The video's frames are taken as of the run's own
rate.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
WAYS = {"torch": "torch fp32", "OpenVINO": "openvino fp32", "OpenVINO bf16": "openvino bf16"}
TURN = """
import os, sys
run, video, name, precision, frames, cores = sys.argv[1:]
precision, _, every = precision.partition("/")  # fp32/2: the net tells something of every second frame only
if int(cores):  # before libraries count the cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
import dataclasses, itertools, json, resource, time
from pathlib import Path
from twostream_vad.cli import process
from twostream_vad.detector.bundle import Bundle
from twostream_vad.detector.detector import Detector
from twostream_vad.detector.engines.engine import Engine
from twostream_vad.detector.loading import beside
from twostream_vad.video.frames import open_source

process.set_up_process(int(cores) or None)
engine = Engine(name, precision, kept=beside(Bundle(Path(run))))
if precision == "int8":  # not in older checkouts
    from twostream_vad.runs.ranges import ranges_beside
    engine = dataclasses.replace(engine, ranges=ranges_beside(Bundle(Path(run)).folder))
if hasattr(process, "with_cores"):  # as `tsvad score` does
    shares = process.with_cores.__code__.co_argcount > 1  # not in older checkouts
    engine = process.with_cores(engine, nets=2) if shares else process.with_cores(engine)
    if getattr(Bundle(Path(run)), "has_one_encoder", False):
        engine = dataclasses.replace(engine, at_once=2)
detector = Detector.load(Path(run), engine)
spans = []
if every:
    tell, told = detector.flow.model.tell, []

    def now_and_then(*given):
        told.append(tell(*given) if len(told) % int(every) == 0 else told[-1])
        return told[-1]

    detector.flow.model.tell = now_and_then

def watched(net, attribute="compute"):
    compute = getattr(net, attribute)
    def timed(*given):
        began = time.perf_counter()
        found = compute(*given)
        spans.append((began, time.perf_counter()))
        return found
    setattr(net, attribute, timed)

if getattr(detector, "flow", None):
    watched(detector.flow.model, "see")
    watched(detector.flow.model, "tell")
else:
    watched(detector.streams["recovery"].predictor)
    watched(detector.streams["retrieval"].encoding.encoder)
images = (frame.image for frame in itertools.islice(open_source(Path(video)), int(frames)))
first = list(itertools.islice(images, 24))
detector.score(first)
spans.clear()
began = time.perf_counter()
cpu = time.process_time()
count = len(detector.score(itertools.chain(first, images)).fused)
took, cpu = time.perf_counter() - began, time.process_time() - cpu
busy, until = 0.0, spans[0][0]
for start, end in sorted(spans):
    busy += max(0.0, end - max(start, until))
    until = max(until, end)
told = {"fps": count / took, "cpu": 1e3 * cpu / count, "wait": 1 - busy / (until - min(spans)[0]),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
print(json.dumps(told))
"""


def turn(run: Path, video: Path, engine: str, frames: int, cores: int, source: Path = SOURCE) -> dict[str, float]:
    """Frames a second, CPU milliseconds a frame, share of waiting, and peak memory in MB."""
    words = [sys.executable, "-c", TURN, str(run), str(video), *engine.split(), str(frames), str(cores)]
    environment = os.environ | {"PYTHONPATH": str(source)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints a table, each row's ratio being to the first row in the same turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a fitted run or a detector")
    parser.add_argument("video", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--cores", type=int, default=0, help="0: all")
    parser.add_argument("--before", type=Path, help="another checkout")
    options = parser.parse_args()
    ways = {name: (engine, SOURCE) for name, engine in WAYS.items()}
    if options.before:
        before = {f"before: {name}": (engine, options.before / "src") for name, engine in WAYS.items()}
        ways = before | ways
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for engine, source in ways.values():  # what an engine keeps is made by a process that is not measured
        turn(options.run, options.video, engine, 32, options.cores, source)
    for _ in range(options.pairs):
        for name, (engine, source) in ways.items():
            given = options.run, options.video, engine, options.frames, options.cores, source
            found[name].append(turn(*given))
    cores = options.cores or os.cpu_count()
    print(f"{platform.machine()}, {cores} cores; {options.pairs} turns, {options.frames} frames\n")
    print("| | frames/s | ratio | CPU ms a frame | waiting | peak MB |\n|---|---|---|---|---|---|")
    base = found[next(iter(ways))]
    for name, turns in found.items():
        ratio = statistics.median(own["fps"] / other["fps"] for own, other in zip(turns, base, strict=True))
        fps, cpu, wait, memory = (statistics.median(own[key] for own in turns) for key in turns[0])
        print(f"| {name} | {fps:.1f} | {ratio:.2f} | {cpu:.0f} | {100 * wait:.1f} % | {memory:.0f} |")


if __name__ == "__main__":
    main()
