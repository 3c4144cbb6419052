"""Arrays out of files that others made, .npy and .npz, with nothing in them executed."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetError

MAX_FRAMES = 50_000_000  # 23 days at 25 frames a second: a longer axis is a damaged or a hostile file
MAX_BYTES = 2**34  # of an array that is mapped
MAX_UNPACKED = 2**30  # of one that lies in memory: a video's masks, ShanghaiTech's longest, have 0.7 GB


def npz_names(path: Path) -> list[str]:
    """The arrays' names. Raises DatasetError where the file is no .npz."""
    with reading(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def read_npz(path: Path, name: str) -> NDArray[Any]:
    """One array of numbers. Its header is read first, so that no absurd size is ever allocated."""
    with reading(path), zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        _check_header(member, archive.getinfo(f"{name}.npy").file_size, f"{path}, video {name}", MAX_UNPACKED)
        member.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        return array


def read_npy(path: Path) -> NDArray[Any]:
    """The array of numbers in the file, mapped: nothing is read before it is looked at."""
    with reading(path):
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size, str(path), MAX_BYTES)
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def _check_header(file: IO[bytes], size: int, what: str, most: int) -> None:
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
    needed = prod(shape) * dtype.itemsize  # Python's integers: numpy's would overflow on a hostile shape
    shown = f"shape {str(shape)[:100]} of {str(dtype)[:100]}"
    if (shape and shape[0] > MAX_FRAMES) or needed > MAX_BYTES:
        raise DatasetError(f"{what}: {shown} cannot be labels of a video; write the file again")
    if needed > most:
        raise DatasetError(f"{what}: {shown} is too much to unpack; save each video's as an .npy, which is mapped")
    if file.tell() + needed > size:
        raise DatasetError(f"{what}: is cut off, {shown} needs more than its {size} bytes; copy it again")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever zipfile, numpy and scipy raise on a damaged file, all kinds, becomes one DatasetError."""
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise DatasetError(f"{path} cannot be read ({reason}); copy or write it again") from None
