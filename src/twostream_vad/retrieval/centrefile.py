"""The file of centres: what it must hold, and what may be wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..storage import save_arrays
from .keys import BITS, SKETCH
from .tables import read_arrays

if TYPE_CHECKING:
    from .centres import Centres

FORMAT = "twostream-vad centres"
VERSION = "2"
ARRAYS: dict[str, type[np.generic]] = {
    **dict.fromkeys(("directions", "mixes", "medians", "spreads", "means", "normal"), np.float32),
    **dict.fromkeys(("places", "counts", "rows", "seen"), np.int64),
}


def write(path: Path, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, str]) -> None:
    """ARRAYS and all else that is known, as safetensors, whole or not at all."""
    save_arrays(path, arrays, {"format": FORMAT, "version": VERSION, **state})


def read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """What ``write`` wrote; TableError for another file, or a broken one."""
    return read_arrays(path, FORMAT, VERSION, ARRAYS)


def fault(loaded: "Centres") -> str:
    """What is wrong with centres read from a file; empty where nothing is."""
    keys, each = loaded.keys, (len(loaded.means),)
    if keys.mixes.ndim != 2 or keys.directions.ndim != 2 or keys.medians.ndim != 2 or loaded.means.ndim != 2:
        return "array shapes do not fit each other"
    values, width = keys.mixes.shape
    shapes: list[tuple[NDArray[Any], tuple[int, ...]]] = [
        (keys.directions, (values, min(SKETCH, values))),
        (keys.medians, (len(keys.spreads), width)),
        (keys.spreads, (len(keys.spreads),)),
        (loaded.normal, (len(keys.spreads),)),
        (loaded.means, (*each, values)),
        *((array, each) for array in (loaded.places, loaded.counts, loaded.rows, loaded.seen)),
    ]
    if width == 0 or width % BITS or any(array.shape != shape for array, shape in shapes):
        return "array shapes do not fit each other"
    real = keys.directions, keys.mixes, keys.medians, keys.spreads, loaded.means, loaded.normal
    if not all(np.isfinite(array).all() for array in real):
        return "a value is not finite"
    if (keys.spreads <= 0).any() or (loaded.normal <= 0).any():
        return "a place's spread, or what is normal there, is not positive"
    if each[0] > loaded.limit or not 0 <= loaded.radius < np.inf:
        return "more centres than its limit, or a radius that cannot be"
    if each[0] > 0:
        if loaded.places.min() < 0 or loaded.places.max() >= len(keys.medians):
            return "a place has no keys"
        if loaded.counts.min() < 1 or loaded.counts.max() > 1 << 48 or loaded.rows.min() < 0:
            return "a centre's count is not positive"
        if (loaded.rows > loaded.seen).any() or loaded.seen.max() >= loaded.added:
            return "rows are not those that were added"
    return ""
