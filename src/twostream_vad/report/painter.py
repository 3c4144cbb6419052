"""Pictures for the page of a run: frames, their heat, and the nearest normal clip, by random access."""

import numpy as np

from ..detector.bundle import EXEMPLARS
from ..detector.engines.engine import TORCH
from ..detector.loading import retrieval_stream
from ..retrieval.exemplars import Exemplars, Match
from ..retrieval.exemplars import sentence as nearest_sentence
from ..retrieval.features import FeatureSet
from ..runs.curves import TestScores
from ..runs.localise import HeatMaps
from ..runs.videos import image_folder
from ..video.pictures import thumbnail
from .model import Card
from .thumbnails import BRIGHTEST, Thumbnails, heat_picture, with_place


class Painter:
    """Frames, heat maps and nearest normal clips of a run's test videos."""

    def __init__(self, scores: TestScores) -> None:
        self.videos, self.heat = {name: image_folder(video) for name, video in scores.videos.items()}, HeatMaps(scores)
        self._scores, self._features = scores, FeatureSet.load(scores.folder / "retrieval/features/testing")
        self._rows = {video.name: video for video in self._features.videos}
        self._stream = retrieval_stream(scores.bundle, TORCH)
        self._exemplars = Exemplars.load(scores.bundle.path(EXEMPLARS))

    def nearest(self, video: str, frame: int) -> Match | None:
        """The normal event nearest to the snippet whose middle the frame is, where that is farthest from normal."""
        known, start = self._rows[video], int(self._scores.ticks[video][frame]) - self._stream.snippet.offset
        if not 0 <= start < known.snippets:
            return None
        first = known.first + start * known.each
        return self._stream.nearest(self._features.array()[first : first + known.each], self._exemplars)

    def thumbnails(self, video: str, frames: int, step: int) -> Thumbnails:
        """Every ``step``-th frame and its heat map, small."""
        indices = range(0, frames, step)
        pictures = [thumbnail(self.videos[video].read(index)) for index in indices]
        dark = heat_picture(np.zeros((self._scores.known[video].height, self._scores.known[video].width)))
        return Thumbnails(step, pictures, [self._heat_picture(video, index) or dark for index in indices])

    def card(self, video: str, frame: int, sentence: str) -> Card:
        """One frame with its heat map and the nearest normal clip."""
        match, known = self.nearest(video, frame), self._scores.known[video]
        plain = thumbnail(self.videos[video].read(frame), 320)
        picture, strip = with_place(match, plain, known.height, known.width)
        if match is not None:
            sentence = f"{sentence}; {nearest_sentence(match, self._stream.snippet.span)}"
        return Card(
            video=video,
            frame=frame,
            picture=picture,
            heat=self._heat_picture(video, frame),
            sentence=sentence,
            nearest=strip,
        )

    def _heat_picture(self, video: str, frame: int) -> bytes | None:
        heat = self.heat.at(video, frame)
        return None if heat is None else heat_picture(heat, BRIGHTEST)
