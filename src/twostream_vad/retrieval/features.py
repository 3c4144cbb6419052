"""I3D features of a split in one memory-mapped file with a manifest; a kill at any moment costs a batch."""

import json
from collections.abc import Iterator, Sequence
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
from ..video.views import Views
from .stream import Encoder

FLUSH_ROWS = 512
"""Rows written between two updates of the manifest."""


class FeatureError(TsvadError):
    """Features that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class VideoRows:
    """Where a video's features lie: ``snippets * crops`` rows from ``first``; ``done`` snippets are there."""

    name: str
    first: int
    snippets: int
    crops: int
    done: int = 0

    @property
    def rows(self) -> int:
        """Rows of the video."""
        return self.snippets * self.crops


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split in a folder: ``features.npy``, a row a snippet and crop; ``features.json``."""

    folder: Path
    videos: tuple[VideoRows, ...]
    values: int
    dtype: Literal["float16", "float32"]
    source: str

    @property
    def path(self) -> Path:
        """The ``.npy`` file, (rows, values)."""
        return self.folder / "features.npy"

    @property
    def complete(self) -> bool:
        """Whether every snippet is written."""
        return all(video.done == video.snippets for video in self.videos)

    @property
    def rows(self) -> int:
        """Rows of all videos."""
        return sum(video.rows for video in self.videos)

    def array(self, mode: Literal["r", "r+"] = "r") -> NDArray[Any]:
        """The features as a memory map, (rows, values); rows of a video in the order snippet, crop."""
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
        values = asdict(self) | {"folder": None}
        write_text(self.folder / "features.json", json.dumps(values, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "FeatureSet":
        """The manifest in ``folder``.

        Raises:
            FeatureError: there is none, or a broken one.
        """
        path = folder / "features.json"
        try:
            values = json.loads(path.read_text("utf-8"))
            videos = tuple(VideoRows(**video) for video in values["videos"])
            return cls(folder, videos, int(values["values"]), values["dtype"], str(values["source"]))
        except FileNotFoundError:
            raise FeatureError(f"{path}: no features here; run `tsvad features` first") from None
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureError(f"{path}: broken ({error}); delete {folder} and extract again") from None


def extract_features(
    sources: Sequence[tuple[FrameSource, int, int]],
    encoder: Encoder,
    views: Views,
    folder: Path,
    *,
    dtype: Literal["float16", "float32"] = "float16",
    batch: int = 4,
    progress: Progress = silent,
) -> FeatureSet:
    """Encodes every snippet of every video, or what a killed extraction left to do, to the same values.

    Args:
        sources: (frames, number of frames, crops a frame) of each video.
        encoder: the encoder and its snippet geometry.
        views: resize and crops.
        folder: for ``features.npy`` and ``features.json``.
        dtype: of the features on disk.
        batch: snippets encoded at once.
        progress: told after every batch, in snippets.

    Raises:
        FeatureError: ``folder`` holds features of something else.
        ChangedVideoError: a video does not give the snippets and crops that were counted.
    """
    features = _open(sources, encoder, folder, dtype)
    total = sum(video.snippets for video in features.videos)
    done = sum(video.done for video in features.videos)
    progress(done, total)
    for place, (source, _, _) in enumerate(sources):
        if features.videos[place].done < features.videos[place].snippets:
            for now in _extract_video(features, place, source, encoder, views, batch):
                if now.videos[place].done != features.videos[place].done:
                    done += now.videos[place].done - features.videos[place].done
                    progress(done, total, source.name)
                features = now
    return features


def _open(
    sources: Sequence[tuple[FrameSource, int, int]],
    encoder: Encoder,
    folder: Path,
    dtype: Literal["float16", "float32"],
) -> FeatureSet:
    videos, first = [], 0
    for source, frames, crops in sources:
        videos.append(VideoRows(source.name, first, encoder.snippet.count(frames), crops))
        first += videos[-1].rows
    fresh = FeatureSet(folder, tuple(videos), encoder.values, dtype, encoder.source)
    if (folder / "features.json").exists():
        old = FeatureSet.load(folder)
        undone = tuple(replace(video, done=0) for video in old.videos)
        if replace(old, videos=undone) != fresh:
            raise FeatureError(f"{folder}: holds features of other videos or another encoder; delete it or use --redo")
        old.array()
        return old
    folder.mkdir(parents=True, exist_ok=True)
    # The array lies whole on the disk (sparse at first) before the manifest says that it exists.
    np.lib.format.open_memmap(fresh.path, mode="w+", dtype=dtype, shape=(fresh.rows, fresh.values)).flush()
    fresh.save()
    return fresh


def _extract_video(
    features: FeatureSet, place: int, source: FrameSource, encoder: Encoder, views: Views, batch: int
) -> Iterator[FeatureSet]:
    """Writes a video's rows from where it stopped; yields the feature set after each flush."""
    array = features.array("r+")
    video = features.videos[place]
    pending, first = 0, video.done
    # Batches restart at a multiple of the batch size, so that a resumed run computes the same batches.
    crops = (views.scored(frame.image) for frame in source if frame.index >= first)
    for clips in clip_batches(crops, encoder.snippet, batch):
        if video.done + clips.shape[0] > video.snippets or clips.shape[1] != video.crops:
            raise ChangedVideoError(source.path, f"does not give {video.snippets} snippets of {video.crops} crops")
        row = video.first + video.done * video.crops
        array[row : row + clips.shape[0] * video.crops] = encoder.encode(clips).reshape(-1, features.values)
        video = replace(video, done=video.done + clips.shape[0])
        pending += clips.shape[0] * video.crops
        if pending >= FLUSH_ROWS or video.done == video.snippets:
            array.flush()  # type: ignore[attr-defined]
            pending = 0
            videos = (*features.videos[:place], video, *features.videos[place + 1 :])
            features = replace(features, videos=videos)
            features.save()
            yield features
    if video.done != video.snippets:
        raise ChangedVideoError(source.path, f"ended after {video.done} of {video.snippets} snippets")
