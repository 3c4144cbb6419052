"""MATLAB's files, read in a process of their own: scipy and HDF5 have been seen to crash on damaged ones."""

import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .arrays import MAX_UNPACKED, reading
from .errors import DatasetError
from .matlab73 import h5py_for, read_mat73

WANTED = ("volLabel", "gt")
SECONDS = 300.0
REFUSED = 2  # the child's exit code; what it says is the reason
COMPRESSED = 15  # the data type of an element that zlib packed
VERSIONS_73 = (b"\x00\x02IM", b"\x02\x00MI")  # the header's last bytes, by the order of bytes

Variables = Mapping[str, NDArray[Any]]


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """The variables by name: of those WANTED numbers, or object arrays of arrays for cells; of others an empty array.

    DatasetError for damage, for more than memory should hold, and for a 7.3 file without h5py.
    """
    with reading(path), TemporaryDirectory() as folder:
        _check_unpacked(path)
        if _is_73(path):
            h5py_for(path)
        out = Path(folder) / "variables.npz"
        words = [sys.executable, "-m", __name__, str(path.absolute()), str(out)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise DatasetError(f"{path} takes longer than {SECONDS:g} s to read; save it again") from None
        if done.returncode == REFUSED:
            raise DatasetError(done.stderr.strip())
        if done.returncode:
            raise DatasetError(f"{path} cannot be read (its reader came to harm); copy or write it again")
        with np.load(out, allow_pickle=False) as file:
            return _joined({name: file[name] for name in file.files})


def main(path: Path, out: Path) -> None:
    """Reads a file and writes its variables as numbers alone; exit code 2 with a line where it is refused."""
    from scipy.io import loadmat

    try:
        with reading(path):
            try:
                variables = loadmat(str(path), appendmat=False)
            except NotImplementedError:
                variables = read_mat73(path, WANTED)
            np.savez(out, **_parted({name: value for name, value in variables.items() if not name.startswith("__")}))
    except DatasetError as error:
        sys.stderr.write(str(error))
        sys.exit(REFUSED)


def _parted(variables: Variables) -> dict[str, Any]:
    """Cells as their shape and their arrays: ``name/shape``, ``name/0`` and so on; names of what is not WANTED."""
    found: dict[str, Any] = {"names": np.array([name for name in variables if name not in WANTED], np.str_)}
    for name in variables.keys() & set(WANTED):
        value = variables[name]
        if value.dtype != object:
            found[name] = _plain(value)
        else:
            found[f"{name}/shape"] = np.array(value.shape, np.int64)
            found |= {f"{name}/{place}": _plain(np.asarray(cell)) for place, cell in enumerate(value.ravel())}
    return found


def _plain(value: NDArray[Any]) -> NDArray[Any]:
    return value if value.dtype.kind in "biufSU" else np.array(f"{value.dtype.name[:20]} of shape {value.shape}")


def _joined(parts: Variables) -> dict[str, NDArray[Any]]:
    found = {name: parts[name] for name in WANTED if name in parts}
    for name in WANTED:
        if f"{name}/shape" in parts:
            shape = tuple(int(size) for size in parts[f"{name}/shape"])
            found[name] = np.empty(shape, dtype=object)
            for place, at in enumerate(np.ndindex(shape)):
                found[name][at] = parts[f"{name}/{place}"]
    return found | {str(name): np.zeros(0) for name in parts["names"]}


def _is_73(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(128)[124:] in VERSIONS_73


def _check_unpacked(path: Path) -> None:
    """Counts what a MATLAB 5 file's compressed elements unpack to, which nothing in it says: scipy asks no limit."""
    unpacked = 0
    with path.open("rb") as file:
        order: Literal["little", "big"] = "big" if file.read(128)[126:128] == b"MI" else "little"
        while len(head := file.read(8)) == 8:
            kind, size = (int.from_bytes(head[at : at + 4], order) for at in (0, 4))
            end, stream = file.tell() + size, zlib.decompressobj()
            while kind == COMPRESSED and not stream.eof and (data := file.read(min(1 << 16, end - file.tell()))):
                while data and not stream.eof:
                    unpacked += len(stream.decompress(data, 1 << 20))
                    data = stream.unconsumed_tail
                    if unpacked > MAX_UNPACKED:
                        raise DatasetError(
                            f"{path} unpacks to more than {MAX_UNPACKED >> 30} GB; save less in one file"
                        )
            file.seek(end)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
