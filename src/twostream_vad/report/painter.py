"""Pictures for the page of a run: frames, their heat, and the nearest normal clip, by random access."""

import numpy as np
from numpy.typing import NDArray

from ..runs.fitted import NearestNormal, chosen_window, recovery_settings
from ..runs.localise import HeatMaps
from ..runs.run import Run
from ..scores.files import read_scores
from ..video.frames import ImageFolder
from .model import Card
from .thumbnails import Thumbnails, heat_overlay, heat_picture, thumbnail

STRIP = 4
"""Frames of the nearest normal clip on a card."""


class Painter:
    """Frames, heat maps and nearest normal clips of a run's test videos, by random access."""

    def __init__(self, run: Run) -> None:
        column = recovery_settings(run).windows.index(chosen_window(recovery_settings(run)))
        scores = [video[:, column] for video in read_scores(run.path("recovery/scores.npz")).values() if len(video)]
        # A heat map's maximum is about the frame's MLE, so the scores give the scale.
        self.scale = float(np.percentile(np.concatenate(scores), 99.5)) if scores else 1.0
        self._heat, self._nearest = HeatMaps(run), NearestNormal(run)
        self._videos = {video.name: video.open() for video in run.dataset.testing}
        self._training = {video.name: video.open() for video in run.dataset.training}

    def frame(self, video: str, index: int) -> NDArray[np.uint8]:
        """One frame, (H, W, 3)."""
        return _read(self._videos[video], index)

    def heat(self, video: str, index: int) -> NDArray[np.float32] | None:
        """The heat map of one frame, (H, W); None for the first frames, which nothing predicts."""
        return self._heat.at(video, index)

    def thumbnails(self, video: str, frames: int, step: int) -> Thumbnails:
        """Every ``step``-th frame and its heat map, small."""
        indices = range(0, frames, step)
        pictures = [thumbnail(self.frame(video, index)) for index in indices]
        height, width = self.frame(video, 0).shape[:2]
        dark = np.zeros((height, width), np.float32)
        heats = [self.heat(video, index) for index in indices]
        return Thumbnails(step, pictures, [heat_picture(dark if h is None else h, self.scale) for h in heats])

    def card(self, video: str, frame: int, sentence: str) -> Card:
        """One frame with its error map and the nearest normal clip."""
        image, heat = self.frame(video, frame), self.heat(video, frame)
        nearest = self._nearest.of(video, frame)
        strip = []
        if nearest is not None and nearest.origin is not None:
            frames = [nearest.origin.frame + place for place in nearest.frames]
            picked = [frames[round(place)] for place in np.linspace(0, len(frames) - 1, STRIP)]
            strip = [thumbnail(_read(self._training[nearest.origin.video], index)) for index in picked]
        return Card(
            title=f"{video}, frame {frame}",
            picture=thumbnail(image, 320),
            heat=None if heat is None else heat_overlay(image, heat, self.scale, 320),
            sentence=sentence if nearest is None else f"{sentence}; {nearest.sentence}",
            nearest=strip,
            video=video,
            frame=frame,
        )


def _read(source: object, index: int) -> NDArray[np.uint8]:
    assert isinstance(source, ImageFolder), "prepare leaves image folders only"
    return source.read(index)
