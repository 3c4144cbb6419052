"""MATLAB 7.3 files, which are HDF5 with MATLAB's attributes: numbers, and cells of them, with h5py.

Cells are references to arrays elsewhere in the file; arrays lie with their axes turned round. Nothing outside the file
is opened: external and soft links, virtual and external storage are refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DatasetError

MAX_BYTES = 2**32  # that a file's arrays may take together: Avenue's longest masks, as doubles, take 2.7 GB
DENSEST = 1100  # HDF5's compression makes no array this many times smaller: a larger one holds nothing
MAX_CELLS = 2**20


def read_mat73(path: Path, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The variables ``wanted``, cell arrays as object arrays of arrays; the others as empty arrays, by name only.

    DatasetError without h5py, or for what is no array of numbers or cell of such; what h5py raises for damage.
    """
    h5py = h5py_for(path)
    with h5py.File(path, "r") as file:
        names, reader = [name for name in file if not name.startswith("#")], _Reader(path, h5py, file)
        return {name: reader.variable(name) if name in wanted else np.zeros(0) for name in names}


def h5py_for(path: Path) -> Any:
    """The library, an extra; DatasetError with the lines that convert the file where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise DatasetError(
            f"{path} is a MATLAB 7.3 file, which takes h5py; pip install 'twostream-vad[matlab]', or convert it in"
            f" MATLAB: s = load('{path.name}'); save('{path.name}', '-struct', 's', '-v7')"
        ) from None
    return h5py


class _Reader:
    """Reads variables, all of them together within MAX_BYTES."""

    def __init__(self, path: Path, h5py: Any, file: Any) -> None:
        self._path, self._h5py, self._file, self._left = path, h5py, file, MAX_BYTES

    def variable(self, name: str) -> NDArray[Any]:
        if not isinstance(self._file.get(name, getlink=True), self._h5py.HardLink):
            raise self._refused(name, "leads elsewhere")
        found = self._file[name]
        is_array = isinstance(found, self._h5py.Dataset)
        if not is_array or self._h5py.check_ref_dtype(found.dtype) is not self._h5py.Reference:
            return self._numbers(found, name)
        if _is_empty(found):
            return np.empty((0, 0), dtype=object)
        if found.size > MAX_CELLS:
            raise self._refused(name, f"has {found.size} cells")
        references = self._stored(found, name)
        cells = np.empty(references.shape, dtype=object)
        for at in np.ndindex(references.shape):
            place = f"{name}, cell {at}"
            if not references[at]:
                raise self._refused(place, "leads nowhere")
            cells[at] = self._numbers(self._file[references[at]], place)
        return cells

    def _numbers(self, found: Any, place: str) -> NDArray[Any]:
        if not isinstance(found, self._h5py.Dataset) or found.dtype.kind not in "biuf":
            raise self._refused(place, "is no array of numbers")
        return np.zeros((0, 0)) if _is_empty(found) else self._stored(found, place)

    def _stored(self, found: Any, place: str) -> NDArray[Any]:
        """The array in MATLAB's order of axes, read only if it lies in this file and is as large as it says."""
        stored, needed = found.id.get_storage_size(), found.size * found.dtype.itemsize
        if found.is_virtual or found.external:
            raise self._refused(place, "leads to another file")
        if needed > min(self._left, stored * DENSEST):
            raise self._refused(place, f"of shape {found.shape} cannot be labels")
        self._left -= needed
        return np.asarray(found[()]).T

    def _refused(self, place: str, what: str) -> DatasetError:
        return DatasetError(f"{self._path}, {place}: {what}; save it again in MATLAB with save(..., '-v7')")


def _is_empty(found: Any) -> bool:
    """An empty array's data are its sizes."""
    return bool(found.attrs.get("MATLAB_empty", 0)) or found.shape is None
