"""One folder with every kind of fault that the doctor knows of videos, images and labels: each must be named.

    python bench/faults.py [--keep FOLDER]

Makes the folder (no data are needed), runs the doctor on it, and prints each fault, what is said and the remedy; then
the seconds for 1,000 frames. Exit code 1 where one is not named, where something else is, or over 2 s.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.doctor.examine import examine

Image = NDArray[np.uint8]
Images = list[Image]
SIZE = (240, 320)
FRAMES = 75
SECONDS = 2.0  # for 1,000 frames


def film(seed: int, frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Images:
    """Squares that move before a ground, with the sensor's noise; other squares for another seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    ground = 90 + 30 * np.sin(x / 23) + 20 * np.cos(y / 17)
    start, speed, level = rng.uniform(0, 200, (4, 2)), rng.uniform(-6, 6, (4, 2)), rng.uniform(-60, 90, 4)
    found = []
    for t in range(frames):
        image = ground + rng.normal(0, 2, ground.shape)
        for (top, left), (down, right), step in zip(start, speed, level, strict=True):
            i, j = int(top + down * t) % (size[0] - 50), int(left + right * t) % (size[1] - 50)
            image[i : i + 50, j : j + 50] += step
        found.append(np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return found


def record(
    path: Path,
    images: Images,
    codec: str = "mpeg4",
    rate: int = 25,
    stamps: list[int] | None = None,
    prepare: Callable[[Any], None] = lambda _: None,
    form: str | None = None,
    **options: str,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=form, options=options) as container:
        stream: Any = container.add_stream(codec, rate=1000 if stamps else rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.gop_size = "yuvj420p" if codec == "mjpeg" else "yuv420p", 25
        stream.bit_rate = 3_000_000
        if stamps:
            stream.time_base = Fraction(1, 1000)
        prepare(stream)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def folder(path: Path, images: Images, name: Callable[[int], str] = "{:03d}.png".format) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        cv2.imwrite(str(path / name(index)), image)
    return path


def plant(root: Path) -> Iterator[tuple[str, str]]:
    """Makes the folder; yields each fault's video and kind."""
    train, test = root / "training", root / "testing"
    seeds = iter(range(100))

    def new(frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Images:
        return film(next(seeds), frames, size)

    for number in range(24):  # what most videos are
        record(train / f"fine{number:02d}.mp4", film(200 + number, 60))

    data = bytearray(record(train / "gap.mkv", new()).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    (train / "gap.mkv").write_bytes(data)
    yield "training/gap", "time-gap"

    first = record(root / "a.ts", new(40), output_ts_offset="1000").read_bytes()
    (train / "clock.ts").write_bytes(first + record(root / "b.ts", new(40), output_ts_offset="10").read_bytes())
    (root / "a.ts").unlink()
    (root / "b.ts").unlink()
    yield "training/clock", "clock-set"
    yield "training/clock", "time-gap"  # the packet at the seam

    steps = np.random.default_rng(0).choice([20, 40, 60], FRAMES)
    record(train / "variable.mkv", new(), stamps=np.cumsum(steps).tolist())
    yield "training/variable", "variable-rate"
    record(train / "bare.mjpeg", new(), "mjpeg", form="mjpeg")
    yield "training/bare", "no-rate"
    _two_streams(train / "two.mp4", new(), new(size=(60, 80)))
    yield "training/two", "several-streams"
    record(train / "live.mkv", new(), live="1")
    yield "training/live", "unfinished"
    (train / "clip.xyz").write_bytes(b"video?")
    yield "", "left-out"
    record(train / "small.mp4", new(size=(120, 160)))
    yield "training/small", "mixed-size"
    record(train / "fast.mp4", new(), rate=50)
    yield "training/fast", "mixed-rate"

    def hdr(stream: Any) -> None:
        stream.codec_context.color_trc = 16

    def wide(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    def woven(stream: Any) -> None:
        stream.options = {"x264-params": "interlaced=1:tff=1"}

    record(train / "hdr.mp4", new(), "libx264", prepare=hdr)
    yield "training/hdr", "mixed-hdr"
    record(train / "wide.mp4", new(), prepare=wide)
    yield "training/wide", "mixed-pixels"
    record(train / "lines.mp4", new(), "libx264", prepare=woven)
    yield "training/lines", "interlaced"
    path = record(train / "cut.mp4", new())
    path.write_bytes(path.read_bytes()[:-5000])
    yield "training/cut", "unreadable-video"

    record(train / "black.mp4", [np.zeros_like(film(0, 1)[0])] * 3 + new())
    yield "training/black", "black-start"
    record(train / "dark.mp4", [image // 16 for image in new()])
    yield "training/dark", "dark"
    images = new()
    record(train / "twice.mp4", [*images[:30], images[29], *images[30:]])
    yield "training/twice", "repeated-frame"
    record(train / "still.mp4", [*images[:30], *[images[30]] * 20, *images[30:]])
    yield "training/still", "frozen"

    yield from _plant_images(train, new)
    yield from _plant_labels(root, test, train, new)


def _two_streams(path: Path, large: Images, small: Images) -> None:
    with av.open(str(path), "w") as container:
        pairs: list[tuple[Any, Images]] = [(container.add_stream("mpeg4", rate=25), each) for each in (small, large)]
        for stream, images in pairs:
            stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], "yuv420p"
        for stream, images in pairs:
            for image in images:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())


def _plant_images(train: Path, new: Callable[..., Images]) -> Iterator[tuple[str, str]]:
    place = folder(train / "broken", new())
    (place / "010.png").write_bytes((place / "010.png").read_bytes()[:900])
    (place / "020.png").write_bytes(b"")
    cv2.imwrite(str(place / "030.png"), np.asarray(cv2.imread(str(place / "031.png")))[:100])
    (place / "readme").write_text("what is this?")
    for kind in ("unreadable-frame", "empty-frame", "frame-size", "stray-file"):
        yield "training/broken", kind
    (folder(train / "missing", new()) / "040.png").unlink()
    yield "training/missing", "frame-gap"
    place = folder(train / "copied", new())
    (place / "005 (1).png").write_bytes((place / "005.png").read_bytes())
    yield "training/copied", "frame-number"
    place = folder(train / "padded", new())
    for index in (5, 6, 7):
        (place / f"{index:03d}.png").rename(place / f"{index:02d}.png")
    yield "training/padded", "mixed-padding"
    folder(train / "parts", new(), lambda index: f"part{index // 40}_{index % 40:03d}.png")
    yield "training/parts", "numbering-name"
    folder(train / "fifth", new(), lambda index: f"{5 * index:06d}.png")
    yield "training/fifth", "numbering-step"
    place = train / "deep"
    place.mkdir()
    for index, image in enumerate(new()):
        cv2.imwrite(str(place / f"{index:03d}.png"), image.astype(np.uint16) * 16)
    yield "training/deep", "depth"


def _plant_labels(root: Path, test: Path, train: Path, new: Callable[..., Images]) -> Iterator[tuple[str, str]]:
    truth = (np.arange(FRAMES) > 40).astype(float)
    labels, shown = {}, {}
    for name in ("count", "value", "missing", "normal", "anomalous", "seen"):
        shown[name] = new()
        record(test / f"{name}.mp4", shown[name])
        labels[name] = truth.copy()
    record(train / "seen.mp4", shown["seen"])
    yield "training/seen", "test-in-training"
    record(test / "short.mp4", new(10))
    labels["short"] = truth[36:46]
    yield "testing/short", "short-video"
    labels["count"] = truth[:-1]
    yield "testing/count", "label-count"
    labels["value"][3] = np.nan
    yield "testing/value", "label-value"
    labels["nobody"] = labels.pop("missing")
    yield "testing/missing", "label-missing"
    yield "testing/nobody", "label-unknown"
    labels["normal"][:], labels["anomalous"][:] = 0, 1
    yield "testing/normal", "all-normal"
    yield "testing/anomalous", "all-anomalous"
    np.savez(root / "labels.npz", **labels)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="make the folder here, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary) / "faults"
        planted = list(plant(root))
        report = examine(find_dataset(root))
    said = [*report.findings, *report.notes]
    missed = 0
    for video, kind in planted:
        found = next((one for one in said if (one.video, one.kind) == (video, kind)), None)
        missed += found is None
        text = "NOT NAMED" if found is None else f"{found.severity}: {found.what} → {found.remedy}"
        print(f"{kind:17}{video:22}{text}")
    others = [one for one in said if (one.video, one.kind) not in planted]
    for one in others:
        print(f"ALSO {one.severity} {one.video} {one.kind}: {one.what}")
    speed = 1000 * report.seconds / report.frames
    print(
        f"{len(planted)} planted, {missed} missed, {len(others)} others; {report.frames} frames, {speed:.2f} s a 1,000"
    )
    sys.exit(0 if missed == len(others) == 0 and speed < SECONDS else 1)


if __name__ == "__main__":
    main()
