"""What is kept of a frame, under 1 KB, to find repeats, black frames, jumps, and test video inside training.

The camera stands still, so any two of its pictures look alike. What tells one moment from another is what
moves: the change over LAG frames, in which the background cancels. Copies are frames that change alike.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 36, 24

LAG = 8  # frames between the two pictures whose difference is compared
MATCH = 0.9
"""Correlation of two changes from which they count as the same. Copies saved as JPEG of quality 50 keep above
0.98; different moments of one camera (UCSD Ped2) stay below 0.4 over a run."""
RUN = 12
"""Matching changes in a row that make a copy. More than LAG: one event, such as a lamp that is switched on or
a digit of a burnt-in clock, shows in LAG changes and may well be the same in two videos."""

_STRIDE = 4  # of the test frames, one in four looks for its match: three in every run
_CHUNK = 2048  # frames in memory as floats, 7 MB, and their correlations, 16 MB
_AROUND = 7
_STANDS_OUT = 1.15  # right for 99 of 100 single frames that were taken out of Ped2, silent for 7 of 100
_SEARCHED = 100
_FLOOR = 12.0  # norm of the rounding error of a change: 0.41 levels in each of 864 cells

Pictures = NDArray[np.uint8]  # (frames, HEIGHT, WIDTH): each frame in gray, every pixel the mean of its cell
FRAME = np.dtype([("digest", "u8"), ("size", "i4", 2), ("change", "f8"), ("picture", "u1", (HEIGHT, WIDTH))])
"""What is kept of a frame: a hash of its very pixels, height and width, mean change of a pixel since the frame
before in gray levels, and its picture."""


class Fingerprints:
    """Fingerprints of a video's frames in order, 888 bytes each, also of those that cannot be read."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._last: NDArray[np.uint8] | None = None

    def add(self, image: NDArray[np.uint8] | None) -> None:
        """The next frame, (H, W, 3) RGB; None for one that cannot be read."""
        frame, gray = np.zeros((), FRAME), None  # hash 0, size 0 x 0, a black picture
        frame["change"] = np.inf
        if image is not None:
            gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            if self._last is not None and self._last.shape == gray.shape:
                frame["change"] = cv2.norm(gray, self._last, cv2.NORM_L1) / gray.size
            digest = blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
            frame["digest"] = int.from_bytes(digest, "big") or 1
            frame["size"], frame["picture"] = gray.shape, small(gray)
        self._kept += frame.tobytes()
        self._last = gray

    def __len__(self) -> int:
        return len(self._kept) // FRAME.itemsize

    @property
    def frames(self) -> NDArray[np.void]:
        """(frames,) of FRAME, a view: add none while it is in use."""
        return np.frombuffer(self._kept, FRAME)

    @property
    def pictures(self) -> Pictures:
        """The frames' own, a view too."""
        return np.asarray(self.frames["picture"])


def small(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) -> (HEIGHT, WIDTH)."""
    return np.asarray(cv2.resize(gray, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), dtype=np.uint8)


class Copy(NamedTuple):
    """``frames`` frames of test video ``test`` from ``test_start`` on, found again in ``training``."""

    training: int
    training_start: int
    test: int
    test_start: int
    frames: int
    correlation: float


def find_copies(training: Sequence[Pictures], testing: Sequence[Pictures]) -> list[Copy]:
    """Every stretch of a test video that also is in a training video, played at the same speed.

    It survives encoding anew, scaling and changes of brightness; mirrored or cropped copies are not found,
    nor stretches in which nothing moves or shorter than RUN + LAG frames.
    """
    tests = [_Film(pictures) for pictures in testing]
    found = []
    for number, film in enumerate(map(_Film, training)):
        for test, counts in enumerate(_candidates(film, tests)):
            runs = [
                Copy(number, start + offset, test, start, frames, correlation)
                for offset, count in counts.items()
                if count > 1
                for start, frames, correlation in _runs(film, tests[test], offset)
            ]
            found += _best(runs)
    return found


def jump(pictures: Pictures) -> int | None:
    """The frame before the one greatest change between neighbours: where a frame is most likely missing.

    None where no change stands out. Each is measured against the median of those around it. A missing frame
    is not told apart from a quick movement: look for it only where one is known to miss.
    """
    if len(pictures) < 2 * _AROUND:
        return None
    steps = (after.astype(np.float32) - before for before, after in pairwise(pictures))
    change = np.array([np.linalg.norm(step - step.mean()) for step in steps])
    near = [np.median(change[max(0, i - _AROUND) : i + _AROUND + 1]) for i in range(len(change))]
    relative = change / np.maximum(near, 1.0)
    second, first = np.sort(relative)[-2:]
    return int(np.argmax(relative)) if first > _STANDS_OUT * second else None


def ends(ours: Pictures, theirs: Pictures) -> tuple[int, int]:
    """How many more frames a second decoder gave at each end of the same video: wherever the pictures fit best."""
    more = len(theirs) - len(ours)

    def misfit(shift: int) -> float:
        a, b = (ours, theirs[shift:]) if shift >= 0 else (ours[-shift:], theirs)
        length = min(len(a), len(b), 100)
        return float(np.mean(np.abs(a[:length].astype(np.int16) - b[:length])))

    shifts = range(min(more, 0), max(more, 0) + 1) if abs(more) <= _SEARCHED else (0, more)
    start = min(shifts, key=lambda shift: (misfit(shift), abs(shift)))
    return start, more - start


class _Film:
    """A video's pictures, and a basis (cells, 4) of what moves nothing: brightness, contrast, the camera's shaking."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        mean = pictures.mean(axis=0, dtype=np.float64) if len(pictures) else np.zeros((HEIGHT, WIDTH))
        down, right = np.gradient(mean)
        parts = np.stack([np.ones_like(mean), mean, down, right], axis=-1).reshape(-1, 4)
        self.basis = np.asarray(np.linalg.qr(parts)[0], dtype=np.float32)

    def motion(self, starts: NDArray[np.intp]) -> NDArray[np.float32]:
        """(starts, cells): the change over LAG frames from each start, of norm 1, or 0 where nothing moves."""
        change = self.pictures[starts + LAG].astype(np.float32) - self.pictures[starts]
        change = change.reshape(len(starts), WIDTH * HEIGHT)
        change -= (change @ self.basis) @ self.basis.T
        norm = np.linalg.norm(change, axis=1, keepdims=True)
        change *= np.where(norm > _FLOOR, 1 / np.maximum(norm, _FLOOR), 0)
        return change


def _chunks(first: int, last: int, stride: int = 1) -> Iterator[NDArray[np.intp]]:
    starts = np.arange(first, last, stride, dtype=np.intp)
    for begin in range(0, len(starts), _CHUNK):
        yield starts[begin : begin + _CHUNK]


def _candidates(film: _Film, tests: Sequence[_Film]) -> list[Counter[int]]:
    """For each test video: offset in frames -> how many of its frames match best that much later."""
    offsets: list[Counter[int]] = [Counter() for _ in tests]
    for starts in _chunks(0, len(film.pictures) - LAG):
        motion = film.motion(starts)
        for test, looked in enumerate(tests):
            for looking in _chunks(0, len(looked.pictures) - LAG, _STRIDE):
                correlation = looked.motion(looking) @ motion.T
                best = correlation.argmax(axis=1)
                alike = correlation[np.arange(len(best)), best] > MATCH
                offsets[test].update((starts[best] - looking)[alike].tolist())
    return offsets


def _runs(film: _Film, test: _Film, offset: int) -> Iterator[tuple[int, int, float]]:
    """Stretches of the test video that match ``offset`` frames later: first frame, frames, correlation."""
    first = max(0, -offset)
    last = min(len(test.pictures), len(film.pictures) - offset) - LAG
    pairs = [(test.motion(starts) * film.motion(starts + offset)).sum(axis=1) for starts in _chunks(first, last)]
    correlation = np.concatenate(pairs) if pairs else np.empty(0, dtype=np.float32)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], correlation > MATCH, [False]])))
    for begin, end in edges.reshape(-1, 2).tolist():
        if end - begin >= RUN:
            yield first + begin, end - begin + LAG, float(correlation[begin:end].mean())


def _best(runs: list[Copy]) -> list[Copy]:
    """The better of runs that claim the same training frames: a frame earlier or later fits too, but less."""
    chosen: list[Copy] = []
    for run in sorted(runs, key=lambda run: run.frames * run.correlation, reverse=True):
        end = run.training_start + run.frames
        if not any(run.training_start < c.training_start + c.frames and c.training_start < end for c in chosen):
            chosen.append(run)
    return sorted(chosen, key=lambda run: run.training_start)
