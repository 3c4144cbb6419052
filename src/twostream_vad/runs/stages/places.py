"""Knowledge retrieval by place: the index of normal events."""

import numpy as np

from ...errors import TsvadError
from ...progress import Progress
from ...retrieval.centres import Centres
from ...retrieval.exemplars import Exemplars
from ...retrieval.features import FeatureSet
from ...retrieval.keys import Keys
from ...retrieval.ordinary import normal_distances
from ...retrieval.placed import PLACE
from ...video.pictures import thumbnail
from ..assemble import views
from ..run import Run
from ..videos import training_videos

CLIPS = 64  # put in at once


def index_places(run: Run, features: FeatureSet, span: int, progress: Progress) -> None:
    """Writes the centres of normal events at each place, and their exemplars with pictures."""
    counts = {video.each for video in features.videos}
    if len(counts) > 1:
        raise TsvadError(f"{run.data}: training videos give {sorted(counts)} places a frame: one camera, please")
    array, places = features.array(), counts.pop()
    limit = run.recipe.retrieval.centres
    if limit < 2 * places:
        raise TsvadError(f"retrieval.centres={limit}: a frame has {places} places, and each needs several; give more")
    at = np.arange(CLIPS * places) % places
    centres = Centres(Keys.fit(array, np.arange(features.rows) % places, seed=run.recipe.seed), limit)
    for first in range(0, features.rows, CLIPS * places):
        part = array[first : first + CLIPS * places]
        centres.add(part, at[: len(part)])
        progress(first + len(part), features.rows)
    centres.normal = normal_distances(array, features.videos, views(run).size // PLACE)
    centres.save(run.path("retrieval/centres.safetensors"))
    _exemplars(run, features, centres, span).save(run.path("retrieval/exemplars.safetensors"))


def _exemplars(run: Run, features: FeatureSet, centres: Centres, span: int) -> Exemplars:
    """Of each centre the first feature that it was made of, keyed by that feature's row."""
    firsts = np.array([video.first for video in features.videos])
    video = np.searchsorted(firsts, centres.rows, side="right") - 1
    frame, place = np.divmod(centres.rows - firsts[video], features.videos[0].each)
    places = np.stack([video, frame, place], axis=1)
    bare = Exemplars.of_centres(centres.rows, places, [video.name for video in features.videos])
    videos = training_videos(run)
    frames = sum(len(source) for source in videos.values())
    return bare.illustrated(lambda name, index: thumbnail(videos[name].read(index)), span, frames)
