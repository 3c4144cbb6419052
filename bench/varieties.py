"""Plazas that differ as cameras do, for `encoder.py`.

    python bench/varieties.py OUT.png --count 24 --seed 1

Writes a sheet with a picture of each.
"""

import argparse
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from twostream_vad.plaza.plaza import PlazaSettings, render_frames
from twostream_vad.plaza.variety import Pose, Variety, Way
from twostream_vad.video.frames import open_source
from twostream_vad.video.images import encode_jpeg

Image = NDArray[np.uint8]
SHAPES = ((320, 240), (320, 240), (320, 180), (352, 240), (240, 240))
# Of a snippet's frames: what cameras of 5 to 25 frames a second give at intervals of 1 to 4 frames.
RATES = (5.0, 6.25, 7.5, 8.33, 10.0, 12.5)


class Scene(NamedTuple):
    """One camera: what it sees, and what becomes of its pictures."""

    settings: PlazaSettings
    variety: Variety
    gray: bool
    jpeg: int | None  # quality
    h264: int | None  # constant rate factor

    def frames(self) -> Iterator[Image]:
        """(H, W, 3) uint8 RGB each, as they come out of the recording."""
        taken = (frame.image for frame in render_frames(self.settings, "training", 0, self.variety))
        images = (_gray(image) if self.gray else image for image in taken)
        if self.h264 is not None:
            return _through_h264(images, self.settings, self.h264)
        return images if self.jpeg is None else (_through_jpeg(image, self.jpeg) for image in images)


def draw_scene(seed: int, number: int, frames: int) -> Scene:
    """Camera ``number`` of all that ``seed`` gives."""
    rng = np.random.default_rng([seed, 5, number])
    width, height = SHAPES[rng.integers(len(SHAPES))]
    own = int(rng.integers(1, 2**31))
    settings = PlazaSettings(width, height, float(rng.choice(RATES)), frames=frames, seed=own)
    codec, gray = rng.choice(["none", "jpeg", "h264"]), bool(rng.random() < 0.35)
    jpeg = int(rng.integers(35, 95)) if codec == "jpeg" else None
    return Scene(settings, draw_variety(rng), gray, jpeg, int(rng.integers(20, 36)) if codec == "h264" else None)


def draw_variety(rng: np.random.Generator) -> Variety:
    """Camera, ground, crowd, light and sensor at random."""
    shown = float(np.exp(rng.uniform(np.log(4.5), np.log(24))))  # metres across the picture's middle
    pose, aim = _draw_pose(rng, shown)
    usual = rng.random() < 0.25
    kinds = [kind for kind in ("bicycle", "cart", "running") if rng.random() < 0.3]
    tint, wall = (rng.uniform(0.45, 1.15) * rng.uniform(0.88, 1.12, 3) for _ in range(2))
    dark = float(rng.random() ** 2)
    people = float(np.exp(rng.uniform(np.log(2), np.log(30))) * min(1, shown / 12))
    return Variety(
        pose=pose,
        ground=_triple(tint),
        wall=_triple(wall),
        tile=float(np.exp(rng.uniform(np.log(0.25), np.log(6)))),
        lawn=bool(rng.random() < 0.4),
        patches=int(rng.integers(0, 7)),
        props=bool(rng.random() < 0.5),
        people=max(2.0, people),
        stay=max(4.0, shown),
        ways=() if usual else tuple(_draw_way(rng, aim, shown) for _ in range(rng.integers(2, 7))),
        traffic=tuple((kind, float(rng.uniform(0.05, 0.5))) for kind in kinds),
        gain=float(1.15 - 0.65 * dark),
        haze=float(rng.uniform(0, 45) * (rng.random() < 0.5)),
        shade=float(rng.uniform(0, 1.3)),
        noise=float(rng.uniform(0, 4)),
    )


def _draw_pose(rng: np.random.Generator, shown: float) -> tuple[Pose, NDArray[np.float64]]:
    """A pose that shows so many metres, and the spot (2,) in the middle of its picture."""
    aim = rng.uniform((-3, 6), (3, 11))
    turn = float(rng.uniform(-0.7, 0.7))
    pitch = float(rng.uniform(0.2, 1.0))
    slant = shown * float(np.exp(rng.uniform(np.log(1.2), np.log(4))))  # its ratio to what is shown: the lens
    slant = max(slant, 8.0, 3.5 / np.sin(pitch))  # no lower than a hand over a tall man's head
    up, along = 0.9 + slant * np.sin(pitch), slant * np.cos(pitch)
    right, away = aim - along * np.array([np.sin(turn), np.cos(turn)])
    return Pose(float(up), float(-away), float(right), turn, pitch, float(slant / shown / 3.5)), aim


def _draw_way(rng: np.random.Generator, aim: NDArray[np.float64], shown: float) -> Way:
    """A way through the picture, straight or bent, that ends before the building."""
    angle, bend = rng.uniform(0, np.pi), rng.normal(0, 0.35)
    middle = aim + rng.normal(0, 0.22 * shown, 2)
    marks = np.array([-1.6 * shown - 4, -0.3 * shown, 0.3 * shown, 1.6 * shown + 4])
    angles = angle + bend * np.array([-1, 0, 0, 1])
    spots = middle + marks[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return tuple((x, min(y, 14.8 - 0.1 * i)) for i, (x, y) in enumerate(spots.tolist()))


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    r, g, b = values.tolist()
    return r, g, b


def _gray(image: Image) -> Image:
    return np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)[..., None], 3, axis=2)


def _through_jpeg(image: Image, quality: int) -> Image:
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(image, quality), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _through_h264(images: Iterator[Image], settings: PlazaSettings, factor: int) -> Iterator[Image]:
    """Encoded to a file by and by, and decoded again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        with av.open(str(path), "w") as out:
            stream: Any = out.add_stream("libx264", rate=Fraction(settings.rate).limit_denominator(100))
            stream.width, stream.height, stream.pix_fmt = settings.width, settings.height, "yuv420p"
            stream.options = {"crf": str(factor), "preset": "veryfast", "threads": "1"}
            for image in images:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(stream.encode())
        for frame in open_source(path):
            yield frame.image


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pictures = []
    for number in range(options.count):
        scene = draw_scene(options.seed, number, 8)
        (*_, image) = islice(scene.frames(), 6)
        print(number, scene, flush=True)
        pictures.append(cv2.resize(image, (320, 240)))
    rows = [np.hstack(pictures[first : first + 4]) for first in range(0, len(pictures) // 4 * 4, 4)]
    cv2.imwrite(str(options.out), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
