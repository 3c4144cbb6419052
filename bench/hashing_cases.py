"""Features that `hashing.py` compares on: of PETS 2009, a case a camera, and of a run; by hand, any arrays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twostream_vad.retrieval.features import FeatureSet, VideoRows
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.run import Run
from twostream_vad.runs.videos import image_folder, learned_rate
from twostream_vad.settings import RetrievalSettings
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.ticks import frames_of

Rows = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """Features of one camera; test rows go ``rows`` a snippet, whose scores ``combine`` makes of (S, rows)."""

    name: str
    train: Rows
    train_places: Places
    videos: tuple[VideoRows, ...]  # of the training rows
    test: Rows
    test_places: Places
    labels: NDArray[np.uint8]  # (S,)
    rows: int = 1
    combine: Callable[[NDArray[np.float64]], NDArray[np.float64]] = field(default=lambda each: each.mean(axis=1))
    settings: RetrievalSettings = field(default_factory=RetrievalSettings)


def pets_cases(path: Path) -> Iterator[Case]:
    """A case a camera."""
    with np.load(path, allow_pickle=False) as file:
        for view in sorted({name.split("|")[0] for name in file.files}):
            names = {
                split: [
                    name for name in file.files if name.startswith(f"{view}|{split}|") and name.endswith("features")
                ]
                for split in ("train", "test")
            }
            train, test = ([file[name].astype(np.float32) for name in names[split]] for split in ("train", "test"))
            labels = np.concatenate([file[name.replace("|features", "|labels")] for name in names["test"]])
            first = np.cumsum([0, *map(len, train)])
            videos = tuple(VideoRows(str(n), int(first[n]), len(x), 1, len(x)) for n, x in enumerate(train))
            rows, asked = np.concatenate(train), np.concatenate(test)
            nowhere = (np.zeros(len(rows), np.int64), np.zeros(len(asked), np.int64))
            yield Case(f"PETS {view}", rows, nowhere[0], videos, asked, nowhere[1], labels)


def run_case(folder: Path) -> Case:
    """A run's own features, of whole crops or by place, and its test labels at each snippet's middle."""
    run = Run.open(folder)
    train, test = (FeatureSet.load(run.path(f"retrieval/features/{split}")) for split in ("training", "testing"))
    settings = run.recipe.retrieval
    snippet, truth = Snippet.centred(settings.length, settings.interval), labels_of(run)
    labels = []
    for video, features in zip(run.dataset.testing, test.videos, strict=True):
        folder_of = image_folder(video)
        frames = frames_of(folder_of.times, folder_of.rate, learned_rate(run))
        labels.append(truth[video.name][frames[snippet.offset : snippet.offset + features.snippets]])
    (rows,) = {video.each for video in test.videos}
    arrays = [np.asarray(features.array(), np.float32) for features in (train, test)]
    places = [np.arange(len(array)) % rows if settings.by_place else np.zeros(len(array), np.int64) for array in arrays]
    combine = farthest if settings.by_place else mean_of_crops
    name = f"{run.data.name} ({folder.name})"
    joined = np.concatenate(labels).astype(np.uint8)
    return Case(name, arrays[0], places[0], train.videos, arrays[1], places[1], joined, rows, combine, settings)


def mean_of_crops(each: NDArray[np.float64]) -> NDArray[np.float64]:
    """A snippet's score in the paper's form, (S, crops) → (S,)."""
    mean: NDArray[np.float64] = each.mean(axis=1)
    return mean


def farthest(each: NDArray[np.float64]) -> NDArray[np.float64]:
    """A snippet's score by place, (S, places) → (S,)."""
    largest: NDArray[np.float64] = each.max(axis=1)
    return largest
