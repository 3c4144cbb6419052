"""Where a run's test videos are wrong: heat maps from the errors by place, regions, and how well they fit the masks."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.errors import DatasetError
from ..datasets.manifest import Prepared
from ..datasets.masks import MaskSource, find_masks
from ..datasets.tracks import mask_tracks
from ..detector.heat import joined, joint_heat
from ..evaluation.auc import NoMetricError
from ..evaluation.pixels import LocalisedAuc, PixelAuc
from ..evaluation.regions import detect_regions, read_tracks
from ..progress import Progress, silent
from ..recovery.regions import frame_regions, write_regions, write_regions_csv
from ..recovery.stream import heat_window
from ..retrieval.placed import PLACE
from .curves import TestScores

Floats = NDArray[np.float64]


class HeatMaps:
    """Heat maps of a run's test videos, from what scoring has left by place; one frame is computed at a time.

    Both streams' snippets that a frame belongs to under the paper's protocol speak of it. 1 is what the hottest place
    of normal video reaches in one snippet of a hundred, ``ordinary`` in every second; none is above ``top``.
    """

    def __init__(self, scores: TestScores) -> None:
        self._scores, told = scores, scores.bundle.description
        scales, size = told.calibration.heat, told.pictures.size
        grains = {"recovery": (heat_window(size), told.recovery.stride), "retrieval": (PLACE, PLACE)}
        self.ordinary = self.top = 0.0
        self.sights = {
            name: (grains[name], told.weights[name], scale.high)
            for name, scale in scales.items()
            if told.weights[name] > 0
        }
        if not self.sights:
            return
        tops = {
            name: max((float(self._values(name, video).max(initial=0)) for video in scores.videos), default=0.0)
            for name in self.sights
        }
        weights = {name: weight for name, (_, weight, _) in self.sights.items()}
        highs = {name: max(high, 1e-12) for name, (_, _, high) in self.sights.items()}
        self.ordinary = joined({name: scales[name].middle / highs[name] for name in self.sights}, weights)
        self.top = joined({name: tops[name] / highs[name] for name in self.sights}, weights)

    def at(self, video: str, frame: int) -> NDArray[np.float32] | None:
        """The heat map (H, W) of a frame in its own coordinates; None for those that no snippet's score is of."""
        known, bundle = self._scores.known[video], self._scores.bundle
        if not 0 <= frame < known.frames:
            return None
        tick, local = int(self._scores.ticks[video][frame]), {}
        for name in self.sights:
            values, row = self._values(name, video), tick - bundle.snippets[name].offset
            if 0 <= row < len(values):
                local[name] = values[row].astype(np.float32)
        return joint_heat(local, self.sights, bundle.views, known.height, known.width)

    def _values(self, stream: str, video: str) -> NDArray[np.float16]:
        path = self._scores.folder / f"{stream}/maps/{video}.npy"
        values: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
        return values


def localise(scores: TestScores, progress: Progress = silent) -> dict[str, Any] | None:
    """Writes every test frame's regions and judges heat and regions; one frame's heat is held at a time.

    A region is where the heat is at least half of its frame's largest, and at least what the hottest place of held-out
    normal video has in every second snippet: ``results/regions.csv`` and ``.npz``. Gives pixel-level AUC (both kinds),
    RBDC, TBDC, and the files that they were judged by; without masks of every test video or tracks only what there is a
    truth for, else None.

    Raises:
        TsvadError: masks of another size or number than a video's frames.
    """
    heat, masks = HeatMaps(scores), find_masks(scores.source)
    if masks is not None and not set(scores.videos) <= set(masks.names):
        masks = None  # of some videos only: the others need not be normal
    pixels, localised = PixelAuc(0.0, heat.top if heat.top > 0 else 1.0), LocalisedAuc()
    rows: dict[str, Floats] = {}
    for done, name in enumerate(scores.videos):
        progress(done, len(scores.videos), name)
        known, found = scores.known[name], []
        for frame, mask in enumerate(_masks(masks, known)):
            warm = heat.at(name, frame)
            if warm is None:
                warm = np.zeros((known.height, known.width), np.float32)
            else:
                regions = frame_regions(warm, floor=heat.ordinary)
                found.append(np.column_stack([np.full(len(regions), frame), regions]))
            if mask is not None:
                pixels.add(warm, mask)
                localised.add(warm, mask)
        rows[name] = np.concatenate(found) if found else np.zeros((0, 6))
    progress(len(scores.videos), len(scores.videos))
    write_regions(scores.folder / "results/regions.npz", rows.items())
    write_regions_csv(scores.folder / "results/regions.csv", rows.items())
    return _judge(scores, rows, masks, pixels, localised)


def _masks(source: MaskSource | None, known: Prepared) -> Iterator[NDArray[np.bool_] | None]:
    """A video's masks frame by frame, or None for each of its frames."""
    if source is None:
        yield from [None] * known.frames
        return
    frames = 0
    for mask in source.frames(known.name, (known.height, known.width)):
        frames += 1
        if frames <= known.frames:
            yield mask
    if frames != known.frames:
        raise DatasetError(
            f"{source.path}: {frames} masks of video {known.name}, which has {known.frames} frames; "
            "take the masks that were drawn on these frames"
        )


def _judge(
    scores: TestScores, rows: dict[str, Floats], masks: MaskSource | None, pixels: PixelAuc, localised: LocalisedAuc
) -> dict[str, Any] | None:
    facts: dict[str, Any] = {}
    tracks: dict[str, Floats] = {}
    if masks is not None:
        for key, judge in (("pixel_auc", pixels), ("localised_frame_auc", localised)):
            with contextlib.suppress(NoMetricError):  # all frames or all pixels of one kind
                facts[key] = judge.value()
        facts["pixels_from"] = facts["tracks_from"] = masks.path.name
    given = track_folder(scores.source.root)
    if given is not None:
        tracks = {name: own for name, own in read_tracks(given).items() if name in rows}
        facts["tracks_from"] = given.name
    elif masks is not None:
        sizes = {name: (known.height, known.width) for name, known in scores.known.items()}
        tracks = {name: mask_tracks(masks.frames(name, sizes[name])).astype(np.float64) for name in rows}
    if any(len(own) for own in tracks.values()):
        frames = sum(known.frames for known in scores.known.values())
        judged = detect_regions(rows, tracks, frames)
        facts |= {"rbdc": judged.rbdc, "tbdc": judged.tbdc}
    return facts or None


def track_folder(data: Path) -> Path | None:
    """``tracks/VIDEO.txt`` beside the dataset's videos, rows of track, frame, x_min, y_min, x_max, y_max."""
    folder = data / "tracks"
    return folder if folder.is_dir() and any(folder.glob("*.txt")) else None
