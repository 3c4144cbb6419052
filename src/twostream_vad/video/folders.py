"""A folder of numbered images as a source of frames."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .images import IMAGE_SUFFIXES, is_image, read_image
from .ranges import Ranges
from .source import DEFAULT_RATE, Frame, VideoError, check_rate, check_skip

_NUMBER = re.compile(r"([0-9]+)[^0-9]*$")


class ImageFolder:
    """Images in the order of the last number in their names, whatever its padding and whatever it starts at.

    Hidden files, other files and folders inside are passed over; the frame after the first ``skip`` has index 0.
    ``rate`` is frames a second. ``read`` keeps nothing between calls, so threads may share one folder. Raises
    VideoError for no folder, no images, a name without a number, a number missing or there twice.
    """

    def __init__(self, path: Path, *, rate: float = DEFAULT_RATE, skip: int = 0) -> None:
        self.path = Path(path)
        self.name = self.path.absolute().name
        self.rate = check_rate(float(rate))
        self.skip = check_skip(skip)
        files = _numbered_images(self.path)
        if skip >= len(files):
            raise VideoError(f"{path} has {len(files)} frames, none after the first {skip}; lower skip")
        self.files = tuple(files[skip:])
        self._times: NDArray[np.float64] | None = None
        self._lost: frozenset[int] = frozenset()

    def place(self, times: NDArray[np.float64] | None, lost: Ranges) -> None:
        """Sets the seconds of each frame, (frames,), None by the rate, and which frames are lost."""
        if times is not None and times.shape != (len(self),):
            raise VideoError(f"{self.path} has {len(self)} frames and {len(times)} times; run `tsvad prepare` again")
        self._times = times
        self._lost = frozenset(frame for first, last in lost for frame in range(first, last + 1))

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

    def read(self, index: int) -> NDArray[np.uint8]:
        """The image of frame ``index``, (H, W, 3) uint8 RGB; VideoError where it cannot be read."""
        if not 0 <= index < len(self.files):
            raise VideoError(f"{self.path} has frames 0 to {len(self.files) - 1}, frame {index} was asked for")
        try:
            return read_image(self.files[index])
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


def _numbered_images(folder: Path) -> list[Path]:
    """The folder's images by number; VideoError where the numbering has a fault."""
    if not folder.exists():
        raise VideoError(f"{folder} does not exist; check the path")
    if not folder.is_dir():
        raise VideoError(f"{folder} is not a folder; give the folder that holds the frames")
    numbered = []
    for file in folder.iterdir():
        if is_image(file) and file.is_file():
            if not (digits := digits_of(file)):
                raise VideoError(
                    f"{file} has no number in its name; name frames by number (000.jpg) or remove the file"
                )
            numbered.append((int(digits), file))
    if not numbered:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise VideoError(f"{folder} holds no images ({kinds}); give the folder that holds one video's frames")
    numbered.sort()
    for (number, file), (next_number, next_file) in pairwise(numbered):
        if next_number == number:
            raise VideoError(
                f"{folder}: {file.name} and {next_file.name} are both frame {number}; "
                f"remove one, or give each video a folder of its own"
            )
        missing = next_number - number - 1
        if missing:
            name = f"{number + 1:0{len(digits_of(file))}d}"  # written as its neighbours are
            raise VideoError(
                f"{folder}: frame {name}{f' and {missing - 1} more are' if missing > 1 else ' is'} missing between "
                f"{file.name} and {next_file.name}; extract the video again, or renumber the frames"
            )
    return [file for _, file in numbered]


def digits_of(file: Path) -> str:
    """The last number in the name as it stands there, padding and all; empty without one."""
    match = _NUMBER.search(file.stem)
    return match[1] if match else ""
