"""The reader of training clips against reading every frame anew."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.video.clips import ClipReader
from twostream_vad.video.views import Region, Views

VIEWS = Views(16, (Region(0, 0, 20, 20), Region(4, 2, 30, 18)))
PICTURES = (16 * 16 + 16 * 26) * 3 * 4
"""Bytes of a frame's two regions, resized."""


@dataclass
class Film:
    path: Path
    reads: Counter[int] = field(default_factory=Counter)

    def read(self, index: int) -> NDArray[np.uint8]:
        self.reads[index] += 1
        rng = np.random.default_rng([int(self.path.name), index])
        return rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)


def films() -> list[Film]:
    return [Film(Path(str(number))) for number in range(3)]


@pytest.mark.parametrize("kept", [0, 3 * PICTURES, 1 << 20])
def test_the_same_clips_whatever_is_kept_and_in_whatever_order_threads_ask(kept: int) -> None:
    rng = np.random.default_rng(0)
    asked = [(int(rng.integers(3)), int(rng.integers(6)), float(rng.random())) for _ in range(60)]
    reader, read = ClipReader(VIEWS, kept), films()
    with ThreadPoolExecutor(4) as pool:
        clips = list(pool.map(lambda ask: reader.drawn(read[ask[0]], range(ask[1], ask[1] + 5, 2), ask[2]), asked))
    for (film, start, u), clip in zip(asked, clips, strict=True):
        assert torch.equal(clip, ClipReader(VIEWS).drawn(films()[film], range(start, start + 5, 2), u))


def test_a_frame_that_is_kept_is_read_once() -> None:
    reader, (film, *_) = ClipReader(VIEWS), films()
    for u in (0.1, 0.3, 0.45):
        reader.drawn(film, (3, 4), u)  # of the first region
    assert film.reads == {3: 2, 4: 1}  # the first once more, for the video's size
    reader.drawn(film, (3, 4), 0.9)
    assert film.reads == {3: 3, 4: 2}


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    two = 2 * 16 * 16 * 3 * 4
    reader, (film, *_) = ClipReader(VIEWS, two), films()
    for frame in (0, 1, 0, 2):
        reader.drawn(film, (frame,), 0.0)
    film.reads.clear()
    for frame in (0, 2, 1):
        reader.drawn(film, (frame,), 0.0)
    assert film.reads == {1: 1}
