"""Pixel labels: which pixels of a test video are anomalous; one frame's mask at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..video.frames import ImageFolder, is_image
from .arrays import npz_names, read_npy, read_npz
from .dataset import Dataset
from .errors import DatasetError
from .label_values import Size
from .layouts import children, find_split, homes, renamed, scene_folders, ucsd_name
from .matlab import read_mat
from .ubnormal import OBJECT_MASK, object_masks

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MaskSource:
    """Where the masks lie: ``entries`` reads each video's, given the size of its frames where that is known."""

    path: Path
    entries: Mapping[str, Callable[[Size | None], Iterator[Mask]]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.entries)

    def frames(self, name: str, size: Size | None = None) -> Iterator[Mask]:
        """Each frame's mask in order, (H, W), True where anomalous.

        One mask is unpacked at a time; the file's own array of an ``.npz`` (usually packed bits) or a ``.mat`` is
        read whole. Packed masks are rounded up to a multiple of 8 pixels in width: given the frames' ``size`` the
        padding is cut off. DatasetError where the video has no masks, or they are damaged or of another size.
        """
        if name not in self.entries:
            raise DatasetError(f"{self.path} has no masks of video {name}; it has {', '.join(self.entries)}")
        for mask in self.entries[name](size):
            if size is not None and mask.shape != size:
                raise DatasetError(
                    f"{self.path}, video {name}: masks have height and width {mask.shape}, frames {size};"
                    " take the masks that were drawn on these frames"
                )
            yield mask

    def frame_labels(self, name: str, size: Size | None = None) -> NDArray[np.uint8]:
        """(frames,): 1 where any pixel is anomalous; ``size`` and errors as `frames`."""
        return np.fromiter((mask.any() for mask in self.frames(name, size)), np.uint8)


def open_masks(path: Path) -> MaskSource:
    """Pixel masks in any of these forms.

    - ``.npz``: video -> ``np.packbits(mask, axis=-1)`` of (frames, H, W), or the boolean mask itself.
    - a folder of ``NAME_gt/`` folders of images (UCSD), or of folders of images: any pixel that is not black.
    - a folder of ``NAME.npy``, (frames, H, W) (ShanghaiTech).
    - a folder of ``N_label.mat`` with the cell array ``volLabel`` of (H, W) masks (Avenue), or one such file.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".npz":
        return MaskSource(path, {name: partial(_from_npz, path, name) for name in npz_names(path)})
    found = children(path) if path.is_dir() else [path]
    names: dict[str, Path] = {}
    for child in [child for child in found if child.name.endswith("_gt") and child.is_dir()] or found:
        kind = child.suffix.lower()
        image = next(filter(is_image, child.iterdir()), None) if child.is_dir() else child
        if image is not None and OBJECT_MASK.fullmatch(image.name):
            raise DatasetError(
                f"{image} is one of UBnormal's masks, which number every object, normal people too; give the folder"
                " that holds the Scene folders as the dataset: its track files say which are anomalous"
            )
        if child.is_dir():
            if image is not None:
                names[ucsd_name(child.name.removesuffix("_gt"))] = child
        elif kind == ".npy":
            names[child.stem] = child
        elif kind == ".mat" and (child.stem.endswith("_label") or child == path):
            names[child.stem.removesuffix("_label").zfill(2)] = child
    if not names:
        raise DatasetError(
            f"{path} holds no pixel masks: looked for an .npz, or a folder of NAME_gt/ images, NAME.npy or N_label.mat"
        )
    return MaskSource(path, {name: partial(_from_file, child) for name, child in names.items()})


def find_masks(dataset: Dataset) -> MaskSource | None:
    """The masks in the dataset's usual places, under its test videos' names; None where there are none."""
    if dataset.layout == "ubnormal":
        place = homes(dataset)[-1]
        return MaskSource(place, object_masks(dataset)) if scene_folders(place) else None
    for place in homes(dataset):
        looked = [place / "masks.npz", place / "ground_truth_demo" / "testing_label_mask"]
        if (test := find_split(place, "testing")) is not None:
            marked = any(path.name.endswith("_gt") for path in children(test))
            looked += [test / "test_pixel_mask", *([test] if marked else [])]
        for path in looked:
            if path.exists():
                return MaskSource(path, renamed(open_masks(path).entries, dataset))
    return None


def _from_file(path: Path, _: Size | None) -> Iterator[Mask]:
    if path.is_dir():
        return (np.asarray(frame.image.any(axis=2)) for frame in ImageFolder(path))
    if path.suffix.lower() == ".npy":
        return _volume(read_npy(path), str(path))
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


def _from_npz(path: Path, name: str, size: Size | None) -> Iterator[Mask]:
    """Packed bits are uint8; a file that has the frames' own width is not packed."""
    array, what = read_npz(path, name), f"{path}, video {name}"
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
