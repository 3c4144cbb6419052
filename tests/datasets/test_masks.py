from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from twostream_vad.datasets.dataset import Dataset, Video
from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.masks import MaskSource, find_masks, open_masks

FRAMES, HEIGHT, WIDTH = 4, 6, 13  # a width that packing rounds up


@pytest.fixture
def masks() -> NDArray[np.bool_]:
    drawn = np.zeros((FRAMES, HEIGHT, WIDTH), dtype=bool)
    drawn[1, 2:4, 3:5] = True
    drawn[2, 5, 12] = True
    return drawn


def save_npz(root: Path, masks: NDArray[np.bool_]) -> Path:
    arrays: dict[str, Any] = {"01": np.packbits(masks, axis=-1)}
    np.savez(root / "masks.npz", **arrays)
    return root / "masks.npz"


def save_images(root: Path, masks: NDArray[np.bool_]) -> Path:
    (root / "Test" / "Test001_gt").mkdir(parents=True)
    for index, mask in enumerate(masks):
        cv2.imwrite(str(root / f"Test/Test001_gt/{index + 1:03d}.bmp"), mask * np.uint8(255))
    return root / "Test"


def save_npy(root: Path, masks: NDArray[np.bool_]) -> Path:
    folder = root / "testing" / "test_pixel_mask"
    folder.mkdir(parents=True)
    np.save(folder / "01.npy", masks)
    return folder


def save_mat(root: Path, masks: NDArray[np.bool_]) -> Path:
    folder = root / "ground_truth_demo" / "testing_label_mask"
    folder.mkdir(parents=True)
    cells = np.empty((1, len(masks)), dtype=object)
    for index, mask in enumerate(masks):
        cells[0, index] = mask.astype(np.uint8)
    savemat(folder / "1_label.mat", {"volLabel": cells})
    return folder


def stacked(source: MaskSource, name: str, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    return np.stack(list(source.frames(name, size)))


FORMS = [save_npz, save_images, save_npy, save_mat]


@pytest.mark.parametrize("save", FORMS)
def test_every_form_gives_the_same_masks(tmp_path: Path, masks: NDArray[np.bool_], save: object) -> None:
    assert callable(save)
    source = open_masks(save(tmp_path, masks))
    assert source.names == ("01",)
    np.testing.assert_array_equal(stacked(source, "01", (HEIGHT, WIDTH)), masks)


@pytest.mark.parametrize("save", FORMS)
def test_masks_are_found_in_their_usual_place(tmp_path: Path, masks: NDArray[np.bool_], save: object) -> None:
    assert callable(save)
    save(tmp_path, masks)
    found = find_masks(Dataset(tmp_path, "folder", (), (Video("001", tmp_path),)))
    assert found is not None
    assert found.names == ("001",)
    np.testing.assert_array_equal(found.frame_labels("001"), [0, 1, 1, 0])


def test_no_masks_are_none(tmp_path: Path) -> None:
    assert find_masks(Dataset(tmp_path, "folder", (), (Video("01", tmp_path),))) is None


def test_packed_masks_without_a_size_keep_their_padding(tmp_path: Path, masks: NDArray[np.bool_]) -> None:
    packed = stacked(open_masks(save_npz(tmp_path, masks)), "01")
    assert packed.shape == (FRAMES, HEIGHT, 16)
    assert not packed[:, :, WIDTH:].any()


def test_masks_that_are_not_packed_are_read_too(tmp_path: Path, masks: NDArray[np.bool_]) -> None:
    np.savez(tmp_path / "m.npz", a=masks, b=masks.astype(np.uint8))
    source = open_masks(tmp_path / "m.npz")
    np.testing.assert_array_equal(stacked(source, "a"), masks)
    np.testing.assert_array_equal(stacked(source, "b", (HEIGHT, WIDTH)), masks)


@pytest.mark.parametrize("size", [(HEIGHT, 30), (HEIGHT, 8), (HEIGHT + 1, WIDTH)])
def test_masks_of_another_size_are_refused(tmp_path: Path, masks: NDArray[np.bool_], size: tuple[int, int]) -> None:
    with pytest.raises(DatasetError, match="video 01: masks have height and width"):
        stacked(open_masks(save_npz(tmp_path, masks)), "01", size)


def test_bits_in_the_padding_are_refused(tmp_path: Path, masks: NDArray[np.bool_]) -> None:
    with pytest.raises(DatasetError, match="frame 2: the bits beyond width 12"):
        stacked(open_masks(save_npz(tmp_path, masks)), "01", (HEIGHT, 12))


def test_a_video_without_masks_is_named(tmp_path: Path, masks: NDArray[np.bool_]) -> None:
    with pytest.raises(DatasetError, match="no masks of video 02; it has 01"):
        stacked(open_masks(save_npz(tmp_path, masks)), "02")


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no pixel masks"):
        open_masks(tmp_path)


def test_masks_of_changing_size_are_refused_by_frame(tmp_path: Path) -> None:
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = np.zeros((3, 4)), np.zeros((3, 5))
    savemat(tmp_path / "1_label.mat", {"volLabel": cells})
    with pytest.raises(DatasetError, match="frame 1"):
        stacked(open_masks(tmp_path), "01")
