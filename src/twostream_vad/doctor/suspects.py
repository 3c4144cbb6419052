"""Training video that looks anomalous to a fitted run: a look at what is meant to be normal, for the doctor."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from ..datasets.dataset import Video
from ..detector.detector import JOIN_SECONDS, VideoScores
from ..errors import TsvadError
from ..progress import Progress, silent
from ..video.frames import FrameSource, VideoError
from ..video.ranges import in_words
from .findings import Finding, counted

LEAST_SECONDS = 0.5  # a shorter segment is passed over
SHOWN = 5  # segments named of a video, the highest scores first
REMEDY = (
    f"watch it, from {JOIN_SECONDS:g} s before on; if that is not normal, take it out of training and fit again, "
    "else leave it"
)


class Scorer(Protocol):
    """What is asked of a `Detector`."""

    def score(self, source: FrameSource, progress: Callable[[int], None] = ..., keep: None = None) -> VideoScores: ...


def suspicious_segments(scorer: Scorer, videos: Sequence[Video], progress: Progress = silent) -> list[Finding]:
    """Stretches of training videos where the fused causal score reaches the run's alarm threshold.

    The videos need not be those of the run. Videos that set the threshold stay below it but for rounding, unless
    the recipe's ``calibration.quantile`` lies below 1. A video that breaks, or has no score, gives a note. Findings
    are in the videos' order, those of a video by falling peak score. ``progress`` is told videos done, videos in
    all, and the video and frame at work. TsvadError, naming the video, for frames that the run's view does not fit.
    """
    found: list[Finding] = []
    for number, video in enumerate(videos):
        name = f"training/{video.name}"

        def tell(frames: int, number: int = number, name: str = name) -> None:
            progress(number, len(videos), f"{name}, {counted(frames, 'frame')}")

        try:
            source = video.open()
            found += _segments(name, scorer.score(source, tell), source.rate)
        except (VideoError, OSError) as error:
            found.append(Finding.of("not-judged", "note", name, f"the run cannot score it: {error}"))
        except TsvadError as error:
            raise TsvadError(f"{name}: {error}") from error
        progress(number + 1, len(videos), name)
    return found


def _segments(name: str, scores: VideoScores, rate: float) -> Iterator[Finding]:
    if np.isnan(scores.fused).all():
        what = f"{counted(len(scores.fused), 'frame')}, no snippet of the run fits"
        yield Finding("not-judged", "note", name, what, "the run cannot score it; that is no fault")
        return
    segments = [alarm for alarm in scores.alarms() if (alarm.last - alarm.first + 1) / rate >= LEAST_SECONDS]
    segments.sort(key=lambda segment: -segment.score)  # equal ones stay in order of time
    more = len(segments) - SHOWN
    for place, segment in enumerate(segments[:SHOWN], start=1):
        frames = ((segment.first, segment.last),)
        first, last = scores.times[[segment.first, segment.last]]
        what = (
            f"{in_words(frames)} ({first:.1f} to {last:.1f} s): "
            f"score up to {segment.score:.2f}, alarm at {scores.threshold:.2f}"
        )
        if place == SHOWN and more > 0:
            what += f"; {counted(more, 'segment')} more of this video, with lower scores, not named"
        yield Finding("anomalous-looking", "warning", name, what, REMEDY, frames)
