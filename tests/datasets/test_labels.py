import io
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from twostream_vad.datasets import matlab
from twostream_vad.datasets.dataset import Dataset, Video
from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.labels import check_lengths, find_labels, read_labels

LABELS = np.array([0, 0, 1, 1, 0], dtype=np.uint8)
MASKS = np.zeros((5, 2, 9), dtype=bool)
MASKS[2:4, 1, 8] = True


def dataset(root: Path, *names: str, layout: str = "folder") -> Dataset:
    return Dataset(root, layout, (), tuple(Video(name, root / name) for name in names))


def save_npz(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def npy_bytes(header: dict[str, object], data: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


def cells(*values: NDArray[np.float64]) -> NDArray[np.object_]:
    array = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        array[0, index] = value
    return array


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8, np.bool_])
def test_the_authors_npz_is_read_in_any_number_type(tmp_path: Path, dtype: type[np.generic]) -> None:
    save_npz(tmp_path / "gt.npz", {"01_0014": LABELS.astype(dtype)})
    labels = read_labels(tmp_path / "gt.npz")
    assert list(labels) == ["01_0014"]
    assert labels["01_0014"].dtype == np.uint8
    np.testing.assert_array_equal(labels["01_0014"], LABELS)


@pytest.mark.parametrize("values", [LABELS, LABELS[None], LABELS[:, None], MASKS])
def test_npy_files_are_videos_by_their_names(tmp_path: Path, values: NDArray[np.uint8]) -> None:
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_labels(tmp_path)["a"], LABELS)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.npy")["a"], LABELS)


@pytest.mark.parametrize("values", [np.packbits(MASKS, axis=-1), MASKS])
def test_pixel_masks_in_an_npz_become_frame_labels(tmp_path: Path, values: NDArray[np.uint8]) -> None:
    save_npz(tmp_path / "masks.npz", {"01": values})
    np.testing.assert_array_equal(read_labels(tmp_path / "masks.npz")["01"], LABELS)


def test_ucsds_mask_images_become_frame_labels(tmp_path: Path) -> None:
    (tmp_path / "Test001_gt").mkdir()
    for index, mask in enumerate(MASKS):
        cv2.imwrite(str(tmp_path / f"Test001_gt/frame{index + 1:03d}.bmp"), mask * np.uint8(255))
    np.testing.assert_array_equal(read_labels(tmp_path)["01"], LABELS)


def test_avenues_masks_become_frame_labels(tmp_path: Path) -> None:
    savemat(tmp_path / "1_label.mat", {"volLabel": cells(*MASKS.astype(float))})
    np.testing.assert_array_equal(read_labels(tmp_path / "1_label.mat")["01"], LABELS)


def test_intervals_count_from_one_and_include_both_ends(tmp_path: Path) -> None:
    intervals = cells(np.array([[3.0], [4.0]]), np.array([[1.0, 4.0], [2.0, 4.0]]), np.zeros((2, 0)))
    savemat(tmp_path / "gt.mat", {"gt": intervals})
    labels = read_labels(tmp_path / "gt.mat", lambda: {"10": 4, "2": 5, "11": 3})
    assert {name: values.tolist() for name, values in labels.items()} == {
        "2": [0, 0, 1, 1, 0],
        "10": [1, 1, 0, 1],
        "11": [0, 0, 0],
    }


def test_intervals_without_frame_counts_are_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "gt.mat", {"gt": cells(np.ones((2, 1)))})
    with pytest.raises(DatasetError, match="pass the frame counts"):
        read_labels(tmp_path / "gt.mat")


@pytest.mark.parametrize("interval", [(0, 2), (3, 2), (4, 6), (1.5, 2), (np.nan, 2)])
def test_an_interval_outside_the_video_is_refused(tmp_path: Path, interval: tuple[float, float]) -> None:
    savemat(tmp_path / "gt.mat", {"gt": cells(np.array(interval)[:, None])})
    with pytest.raises(DatasetError, match="video 01: interval"):
        read_labels(tmp_path / "gt.mat", lambda: {"01": 5})


def test_intervals_of_another_number_of_videos_are_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "gt.mat", {"gt": cells(np.ones((2, 1)))})
    with pytest.raises(DatasetError, match="1 videos but there are 2"):
        read_labels(tmp_path / "gt.mat", lambda: {"01": 5, "02": 5})


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, np.nan])
def test_a_value_that_is_no_label_is_refused_by_video_and_frame(tmp_path: Path, value: float) -> None:
    save_npz(tmp_path / "gt.npz", {"07": np.array([0, 1, value, 0])})
    with pytest.raises(DatasetError, match=r"gt\.npz, video 07, frame 2: label"):
        read_labels(tmp_path / "gt.npz")


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((3, 4)), np.array(["a"]), np.float64(1)])
def test_an_array_that_cannot_be_labels_is_refused(tmp_path: Path, values: NDArray[np.float64]) -> None:
    save_npz(tmp_path / "gt.npz", {"07": values})
    with pytest.raises(DatasetError, match="video 07: "):
        read_labels(tmp_path / "gt.npz")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_python_objects_are_refused_with_a_remedy(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"gt{suffix}"
    values = np.array([LABELS, LABELS[:2]], dtype=object)
    if suffix == ".npy":
        np.save(file, values, allow_pickle=True)
    else:
        np.savez(file, a=values)
    with pytest.raises(DatasetError, match="never loaded; save plain numbers"):
        read_labels(file)


@pytest.mark.parametrize("shape", [(10**15,), (2**40, 2**40), (5, 2**40, 2**40)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_absurd_length_is_refused_before_it_is_allocated(
    tmp_path: Path, suffix: str, shape: tuple[int, ...]
) -> None:
    data = npy_bytes({"descr": "|u1", "fortran_order": False, "shape": shape})
    file = tmp_path / f"gt{suffix}"
    if suffix == ".npy":
        file.write_bytes(data)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("01.npy", data)
    with pytest.raises(DatasetError, match="cannot be labels"):
        read_labels(file)


def test_zeros_that_would_fill_the_memory_are_not_unpacked(tmp_path: Path) -> None:
    shape = (1025, 1024, 1024)
    with (
        zipfile.ZipFile(tmp_path / "gt.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("01.npy", "w") as member,
    ):
        member.write(npy_bytes({"descr": "|u1", "fortran_order": False, "shape": shape}))
        for _ in range(shape[0]):
            member.write(bytes(1 << 20))
    with pytest.raises(DatasetError, match=r"gt\.npz, video 01: .* too much to unpack; save each video's as an \.npy"):
        read_labels(tmp_path / "gt.npz")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_mat_of_zeros_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path, order: str) -> None:
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1025)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    (tmp_path / "gt.mat").write_bytes(head + struct.pack(f"{order}II", 15, len(data)) + data)
    with pytest.raises(DatasetError, match=r"gt\.mat unpacks to more than 1 GB; "):
        read_labels(tmp_path / "gt.mat")


def test_an_array_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (100,)}
    (tmp_path / "a.npy").write_bytes(npy_bytes(header, bytes(99)))
    with pytest.raises(DatasetError, match="cut off"):
        read_labels(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".mat"])
@pytest.mark.parametrize("content", [b"", b"no labels at all", b"PK\x03\x04" + bytes(200)])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"gt{suffix}").write_bytes(content)
    with pytest.raises(DatasetError, match=f"gt{suffix} cannot be read"):
        read_labels(tmp_path / f"gt{suffix}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"x\.npz does not exist"):
        read_labels(tmp_path / "x.npz")


def test_a_mat_with_other_variables_lists_them(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"scores": np.zeros(3)})
    with pytest.raises(DatasetError, match="it has scores"):
        read_labels(tmp_path / "x.mat")


@pytest.mark.parametrize("name", ["Ped2_gt.npz", "gt.npz", "labels.npz", "my-gt-v2.npz"])
def test_label_files_are_found_by_their_names(tmp_path: Path, name: str) -> None:
    save_npz(tmp_path / name, {"1": LABELS})
    labels = find_labels(dataset(tmp_path, "01"))
    assert labels is not None
    np.testing.assert_array_equal(labels["01"], LABELS)


@pytest.mark.parametrize("folder", ["labels", "testing/test_frame_mask"])
def test_folders_of_frame_labels_are_found(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    np.save(tmp_path / folder / "01_0014.npy", LABELS)
    labels = find_labels(dataset(tmp_path, "01_0014"))
    assert labels is not None
    np.testing.assert_array_equal(labels["01_0014"], LABELS)


def test_corridors_labels_are_found_wherever_the_archive_has_them(tmp_path: Path) -> None:
    for folder, name in [
        ("Test/annotations/000209", "000209"),
        ("Test/annotations/000210", "210"),
        ("x", "features"),
    ]:
        (tmp_path / folder).mkdir(parents=True)
        np.save(tmp_path / folder / f"{name}.npy", LABELS)
    labels = find_labels(dataset(tmp_path, "000209", "000210", layout="corridor"))
    assert labels is not None
    assert sorted(labels) == ["000209", "000210"]


def test_masks_serve_where_there_are_no_frame_labels(tmp_path: Path) -> None:
    save_npz(tmp_path / "masks.npz", {"01": np.packbits(MASKS, axis=-1)})
    labels = find_labels(dataset(tmp_path, "01"))
    assert labels is not None
    np.testing.assert_array_equal(labels["01"], LABELS)


@pytest.mark.parametrize("above", [True, False])
def test_nwpu_campus_labels_lie_beside_its_videos(tmp_path: Path, above: bool) -> None:
    root = tmp_path / "NWPUCampusDataset"
    (root / "videos/Test").mkdir(parents=True)
    (root / "groundtruth").mkdir()
    save_npz(root / "groundtruth/NWPU_Campus_gt.npz", {"D001_03": LABELS})
    labels = find_labels(dataset(tmp_path if above else root, "D001_03", layout="nwpu"))
    assert labels is not None
    np.testing.assert_array_equal(labels["D001_03"], LABELS)


def test_intervals_are_found_and_their_videos_counted(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"01/{index}.png"), np.zeros((4, 4), dtype=np.uint8))
    savemat(tmp_path / "avenue.mat", {"gt": cells(np.array([[3.0], [4.0]]))})
    labels = find_labels(dataset(tmp_path, "01"))
    assert labels is not None
    np.testing.assert_array_equal(labels["01"], LABELS)


def test_a_file_that_only_sounds_like_labels_is_not_taken(tmp_path: Path) -> None:
    save_npz(tmp_path / "lengths.npz", {"01": LABELS})
    assert find_labels(dataset(tmp_path, "01")) is None


def test_two_label_files_are_refused(tmp_path: Path) -> None:
    save_npz(tmp_path / "a_gt.npz", {"01": LABELS})
    save_npz(tmp_path / "b_gt.npz", {"01": LABELS})
    with pytest.raises(DatasetError, match=r"a_gt\.npz, b_gt\.npz"):
        find_labels(dataset(tmp_path, "01"))


def test_lengths_that_agree_pass() -> None:
    check_lengths({"01": LABELS}, {"01": 5}, "gt.npz")


def test_a_length_that_differs_is_named_with_both_numbers() -> None:
    with pytest.raises(DatasetError, match=r"gt\.npz .* video 01 has 6 decoded frames but 5 labels"):
        check_lengths({"01": LABELS}, {"01": 6}, "gt.npz")


def test_videos_without_labels_and_labels_without_videos_are_named() -> None:
    with pytest.raises(DatasetError, match="video 02 has no labels; labels 01 have no video"):
        check_lengths({"01": LABELS}, {"02": 5}, "gt.npz")


def test_a_long_list_of_faults_is_cut() -> None:
    with pytest.raises(DatasetError, match="and 20 more"):
        check_lengths({}, {str(index): 5 for index in range(30)}, "gt.npz")


@pytest.mark.parametrize(
    ("script", "seconds", "what"),
    [
        ("import os; os.abort()", 300.0, "its reader came to harm"),
        ("import time; time.sleep(600)", 1.0, "takes longer than 1 s to read"),
    ],
)
def test_a_mat_file_that_harms_its_reader_harms_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, seconds: float, what: str
) -> None:
    savemat(tmp_path / "gt.mat", {"gt": np.zeros(3)})
    run = subprocess.run
    monkeypatch.setattr(matlab, "SECONDS", seconds)
    monkeypatch.setattr(subprocess, "run", lambda words, **how: run([words[0], "-c", script], **how))
    with pytest.raises(DatasetError, match=what):
        read_labels(tmp_path / "gt.mat")
