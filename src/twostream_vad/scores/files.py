"""Score files in the authors' format: an ``.npz`` of video name -> scores, one row a snippet."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..storage import whole_file, write_text


class ScoreFileError(TsvadError):
    """A score file that cannot be used, named, with what would do."""


def read_scores(path: Path, *, gaps: bool = False) -> dict[str, NDArray[np.float64]]:
    """Video name -> (snippets,) for retrieval, (snippets, windows) for recovery. Nothing pickled is run.

    With ``gaps`` NaN is a score too, that of frames that are lost. ScoreFileError where the file is missing, cut short
    or pickled, or holds what is not finite numbers.
    """
    try:
        # Opened here, since numpy leaves a file open that it cannot read.
        with path.open("rb") as raw:
            file = np.load(raw, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise _unusable(path, "holds one array, not an array for each video")
            return {name: _read(path, name, file, gaps) for name in file.files}
    except FileNotFoundError:
        raise ScoreFileError(f"{path} is not there: score the videos first") from None
    except ScoreFileError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unusable(path, f"cannot be read as .npz ({error})") from None


def write_scores(path: Path, scores: Mapping[str, NDArray[Any]], *, gaps: bool = False) -> None:
    """Write what ``read_scores`` reads, whole or not at all; the same scores give the same bytes."""
    # np.savez takes names as keyword arguments, and so no video called "file"; hence the archive by hand.
    checked = {name: _checked(path, name, np.asarray(array), gaps) for name, array in scores.items()}
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in checked.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def kept(path: Path, score: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array in ``path`` (``.npy``); where there is none, what ``score`` gives, written there whole.

    A long stage that keeps each video's scores so goes on, when it was killed, with the video that it was scoring.
    """
    if not path.exists():
        save_array(path, score())
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write one ``.npy``, whole or not at all."""
    with whole_file(path) as temporary:
        np.save(temporary, array)


def write_frame_scores(path: Path, times: NDArray[np.float64], columns: Mapping[str, NDArray[np.float64]]) -> None:
    """A CSV of a video's scores, a row a frame: frame, time in seconds, the columns; NaN is left empty."""
    lines = [",".join(("frame", "time", *columns))]
    for frame, (time, *values) in enumerate(zip(times, *columns.values(), strict=True)):
        cells = ("" if np.isnan(value) else f"{value:.6g}" for value in values)
        lines.append(",".join((str(frame), f"{time:.3f}", *cells)))
    write_text(path, "\n".join(lines) + "\n")


def _read(path: Path, name: str, file: Mapping[str, Any], gaps: bool) -> NDArray[np.float64]:
    try:
        array = file[name]
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise _unusable(path, f"has a broken array for video {name} ({error})") from None
    return _checked(path, name, array, gaps)


def _checked(path: Path, name: str, array: Any, gaps: bool) -> NDArray[np.float64]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim not in (1, 2):
        shape = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else "no array"
        raise _unusable(path, f"must hold (snippets,) or (snippets, windows) numbers for video {name}, got {shape}")
    if np.isinf(array).any() or (np.isnan(array).any() and not gaps):
        raise _unusable(path, f"has NaN or infinity among the scores of video {name}")
    return np.ascontiguousarray(array, np.float64)


def _unusable(path: Path, why: str) -> ScoreFileError:
    return ScoreFileError(f"{path} {why}: score the videos again to make it anew")
