"""MATLAB 7.3 files, laid out by h5py as MATLAB lays them out, whole, damaged and hostile."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.labels import read_labels
from twostream_vad.datasets.masks import open_masks
from twostream_vad.datasets.matlab73 import read_mat73

INTERVALS = [np.array([[3.0, 7.0], [4.0, 7.0]]), np.zeros((2, 0)), np.array([[1.0], [2.0]])]
COUNTS = {"01": 8, "02": 5, "03": 3}
LABELS = {"01": [0, 0, 1, 1, 0, 0, 1, 0], "02": [0] * 5, "03": [1, 1, 0]}


@contextmanager
def matlab(path: Path) -> Iterator[Any]:
    """An HDF5 file behind MATLAB's header of 512 bytes, its last two the version 7.3 and the byte order."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        yield file
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Wed Nov 25 08:00:00 2026 HDF5 schema 1.00 ."
    with path.open("r+b") as opened:
        opened.write(header.ljust(116) + bytes(8) + b"\x00\x02IM")


def store(file: Any, name: str, array: NDArray[Any]) -> Any:
    """One array: axes turned round; an empty one as its sizes."""
    kind = b"logical" if array.dtype == np.bool_ else b"double"
    data = array.T.astype(np.uint8) if array.dtype == np.bool_ else array.T
    dataset = file.create_dataset(name, data=data if array.size else np.array(array.shape, np.uint64))
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    if not array.size:
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    return dataset


def store_cells(file: Any, name: str, arrays: list[NDArray[Any]]) -> Any:
    """A cell array 1 x n: references to arrays in #refs#."""
    references = np.empty((len(arrays), 1), dtype=h5py.ref_dtype)
    for index, array in enumerate(arrays):
        references[index, 0] = store(file, f"#refs#/{index}", array).ref
    dataset = file.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    dataset.attrs["MATLAB_class"] = np.bytes_(b"cell")
    return dataset


def test_cells_of_intervals_are_read_as_from_an_older_file(tmp_path: Path) -> None:
    with matlab(tmp_path / "gt.mat") as file:
        store_cells(file, "gt", INTERVALS)
    labels = read_labels(tmp_path / "gt.mat", lambda: COUNTS)
    assert {name: values.tolist() for name, values in labels.items()} == LABELS


def test_masks_keep_their_height_and_width(tmp_path: Path) -> None:
    masks = np.zeros((3, 4, 6), dtype=bool)
    masks[1, 0, 5] = True
    with matlab(tmp_path / "1_label.mat") as file:
        store_cells(file, "volLabel", list(masks))
    np.testing.assert_array_equal(np.stack(list(open_masks(tmp_path / "1_label.mat").frames("01", (4, 6)))), masks)


def test_other_variables_are_named_and_not_read(tmp_path: Path) -> None:
    with matlab(tmp_path / "x.mat") as file:
        store(file, "scores", np.zeros((1, 3)))
        file["elsewhere"] = h5py.ExternalLink("other.mat", "/gt")
    with pytest.raises(DatasetError, match="it has elsewhere, scores"):
        read_labels(tmp_path / "x.mat", lambda: COUNTS)


def test_without_h5py_the_error_has_the_lines_that_convert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with matlab(tmp_path / "gt.mat") as file:
        store_cells(file, "gt", INTERVALS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError) as refused:
        read_labels(tmp_path / "gt.mat", lambda: COUNTS)
    told = str(refused.value)
    assert "pip install 'twostream-vad[matlab]'" in told
    assert "s = load('gt.mat'); save('gt.mat', '-struct', 's', '-v7')" in told
    assert "\n" not in told


def external_link(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["gt"] = np.zeros((2, 1))
    file["gt"] = h5py.ExternalLink(str(folder / "other.h5"), "/gt")


def soft_link(file: Any, _: Path) -> None:
    store_cells(file, "hidden", INTERVALS)
    file["gt"] = h5py.SoftLink("/hidden")


def external_storage(file: Any, folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(800))
    cells = store_cells(file, "gt", INTERVALS)
    raw = [(str(folder / "secret"), 0, 800)]
    cells[1, 0] = file.create_dataset("#refs#/raw", shape=(100,), dtype="f8", external=raw).ref


def virtual(file: Any, folder: Path) -> None:
    with h5py.File(folder / "other.h5", "w") as other:
        other["data"] = np.zeros(4)
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "data", shape=(4,))
    store_cells(file, "gt", INTERVALS)[1, 0] = file.create_virtual_dataset("#refs#/virtual", layout).ref


def absurd(file: Any, _: Path) -> None:
    huge = file.create_dataset("#refs#/huge", shape=(2**40,), dtype="u1", chunks=(2**20,))
    store_cells(file, "gt", INTERVALS)[1, 0] = huge.ref


def nothing_stored(file: Any, _: Path) -> None:
    empty = file.create_dataset("#refs#/hollow", shape=(10**6,), dtype="f8", chunks=(1000,))
    store_cells(file, "gt", INTERVALS)[1, 0] = empty.ref


def endless_cells(file: Any, _: Path) -> None:
    file.create_dataset("gt", shape=(2**40,), dtype=h5py.ref_dtype, chunks=(2**10,))


def null_reference(file: Any, _: Path) -> None:
    store_cells(file, "gt", INTERVALS)[1, 0] = h5py.Reference()


def group_reference(file: Any, _: Path) -> None:
    store_cells(file, "gt", INTERVALS)[1, 0] = file["#refs#"].ref


def circle(file: Any, _: Path) -> None:
    cells = store_cells(file, "gt", INTERVALS)
    cells[1, 0] = cells.ref


def text(file: Any, _: Path) -> None:
    store_cells(file, "gt", INTERVALS)
    del file["gt"]
    file["gt"] = "0 0 1 1"


@pytest.mark.parametrize(
    "plant",
    [
        external_link,
        soft_link,
        external_storage,
        virtual,
        absurd,
        nothing_stored,
        endless_cells,
        null_reference,
        group_reference,
        circle,
        text,
    ],
)
def test_what_leads_elsewhere_or_is_absurd_is_refused_by_name(
    plant: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    with matlab(tmp_path / "gt.mat") as file:
        plant(file, tmp_path)
    with pytest.raises(DatasetError, match=r"gt\.mat, gt.*; save it again in MATLAB"):
        read_labels(tmp_path / "gt.mat", lambda: COUNTS)


@pytest.mark.parametrize("shape", [(), (3,), (3, 2), (2, 2, 1)])
def test_a_cell_of_another_shape_is_no_intervals(shape: tuple[int, ...], tmp_path: Path) -> None:
    with matlab(tmp_path / "gt.mat") as file:
        store_cells(file, "gt", [np.ones(shape), *INTERVALS[1:]])
    with pytest.raises(DatasetError, match="video 01: intervals must be 2 x k numbers"):
        read_labels(tmp_path / "gt.mat", lambda: COUNTS)


def test_arrays_that_are_too_much_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twostream_vad.datasets.matlab73.MAX_BYTES", 100)
    with matlab(tmp_path / "gt.mat") as file:
        cells = store_cells(file, "gt", INTERVALS)
        cells[1, 0] = cells[2, 0] = cells[0, 0]
    with pytest.raises(DatasetError, match=r"cell \(0, 2\).* cannot be labels"):
        read_mat73(tmp_path / "gt.mat", ("gt",))


@pytest.mark.parametrize("kept", [130, 520, 3000])
def test_a_file_that_is_cut_off_is_named(kept: int, tmp_path: Path) -> None:
    with matlab(tmp_path / "gt.mat") as file:
        store_cells(file, "gt", INTERVALS)
    (tmp_path / "gt.mat").write_bytes((tmp_path / "gt.mat").read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"gt\.mat cannot be read"):
        read_labels(tmp_path / "gt.mat", lambda: COUNTS)
