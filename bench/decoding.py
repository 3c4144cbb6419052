"""How fast frames come off the disk and into the nets' form.

    python bench/decoding.py

Times an image folder, a video file, and both sizes of views. It writes its own 856 x 480 clip (H.264,
2 Mbit/s) and JPEG folder into a temporary folder: moving bars under noise. MB/s are of decoded RGB pixels.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from twostream_vad.video.frames import count_frames, open_source
from twostream_vad.video.views import Views

WIDTH, HEIGHT = 856, 480


def scene(index: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: a slope, three bars that walk, sensor noise."""
    rng = np.random.default_rng(index)
    image = np.linspace(60, 180, HEIGHT)[:, None, None] + np.linspace(-30, 30, WIDTH)[None, :, None]
    image = image + rng.normal(0, 3, (HEIGHT, WIDTH, 1)) + np.zeros(3)
    for bar, speed in enumerate((3, 5, 9)):
        left = (200 * bar + speed * index) % (WIDTH - 40)
        image[150 + 40 * bar : 350 + 40 * bar, left : left + 40, bar] += 60
    return image.clip(0, 255).astype(np.uint8)


def write_images(folder: Path, frames: int) -> None:
    folder.mkdir()
    for index in range(frames):
        bgr = cv2.cvtColor(scene(index), cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        (folder / f"{index:04d}.jpg").write_bytes(data.tobytes())


def write_video(file: Path, frames: int) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 2_000_000
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(index), format="rgb24")))
        container.mux(stream.encode())


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of ``work``, after one run to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def view_all(views: Views, images: list[NDArray[np.uint8]]) -> None:
    for image in images:
        views.scored(image)


def line(what: str, frames: int, taken: float) -> None:
    megabytes = frames * HEIGHT * WIDTH * 3 / 1e6
    print(f"{what:28s} {frames / taken:8.1f} frames/s {megabytes / taken:8.1f} MB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=150, help="length of the clip and the folder")
    parser.add_argument("--repeats", type=int, default=5, help="the median of these is printed")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads; the decoder has its own two")
    options = parser.parse_args()
    if options.frames < 1 or options.repeats < 1 or options.threads < 1:
        parser.error("--frames, --repeats and --threads must be 1 or more")
    torch.set_num_threads(options.threads)
    print(f"{WIDTH} x {HEIGHT}, {options.frames} frames, median of {options.repeats}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as temporary:
        folder, file = Path(temporary) / "images", Path(temporary) / "clip.mp4"
        write_images(folder, options.frames)
        write_video(file, options.frames)
        for what, path in (("decode a JPEG folder", folder), ("decode an H.264 file", file)):
            source = open_source(path)
            line(what, options.frames, seconds(partial(count_frames, source), options.repeats))
        images = [frame.image for _, frame in zip(range(20), open_source(file), strict=False)]
    for size in (128, 256):
        views = Views(size)
        taken = seconds(partial(view_all, views, images), options.repeats)
        line(f"views.scored at {size}", len(images), taken)


if __name__ == "__main__":
    main()
