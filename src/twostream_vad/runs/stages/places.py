"""Knowledge retrieval by place: the index of normal events, and what is normal at each place."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...errors import TsvadError
from ...progress import Progress
from ...retrieval.centres import Centres
from ...retrieval.exemplars import Exemplars
from ...retrieval.features import FeatureSet
from ...retrieval.keys import Keys
from ...retrieval.placed import save_normal, what_is_normal
from ...video.pictures import thumbnail
from ..run import Run
from ..videos import training_videos

CLIPS = 64  # looked up at once
FOLDS = 4  # parts of the training videos; each is compared with the others
Rows = NDArray[np.int64]


def index_places(run: Run, features: FeatureSet, span: int, progress: Progress) -> None:
    """Writes the centres, their exemplars, and what normal video reaches at each place.

    Normal is judged by training videos, each against the centres of others: held-out video stays unseen, and sets the
    scale and the threshold.
    """
    counts = {video.crops for video in features.videos}
    if len(counts) > 1:
        raise TsvadError(f"{run.data}: training videos give {sorted(counts)} places a frame: one camera, please")
    array, places = features.array(), counts.pop()
    rows, at = np.arange(features.rows), np.arange(features.rows) % places
    keys = Keys.fit(array, at, seed=run.recipe.seed)

    def build(chosen: Rows) -> Centres:
        built = Centres(keys, run.recipe.retrieval.centres)
        for first in range(0, len(chosen), CLIPS * places):
            part = chosen[first : first + CLIPS * places]
            built.add(array[part[0] : part[-1] + 1] if len(chosen) == len(rows) else array[part], at[part])
        return built

    centres = build(rows)
    centres.save(run.path("retrieval/centres.safetensors"))
    folds = min(FOLDS, len(features.videos))
    of_fold = np.repeat(np.arange(len(features.videos)) % folds, [video.rows for video in features.videos])

    def distances() -> Iterator[NDArray[np.float32]]:
        for fold in range(folds):
            progress(fold, folds)
            others = build(rows[of_fold != fold]) if folds > 1 else centres
            own = rows[of_fold == fold]
            for first in range(0, len(own), CLIPS * places):
                part = own[first : first + CLIPS * places]
                yield others.find(array[part], at[part])[1].reshape(-1, places)

    save_normal(run.path("retrieval/normal.safetensors"), what_is_normal(distances()))
    _exemplars(run, features, centres, span).save(run.path("retrieval/exemplars.safetensors"))
    progress(folds, folds)


def _exemplars(run: Run, features: FeatureSet, centres: Centres, span: int) -> Exemplars:
    """Of each centre the first feature that it was made of, keyed by that feature's row."""
    firsts = np.array([video.first for video in features.videos])
    video = np.searchsorted(firsts, centres.rows, side="right") - 1
    frame, place = np.divmod(centres.rows - firsts[video], features.videos[0].crops)
    places = np.stack([video, frame, place], axis=1)
    bare = Exemplars.of_centres(centres.rows, places, [video.name for video in features.videos])
    videos = training_videos(run)
    frames = sum(len(source) for source in videos.values())
    return bare.illustrated(lambda name, index: thumbnail(videos[name].read(index)), span, frames)
