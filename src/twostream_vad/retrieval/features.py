"""I3D features of a split in one memory-mapped file with a manifest; a kill at any moment costs a batch."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..progress import Progress, silent
from ..scores.stream import clip_batches
from ..storage import write_text
from ..video.frames import ChangedVideoError, FrameSource
from ..video.ticks import at_ticks
from .stream import Encoding, FeatureType

Sides = Callable[[Iterable[int], Callable[[int], object]], object]
"""Does some work for each of some numbers, perhaps several at the same time."""
FLUSH_ROWS = 512  # written between two updates of the manifest


class FeatureError(TsvadError):
    """Features that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class VideoRows:
    """Where a video's features lie: ``snippets * crops * places`` rows from ``first``; ``done`` snippets are there."""

    name: str
    first: int
    snippets: int
    crops: int
    done: int = 0
    places: int = 1  # of a crop that have a feature each

    @property
    def rows(self) -> int:
        """All of the video's."""
        return self.snippets * self.each

    @property
    def each(self) -> int:
        """A snippet's."""
        return self.crops * self.places


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split in a folder: ``features.npy``, a row a snippet, crop and place; ``features.json``."""

    folder: Path
    videos: tuple[VideoRows, ...]
    values: int
    dtype: FeatureType
    source: str

    @property
    def path(self) -> Path:
        """The ``.npy`` file, (rows, values)."""
        return self.folder / "features.npy"

    @property
    def rows(self) -> int:
        """Rows of all videos."""
        return sum(video.rows for video in self.videos)

    def places(self) -> NDArray[np.int64]:
        """Where each row comes from: its video, its snippet's first frame, its crop or place of all, (rows, 3)."""
        found = [np.zeros((0, 3), np.int64)]
        for number, video in enumerate(self.videos):
            frame, crop = np.divmod(np.arange(video.rows), video.each)
            found.append(np.stack([np.full(video.rows, number), frame, crop], axis=1))
        return np.concatenate(found)

    def array(self, mode: Literal["r", "r+"] = "r") -> NDArray[Any]:
        """The features as a memory map, (rows, values); rows of a video in the order snippet, crop, place."""
        try:
            array: NDArray[Any] = np.load(self.path, mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise FeatureError(
                f"{self.path}: cannot be read ({error}); delete {self.folder} and extract again"
            ) from None
        if array.shape != (self.rows, self.values) or array.dtype != self.dtype:
            raise FeatureError(f"{self.path}: not as its manifest says; delete {self.folder} and extract again")
        return array

    def save(self) -> None:
        """Writes the manifest."""
        write_text(self.folder / "features.json", json.dumps(asdict(self) | {"folder": None}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "FeatureSet":
        """The manifest in ``folder``; FeatureError where there is none, or a broken one."""
        path = folder / "features.json"
        try:
            values = json.loads(path.read_text("utf-8"))
            videos = tuple(VideoRows(**video) for video in values["videos"])
            return cls(folder, videos, int(values["values"]), values["dtype"], str(values["source"]))
        except FileNotFoundError:
            raise FeatureError(f"{path}: no features here; run `tsvad features` first") from None
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureError(f"{path}: broken ({error}); delete {folder} and extract again") from None


def one_by_one(numbers: Iterable[int], work: Callable[[int], object]) -> None:
    """The plainest `Sides`."""
    for number in numbers:
        work(number)


def extract_features(
    sources: Sequence[tuple[FrameSource, int, int]],
    encoding: Encoding,
    folder: Path,
    *,
    rate: float,
    batch: int = 1,
    progress: Progress = silent,
    sides: Sides = one_by_one,
) -> FeatureSet:
    """Encodes every snippet of every video, or what a killed extraction left to do, to the same values.

    ``sources`` are (frames, ticks, crops a frame) of each video, resampled to ``rate`` ticks a second; ``batch``
    snippets are encoded at once: 1 where a detector, which sees them one by one, must get the same bits. ``progress``
    counts snippets, ``sides`` may work on several videos at the same time. Raises FeatureError where ``folder`` holds
    features of something else, ChangedVideoError where a video does not give the snippets and crops that were counted.
    """
    features = _open(sources, encoding, folder)
    videos, total = list(features.videos), sum(video.snippets for video in features.videos)
    progress(sum(video.done for video in videos), total)
    writing = threading.Lock()

    def extract(place: int) -> None:
        source = sources[place][0]
        for video in _extract_video(features, videos[place], source, encoding, rate, batch):
            with writing:
                videos[place] = video
                replace(features, videos=tuple(videos)).save()
                progress(sum(each.done for each in videos), total, source.name)

    sides([place for place, video in enumerate(videos) if video.done < video.snippets], extract)
    return replace(features, videos=tuple(videos))


def _open(sources: Sequence[tuple[FrameSource, int, int]], encoding: Encoding, folder: Path) -> FeatureSet:
    videos, first = [], 0
    for source, frames, crops in sources:
        places = encoding.encoder.side**2
        videos.append(VideoRows(source.name, first, encoding.snippet.count(frames), crops, places=places))
        first += videos[-1].rows
    fresh = FeatureSet(folder, tuple(videos), encoding.encoder.values, encoding.dtype, encoding.encoder.source)
    if (folder / "features.json").exists():
        old = FeatureSet.load(folder)
        if replace(old, videos=tuple(replace(video, done=0) for video in old.videos)) != fresh:
            raise FeatureError(f"{folder}: holds features of other videos or another encoder; delete it or use --redo")
        old.array()
        return old
    folder.mkdir(parents=True, exist_ok=True)
    # The array lies whole on the disk (sparse at first) before the manifest says that it exists.
    np.lib.format.open_memmap(fresh.path, mode="w+", dtype=fresh.dtype, shape=(fresh.rows, fresh.values)).flush()
    fresh.save()
    return fresh


def _extract_video(
    features: FeatureSet, video: VideoRows, source: FrameSource, encoding: Encoding, rate: float, batch: int
) -> Iterator[VideoRows]:
    """Writes a video's rows from where it stopped; yields how far it is after each flush."""
    array = features.array("r+")
    pending, first = 0, video.done
    # Batches restart at a multiple of the batch size, so that a resumed run computes the same batches.
    crops = (encoding.views.scored(frame.image) for tick, frame in enumerate(at_ticks(source, rate)) if tick >= first)
    for clips in clip_batches(crops, encoding.snippet, batch):
        if video.done + clips.shape[0] > video.snippets or clips.shape[1] != video.crops:
            raise ChangedVideoError(source.path, f"does not give {video.snippets} snippets of {video.crops} crops")
        row, rows = video.first + video.done * video.each, clips.shape[0] * video.each
        array[row : row + rows] = encoding.encode(clips).reshape(-1, features.values)
        video = replace(video, done=video.done + clips.shape[0])
        pending += rows
        if pending >= FLUSH_ROWS or video.done == video.snippets:
            array.flush()  # type: ignore[attr-defined]
            pending = 0
            yield video
    if video.done != video.snippets:
        raise ChangedVideoError(source.path, f"ended after {video.done} of {video.snippets} snippets")
