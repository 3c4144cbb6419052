"""Zeros, or random bytes, in recordings: does every frame keep its number, is nothing damaged given out as whole?

    python bench/damage.py [--files 40] [--seed 1] [--noise]

Records 100 frames in MP4, MKV, AVI and TS by H.264, MPEG-4 and MPEG-2, damages copies at random places, and compares
what is read with the whole file. A row a form: files, those read rightly, those refused, frames miscounted, frames that
differ. x264 does not give the same bytes twice, so that figures vary a little.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np

from twostream_vad.errors import TsvadError
from twostream_vad.video.files import VideoFile

FRAMES = 100
SIZES = (200, 1000, 3000, 8000)


def record(path: Path, codec: str) -> None:
    ground = np.random.default_rng(0).integers(60, 180, (64, 96, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 96, 64, "yuv420p", 25
        stream.bit_rate = 2_000_000
        for index in range(FRAMES):
            image = ground.copy()
            image[20:40, index % 70 : index % 70 + 20] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def verdict(path: Path, whole: list[bytes]) -> str:
    try:
        frames = list(VideoFile(path))
    except TsvadError:
        return "refused"
    if len(frames) != FRAMES:
        return "miscounted"
    same = all(frame.lost or frame.image.tobytes() == true for frame, true in zip(frames, whole, strict=True))
    return "right" if same else "differs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=40, help="damaged copies of each form")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", action="store_true", help="random bytes in place of zeros")
    options = parser.parse_args()
    rng, total = np.random.default_rng(options.seed), Counter[str]()
    columns = ("right", "refused", "miscounted", "differs")
    print(f"{'form':18}{'files':>8}" + "".join(f"{name:>12}" for name in columns))
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mp4", "mkv", "avi", "ts"):
            for codec in ("libx264", "mpeg4", "mpeg2video"):
                path, damaged = Path(folder) / f"whole.{kind}", Path(folder) / f"damaged.{kind}"
                record(path, codec)
                whole, told = [frame.image.tobytes() for frame in VideoFile(path)], Counter[str]()
                for _ in range(options.files):
                    data, size = bytearray(path.read_bytes()), int(rng.choice(SIZES))
                    at = int(rng.uniform(0.05, 0.85) * len(data))
                    data[at : at + size] = rng.bytes(size) if options.noise else bytes(size)
                    damaged.write_bytes(data)
                    told[verdict(damaged, whole)] += 1
                total += told
                print(f"{kind + ' ' + codec:18}{options.files:8}" + "".join(f"{told[name]:12}" for name in columns))
    print(f"{'all':18}{sum(total.values()):8}" + "".join(f"{total[name]:12}" for name in columns))


if __name__ == "__main__":
    main()
