"""How far an exported detector is from the one that it was made of, measured on video before anybody relies on it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ...errors import TsvadError
from ...evaluation.auc import micro_auc
from ...progress import Progress
from ...recovery.pseudo import Kind, PseudoVideo, pick_videos
from ...scores.causal import cold_start
from ...settings import PseudoSettings
from ...video.frames import ImageFolder
from ..detector import Detector, VideoScores

KINDS: tuple[Kind, ...] = ("hurries", "giants", "tumbles", "wanderers", "loiterers")
"""Pseudo-anomalies that exports are judged by: things cut out along their outlines."""
VIDEOS = 2  # normal videos that are looked at
FRAMES = 240  # of each, and of each pseudo-anomaly, at most
MOST_FALL = 0.5  # points of AUC on pseudo-anomalies, more than which int8 may not lose


class Parity(BaseModel):
    """What was found; differences are of the fused causal score, whose scale normal video set (1: 1 % reach it).

    ``relative`` is the largest difference over the largest score; alarms are counted on ``normal`` video and on
    ``pseudo``-anomalies of it; ``changed`` frames are those that alarm in one detector and not in the other.
    """

    model_config = ConfigDict(frozen=True)

    frames: int
    largest: float
    median: float
    relative: float
    changed: int
    alarms: dict[str, tuple[int, int]]  # of the detector, of the export
    auc: tuple[float, float]  # on pseudo-anomalies, %

    @property
    def fall(self) -> float:
        """Points of AUC on pseudo-anomalies that the export loses."""
        return self.auc[0] - self.auc[1]


def videos_of(folders: Mapping[str, ImageFolder], seed: int) -> list[ImageFolder | PseudoVideo]:
    """The starts of some of these normal videos, evenly spaced, and each kind of pseudo-anomaly of one of them."""
    normal = [folders[name].first(FRAMES) for name in pick_videos(list(folders), VIDEOS)[:VIDEOS]]
    settings = PseudoSettings(kinds=KINDS)
    spoilt = (PseudoVideo(normal[n % len(normal)], kind, settings, seed + n) for n, kind in enumerate(KINDS))
    return [*normal, *spoilt]


def measure(
    detector: Detector, export: Detector, videos: Iterable[ImageFolder | PseudoVideo], progress: Progress
) -> Parity:
    """Both on the same frames. TsvadError where no video is long enough for a score, or nothing was spoilt."""
    listed = list(videos)
    kinds: dict[str, list[tuple[VideoScores, VideoScores]]] = {"normal": [], "pseudo": []}
    labels: dict[str, NDArray[np.uint8]] = {}
    curves: list[dict[str, NDArray[np.float64]]] = [{}, {}]
    for done, video in enumerate(listed):
        progress(done, len(listed), video.name)
        both = detector.score(video), export.score(video)
        kinds["pseudo" if isinstance(video, PseudoVideo) else "normal"].append(both)
        if isinstance(video, PseudoVideo):
            labels[f"{done} {video.name}"] = video.labels()
            for curve, scores in zip(curves, both, strict=True):
                curve[f"{done} {video.name}"] = cold_start(scores.fused)
    progress(len(listed), len(listed))
    pairs = [pair for each in kinds.values() for pair in each]
    one, other = (np.concatenate([pair[which].fused for pair in pairs]) for which in (0, 1))
    scored = ~np.isnan(one)
    if not scored.any():
        raise TsvadError("no normal video is long enough for a score: give longer video with --normal")
    gaps = np.abs(one - other)[scored]
    loud = [scores >= detector.threshold for scores in (one, other)]
    return Parity(
        frames=int(scored.sum()),
        largest=float(gaps.max()),
        median=float(np.median(gaps)),
        relative=float(gaps.max() / np.abs(one[scored]).max()),
        changed=int((loud[0] != loud[1]).sum()),
        alarms={kind: (_alarms(each, 0), _alarms(each, 1)) for kind, each in kinds.items()},
        auc=(100 * micro_auc(curves[0], labels), 100 * micro_auc(curves[1], labels)),
    )


def _alarms(pairs: list[tuple[VideoScores, VideoScores]], which: int) -> int:
    return sum(len(pair[which].alarms()) for pair in pairs)


def as_folders(paths: Iterable[Path], rate: float) -> dict[str, ImageFolder]:
    """Folders of numbered images of normal video, by name; TsvadError for a file, which is to be prepared first."""
    found = {}
    for path in paths:
        if not path.is_dir():
            raise TsvadError(
                f"{path}: --normal takes folders of numbered images, or give the run in place of its detector; "
                f"make one by: ffmpeg -i {path} FOLDER/%06d.png"
            )
        found[path.absolute().name] = ImageFolder(path, rate=rate)
    return found
