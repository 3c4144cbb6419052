"""Arrays out of files that others made: .npy, .npz and .mat, with nothing in them executed."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetError

MAX_FRAMES = 50_000_000
"""23 days at 25 frames a second: a longer axis is a damaged or a hostile file."""
MAX_BYTES = 2**34

_BROKEN = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, EOFError, MemoryError),
    *(NotImplementedError, RuntimeError, OverflowError, zipfile.BadZipFile, zlib.error, struct.error),
)


def npz_names(path: Path) -> list[str]:
    """The arrays' names. Raises DatasetError where the file is no .npz."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def read_npz(path: Path, name: str) -> NDArray[Any]:
    """One array of numbers. Its header is read first, so that no absurd size is ever allocated."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        with archive.open(info) as member:
            _check_header(member, info.file_size, f"{path}, video {name}")
        with archive.open(info) as member:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            return array


def read_npy(path: Path) -> NDArray[Any]:
    """The array of numbers in the file, mapped: nothing is read before it is looked at."""
    with _reading(path):
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size, str(path))
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """MATLAB's variables. Cell arrays are object arrays of arrays, as scipy parses them."""
    from scipy.io import loadmat  # slow to import, and few label files are MATLAB's

    try:
        variables = loadmat(str(path), appendmat=False)
    except NotImplementedError:
        raise DatasetError(f"{path} is a MATLAB 7.3 file; save it again in MATLAB with save(..., '-v7')") from None
    except Exception as error:  # scipy's parser raises all kinds on damaged files, some of its own
        raise _unreadable(path, error) from None
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def _check_header(file: IO[bytes], size: int, what: str) -> None:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f".npy version {version} is not one that plain numbers are saved in")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise DatasetError(
            f"{what}: holds Python objects (a pickle), which are never loaded;"
            " save plain numbers instead, such as np.asarray(labels, np.uint8) for each video"
        )
    frames, count = (shape[0] if shape else 0), 1
    for side in shape:
        count *= side  # Python's integers: numpy's would overflow on a hostile shape
    if frames > MAX_FRAMES or count * dtype.itemsize > MAX_BYTES:
        raise DatasetError(f"{what}: shape {shape} of {dtype} cannot be labels of a video; write the file again")
    if file.tell() + count * dtype.itemsize > size:
        raise DatasetError(f"{what}: is cut off, shape {shape} needs more than its {size} bytes; copy it again")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever zipfile and numpy raise on a damaged file becomes one DatasetError."""
    try:
        yield
    except DatasetError:
        raise
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> DatasetError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DatasetError(f"{path} cannot be read ({reason}); copy or write it again")
