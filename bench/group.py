"""Several cameras in one group of watchers, pushed in real time: does any fall behind, and how long does a score take?

    python bench/group.py RUN VIDEO [--cameras 8] [--rate 10] [--minutes 10] [--engine openvino] [--precision fp32]

Each camera is a thread that decodes the video, from a place of its own and again from the start, and pushes a frame
every 1 / rate seconds by the wall clock, whether or not earlier ones have scores. *Latency* is from push to score.
A camera *falls behind* where frames wait longer the longer it runs: the table has the medians of the first and of the
last minute, and the most that ever waited. Exit code 1 where a push came late by a frame or frames were left over.
"""

import argparse
import os
import platform
import resource
import sys
import threading
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from twostream_vad.cli.process import set_up_process, with_cores
from twostream_vad.detector.bundle import Bundle
from twostream_vad.detector.detector import Detector
from twostream_vad.detector.engines.engine import Engine
from twostream_vad.detector.group import Group, Member
from twostream_vad.detector.loading import beside
from twostream_vad.video.frames import open_source

WARM_SECONDS = 5.0  # nets are compiled for each number of frames at once


@dataclass
class Camera:
    """What became of a camera's frames: seconds of each push since the start, and from push to score."""

    pushed: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    late: float = 0.0  # seconds, at most, that a push came after its time: decoding was too slow
    waiting: int = 0  # frames, at most, that had no score yet


def main() -> None:
    """Prints a row a camera, and one of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a fitted run or a detector")
    parser.add_argument("video", type=Path)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second of each")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--engine", choices=["openvino", "torch", "onnx"], default="openvino")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    set_up_process(None)
    engine = with_cores(Engine(options.engine, options.precision, kept=beside(Bundle(options.run))))
    detector, cameras = Detector.load(options.run, engine), [Camera() for _ in range(options.cameras)]
    with Group(detector) as group:
        members = [group.watch(options.rate) for _ in cameras]
        warm_up(members, options.video)
        start, cpu = time.monotonic() + 0.5, time.process_time()
        threads = [
            threading.Thread(target=run, args=(camera, member, place, start, options))
            for place, (camera, member) in enumerate(zip(cameras, members, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        cpu = time.process_time() - cpu
    seconds = 60 * options.minutes
    frames = sum(len(camera.latency) for camera in cameras)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {options.engine} "
        f"{version(options.engine.replace('onnx', 'onnxruntime'))}, {options.precision}; {options.cameras} cameras at "
        f"{options.rate:g} frames/s, {options.minutes:g} minutes: {frames} frames, {cpu / seconds:.2f} cores busy, "
        f"peak {memory:.0f} MB\n"
    )
    print(
        "| camera | frames | latency ms: median | 99 % | most | first minute | last minute | most waiting | late ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for place, camera in enumerate(cameras):
        print(row(str(place + 1), [camera]))
    print(row("all", cameras))
    left_over = any(len(camera.latency) < len(camera.pushed) for camera in cameras)
    sys.exit(int(left_over or any(camera.late > 1 / options.rate for camera in cameras)))


def warm_up(members: list[Member], video: Path) -> None:
    """Has every size of batch compiled before anything is measured."""
    frame, until = next(iter(open_source(video))).image, time.monotonic() + WARM_SECONDS
    while time.monotonic() < until:
        for count in range(1, len(members) + 1):
            for score in [member.push(frame) for member in members[:count]]:
                score.result()


def run(camera: Camera, member: Member, place: int, start: float, options: argparse.Namespace) -> None:
    """Decodes and pushes in real time; cameras push at moments of their own."""
    step, frames = 1 / options.rate, int(60 * options.minutes * options.rate)
    images, shift = iter(open_source(options.video)), place * step / options.cameras
    for _ in range(25 * place):  # another part of the video
        next(images)
    waiting, lock = 0, threading.Lock()
    for index in range(frames):
        frame = next(images, None)
        if frame is None:
            images = iter(open_source(options.video))
            frame = next(images)
        due = start + shift + index * step
        time.sleep(max(0.0, due - time.monotonic()))
        pushed = time.monotonic()
        camera.late = max(camera.late, pushed - due)
        with lock:
            waiting += 1
            camera.waiting = max(camera.waiting, waiting)
        camera.pushed.append(pushed - start)

        def told(_: object, pushed: float = pushed) -> None:
            nonlocal waiting
            with lock:
                waiting -= 1
                camera.latency.append(time.monotonic() - pushed)

        score = member.push(frame.image)
        score.add_done_callback(told)
    score.result()


def row(name: str, cameras: list[Camera]) -> str:
    """Of one camera, or of all together."""
    latency = 1e3 * np.concatenate([camera.latency for camera in cameras])
    pushed = np.concatenate([camera.pushed[: len(camera.latency)] for camera in cameras])
    first, last = (np.median(latency[chosen]) for chosen in (pushed < 60, pushed > pushed.max() - 60))
    median, most = np.percentile(latency, [50, 99])
    cells = [f"{value:.1f}" for value in (median, most, latency.max(), first, last)]
    waiting, late = max(camera.waiting for camera in cameras), 1e3 * max(camera.late for camera in cameras)
    return f"| {name} | {len(latency)} | {' | '.join(cells)} | {waiting} | {late:.1f} |"


if __name__ == "__main__":
    main()
