"""Pixel labels: which pixels of a test video are anomalous; one frame's mask at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.frames import ImageFolder, is_image
from .arrays import npz_names, read_mat, read_npy, read_npz
from .errors import DatasetError
from .layouts import Dataset, children, find_home, find_split, match_names, ucsd_name

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MaskSource:
    """Where the masks lie: ``entries`` gives each video's file and, in an .npz, the array's name there."""

    path: Path
    entries: Mapping[str, tuple[Path, str]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.entries)

    def frames(self, name: str, size: tuple[int, int] | None = None) -> Iterator[Mask]:
        """Each frame's mask in order, (H, W), True where anomalous.

        One mask is unpacked at a time. The file's own array of an ``.npz`` (usually packed bits) or a ``.mat`` is
        read whole.

        Args:
            name: of the video.
            size: (H, W) of the video's frames. Packed masks are rounded up to a multiple of 8 pixels in
                width: without ``size`` the padding stays; with it, it is cut off and other sizes are refused.

        Raises:
            DatasetError: the video has no masks, or they are damaged or of another size.
        """
        if name not in self.entries:
            raise DatasetError(f"{self.path} has no masks of video {name}; it has {', '.join(self.entries)}")
        path, key = self.entries[name]
        if path.is_dir():
            masks = _from_images(path)
        elif path.suffix.lower() == ".npz":
            masks = _unpacked(read_npz(path, key), f"{path}, video {name}", size)
        else:
            masks = _volume(read_npy(path), str(path)) if path.suffix.lower() == ".npy" else _from_mat(path)
        for mask in masks:
            if size is not None and mask.shape != size:
                raise DatasetError(
                    f"{path}, video {name}: masks have height and width {mask.shape}, frames {size};"
                    " take the masks that were drawn on these frames"
                )
            yield mask

    def frame_labels(self, name: str, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(frames,): 1 where any pixel is anomalous; ``size`` and errors as `frames`."""
        return np.fromiter((mask.any() for mask in self.frames(name, size)), np.uint8)

    def labels(self) -> dict[str, NDArray[np.uint8]]:
        """Every video's `frame_labels`."""
        return {name: self.frame_labels(name) for name in self.entries}


def open_masks(path: Path) -> MaskSource:
    """Pixel masks in any of these forms.

    - ``.npz``: video -> ``np.packbits(mask, axis=-1)`` of (frames, H, W), or the boolean mask itself.
    - a folder of ``NAME_gt/`` folders of images (UCSD), or of folders of images: any pixel that is not black.
    - a folder of ``NAME.npy``, (frames, H, W) (ShanghaiTech).
    - a folder of ``N_label.mat`` with the cell array ``volLabel`` of (H, W) masks (Avenue).
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".npz":
        return MaskSource(path, {name: (path, name) for name in npz_names(path)})
    entries = dict(_folder_entries(path)) if path.is_dir() else {}
    if not entries:
        raise DatasetError(
            f"{path} holds no pixel masks: looked for an .npz, or a folder of NAME_gt/ images, NAME.npy or N_label.mat"
        )
    return MaskSource(path, entries)


def find_masks(dataset: Dataset) -> MaskSource | None:
    """The masks in the dataset's usual places, under its test videos' names; None where there are none."""
    home = find_home(dataset.root, dataset.layout)
    for place in dict.fromkeys((dataset.root, home)):
        test = find_split(place, "testing")
        looked = [place / "masks.npz", place / "ground_truth_demo" / "testing_label_mask"]
        if test is not None:
            looked.append(test / "test_pixel_mask")
            if any(path.name.endswith("_gt") for path in children(test)):
                looked.append(test)
        for path in looked:
            if path.exists():
                source = open_masks(path)
                names = match_names(source.names, (video.name for video in dataset.testing))
                return replace(source, entries={names[name]: entry for name, entry in source.entries.items()})
    return None


def _folder_entries(folder: Path) -> Iterator[tuple[str, tuple[Path, str]]]:
    found = children(folder)
    marked = [path for path in found if path.name.endswith("_gt") and path.is_dir()]
    for path in marked or found:
        suffix = path.suffix.lower()
        if path.is_dir():
            if any(map(is_image, path.iterdir())):
                yield ucsd_name(path.name.removesuffix("_gt")), (path, "")
        elif suffix == ".npy":
            yield path.stem, (path, "")
        elif suffix == ".mat" and path.stem.endswith("_label"):
            yield path.stem.removesuffix("_label").zfill(2), (path, "")


def _from_images(folder: Path) -> Iterator[Mask]:
    return (np.asarray(frame.image.any(axis=2)) for frame in ImageFolder(folder))


def _unpacked(array: NDArray[Any], what: str, size: tuple[int, int] | None) -> Iterator[Mask]:
    """Packed bits are uint8; a file that has the frames' own width is not packed."""
    if array.ndim != 3 or array.dtype != np.uint8 or (size is not None and array.shape[2] == size[1] > 1):
        yield from _volume(array, what)
        return
    for frame, bits in enumerate(array):
        mask = np.unpackbits(bits, axis=-1).astype(bool)
        if size is not None and 0 <= mask.shape[1] - size[1] < 8:  # else not these frames' width: the caller says so
            if mask[:, size[1] :].any():
                raise DatasetError(
                    f"{what}, frame {frame}: the bits beyond width {size[1]} are not 0; these masks are of wider frames"
                )
            mask = mask[:, : size[1]]
        yield mask


def _volume(array: NDArray[Any], what: str) -> Iterator[Mask]:
    if array.ndim != 3 or array.dtype.kind not in "biuf":
        raise DatasetError(f"{what}: masks must be numbers of shape (frames, H, W), got {array.dtype} {array.shape}")
    return (np.asarray(mask != 0) for mask in array)


def _from_mat(path: Path) -> Iterator[Mask]:
    variables = read_mat(path)
    cells = variables.get("volLabel")
    if cells is None or cells.dtype != object:
        raise DatasetError(f"{path} has no cell array volLabel; it has {', '.join(variables) or 'nothing'}")
    masks = [np.asarray(cell) for cell in cells.ravel()]
    for index, mask in enumerate(masks):
        if mask.ndim != 2 or mask.shape != masks[0].shape or mask.dtype.kind not in "biuf":
            raise DatasetError(f"{path}, frame {index}: mask {mask.dtype} {mask.shape}, the first {masks[0].shape}")
    if not masks:
        raise DatasetError(f"{path}: volLabel is empty; copy the file again")
    return (mask.astype(bool) for mask in masks)
