"""A folder of numbered images as a source of frames."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from .images import IMAGE_SUFFIXES, is_image, read_image, significant_bits, stored_bits
from .numbering import number_images
from .ranges import Ranges
from .source import DEFAULT_RATE, Frame, VideoError, check_rate, check_skip

A_COPY = "a copy, which a file manager or browser left,"


class ImageFolder:
    """Images in the order of the number in their names (`number_images`), whatever its padding, start and step.

    Hidden files, other files and folders inside are passed over; the frame after the first ``skip`` has index 0.
    ``rate`` is frames a second, ``depth`` the bits of a value that are in use; it is found unless given. Threads may
    share one folder. Raises VideoError for no folder, no images, a name without a number, a number missing or there
    twice, a copy.
    """

    def __init__(self, path: Path, *, rate: float = DEFAULT_RATE, skip: int = 0, depth: int | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.absolute().name
        self.rate = check_rate(float(rate))
        self.skip = check_skip(skip)
        files = _numbered_images(self.path)
        if skip >= len(files):
            raise VideoError(f"{path} has {len(files)} frames, none after the first {skip}; lower skip")
        self.files = files[skip:]
        self._depth, self._finding = depth, Lock()
        self._times: NDArray[np.float64] | None = None
        self._lost: frozenset[int] = frozenset()

    def place(self, times: NDArray[np.float64] | None, lost: Ranges) -> None:
        """Sets the seconds of each frame, (frames,), None by the rate, and which frames are lost."""
        if times is not None and times.shape != (len(self),):
            raise VideoError(f"{self.path} has {len(self)} frames and {len(times)} times; run `tsvad prepare` again")
        self._times = times
        self._lost = frozenset(frame for first, last in lost for frame in range(first, last + 1))

    def first(self, frames: int) -> "ImageFolder":
        """The same folder as far as its first so many frames."""
        part = copy(self)
        part.files, part._depth = self.files[:frames], self.depth
        part._times = None if self._times is None else self._times[:frames]
        return part

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds of each frame, (frames,)."""
        return (np.arange(len(self)) + self.skip) / self.rate if self._times is None else self._times

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Which frames are lost, (frames,)."""
        lost: NDArray[np.bool_] = np.isin(np.arange(len(self)), list(self._lost))
        return lost

    def __len__(self) -> int:
        return len(self.files)

    @property
    def depth(self) -> int:
        """Bits in use in values, 8 to 16: all frames are scaled from these to 8. See `find_depth` for what it costs."""
        with self._finding:  # one of several threads looks
            if self._depth is None:
                self._depth = find_depth(self.files)
            return self._depth

    def read(self, index: int) -> NDArray[np.uint8]:
        """The image of frame ``index``, (H, W, 3) uint8 RGB; VideoError where it cannot be read."""
        if not 0 <= index < len(self.files):
            raise VideoError(f"{self.path} has frames 0 to {len(self.files) - 1}, frame {index} was asked for")
        try:
            return read_image(self.files[index], self.depth)
        except VideoError as error:
            raise VideoError(f"frame {index}: {error}") from error

    def __iter__(self) -> Iterator[Frame]:
        """Raises VideoError at a frame that cannot be read or is not as large as the first."""
        shape: tuple[int, ...] | None = None
        for index, file in enumerate(self.files):
            image = self.read(index)
            shape = shape or image.shape
            if image.shape != shape:
                raise VideoError(
                    f"frame {index}: {file} is {image.shape[1]} x {image.shape[0]} pixels, "
                    f"the frames before it {shape[1]} x {shape[0]}; "
                    f"put each size into a folder of its own, or resize"
                )
            time = (index + self.skip) / self.rate if self._times is None else float(self._times[index])
            yield Frame(index, time, image, index in self._lost)


def find_depth(files: Iterable[Path]) -> int:
    """Bits in use in these images' values, 8 to 16: what the largest value of all takes.

    Where the first image has 8 bits a value, it is 8, and nothing is decoded. Else all are, until one is found that
    uses 16: a sample might miss the brightest, and frames that were given out cannot be scaled anew. Files that cannot
    be read are passed over.
    """
    depth = 0
    for file in files:
        with suppress(VideoError):
            if not depth and stored_bits(file) <= 8:
                return 8
            depth = max(depth, significant_bits(file))
        if depth == 16:
            break
    return max(depth, 8)


def _numbered_images(folder: Path) -> tuple[Path, ...]:
    """The folder's images in order; VideoError where the numbering has a fault."""
    if not folder.exists():
        raise VideoError(f"{folder} does not exist; check the path")
    if not folder.is_dir():
        raise VideoError(f"{folder} is not a folder; give the folder that holds the frames")
    found = number_images(file for file in folder.iterdir() if is_image(file) and file.is_file())
    if found.unnumbered:
        file = found.unnumbered[0]
        raise VideoError(f"{file} has no number in its name; name frames by number (000.jpg) or remove the file")
    if not found.files:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise VideoError(f"{folder} holds no images ({kinds}); give the folder that holds one video's frames")
    if found.copies:
        copy, original = found.copies[0]
        raise VideoError(f"{folder}: {copy.name} is {A_COPY} of {original.name}; remove it")
    number = f" ({found.number})" if found.number else ""
    for place in found.doubled:
        raise VideoError(
            f"{folder}: {found.files[place].name} and {found.files[place + 1].name} are both frame "
            f"{found.numbers[place]}{number}; remove one, or give each video a folder of its own"
        )
    for place, missing in found.gaps:
        # Written as its neighbours are.
        name = f"{found.numbers[place] + found.step:0{len(found.digits[place])}d}"
        raise VideoError(
            f"{folder}: frame {name}{number}{f' and {missing - 1} more are' if missing > 1 else ' is'} missing between "
            f"{found.files[place].name} and {found.files[place + 1].name}; "
            f"extract the video again, or renumber the frames"
        )
    return found.files
