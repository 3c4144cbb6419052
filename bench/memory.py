"""Peak memory of `tsvad score` on videos of several lengths: it must not grow with them.

    python bench/memory.py RUN --frames 2000 20000 --size 856x480

Writes H.264 videos of a moving scene into a temporary folder, scores each in a process of its own, and prints its peak
resident memory. Exit code 1 where one needs more than --limit, or the longest --growth more than the shortest.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def main() -> None:
    """Prints a line a video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a fitted run")
    parser.add_argument("--frames", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--size", default="856x480", help="width x height in pixels")
    parser.add_argument("--limit", type=float, default=600, help="MB (of a million bytes)")
    parser.add_argument("--growth", type=float, default=50, help="MB from the shortest video to the longest")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for frames in sorted(options.frames):
            video = Path(folder) / f"{frames}.mp4"
            began = time.monotonic()
            write_video(video, frames, width, height)
            print(f"{frames} frames of {width} x {height} written in {time.monotonic() - began:.0f} s", flush=True)
            began = time.monotonic()
            peaks[frames] = score(options.run, video)
            seconds = time.monotonic() - began
            print(f"  peak {peaks[frames]:.0f} MB, {frames / seconds:.1f} frames/s in {seconds:.0f} s", flush=True)
            video.unlink()
    growth = peaks[max(peaks)] - peaks[min(peaks)]
    print(f"limit {options.limit:.0f} MB; growth {growth:+.0f} MB, limit {options.growth:.0f} MB")
    sys.exit(1 if max(peaks.values()) > options.limit or growth > options.growth else 0)


def write_video(path: Path, frames: int, width: int, height: int) -> None:
    """A textured ground over which squares move, 25 frames a second; one frame is held at a time."""
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 160, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    ground = ground.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            image = av.VideoFrame.from_ndarray(scene(ground, index), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def scene(ground: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """One frame, (H, W, 3)."""
    image, (height, width) = ground.copy(), ground.shape[:2]
    for walker in range(6):
        left = (index * (walker + 1) + walker * width // 6) % width
        top = (walker + 1) * height // 8
        image[top : top + height // 8, left : left + width // 20] = 40 * walker
    return image


def score(run: Path, video: Path) -> float:
    """Scores the video in a process of its own; its peak resident memory in MB.

    Linux counts in a child's peak that of the process that started it, so this one must stay small: no torch here.
    """
    code = "from twostream_vad.cli import main; main()"
    out = video.with_suffix(".csv")
    words = [sys.executable, "-c", code, "score", str(run), str(video), "--out", str(out)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"tsvad score ended with {process.returncode}")
    rows = sum(1 for _ in out.open()) - 1
    print(f"  scored: {rows} rows")
    return usage.ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
