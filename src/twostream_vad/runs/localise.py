"""Where a run's test videos are wrong: heat maps from the errors by place, regions, and how well they fit the masks."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.manifest import Prepared
from ..datasets.masks import MaskSource, find_masks
from ..datasets.tracks import mask_tracks
from ..evaluation.pixels import LocalisedAuc, PixelAuc
from ..evaluation.regions import detect_regions, read_tracks
from ..progress import Progress, silent
from ..recovery.localise import heat_map
from ..recovery.regions import frame_regions, write_regions, write_regions_csv
from .fitted import calibration, chosen_window, recovery_settings, recovery_snippet, views
from .run import Run

Floats = NDArray[np.float64]


class HeatMaps:
    """Heat maps of a run's test videos, from the errors that scoring has left; one frame is computed at a time.

    Attributes:
        top: the largest error of all videos.
        offset: the first frame that has a heat map; nothing predicts those before it.
    """

    def __init__(self, run: Run) -> None:
        settings = recovery_settings(run)
        self._run, self._views, self._size = run, views(run), run.recipe.view.size
        self._window, self._stride = chosen_window(settings), settings.window_stride
        self.offset = recovery_snippet(settings).offset
        self.top = max((float(self._errors(video.name).max(initial=0.0)) for video in run.dataset.testing), default=0.0)

    def at(self, video: str, frame: int) -> NDArray[np.float32] | None:
        """The heat map (H, W) of a frame in its own coordinates; None for the first frames, which nothing predicts."""
        errors, known = self._errors(video), self._run.prepared["testing"][video]
        if not 0 <= frame - self.offset < len(errors):
            return None
        return heat_map(
            errors[frame - self.offset].astype(np.float32),
            self._views.boxes(known.height, known.width),
            height=known.height,
            width=known.width,
            size=self._size,
            window=self._window,
            stride=self._stride,
        )

    def _errors(self, video: str) -> NDArray[np.float16]:
        path = self._run.path(f"recovery/maps/{video}.npy")
        errors: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
        return errors


def localise(run: Run, progress: Progress = silent) -> dict[str, Any] | None:
    """Writes every test frame's regions and judges heat and regions; one frame's heat is held at a time.

    A region is where the heat is at least half of its frame's largest, and at least the median score of held-out
    normal video: ``results/regions.csv`` and ``.npz``.

    Returns:
        Pixel-level AUC (both kinds), RBDC, TBDC, and the files that they were judged by; without masks of every test
        video or tracks only what there is a truth for, and None without any.

    Raises:
        ValueError: masks of another size or number than a video's frames.
    """
    heat, masks, floor = HeatMaps(run), find_masks(run.source()), calibration(run).recovery.middle
    if masks is not None and not {video.name for video in run.dataset.testing} <= set(masks.names):
        masks = None  # of some videos only: the others need not be normal
    pixels, localised = PixelAuc(0.0, heat.top if heat.top > 0 else 1.0), LocalisedAuc()
    rows: dict[str, Floats] = {}
    videos = run.dataset.testing
    for done, video in enumerate(videos):
        progress(done, len(videos), video.name)
        known, found = run.prepared["testing"][video.name], []
        for frame, mask in enumerate(_masks(masks, known)):
            warm = heat.at(video.name, frame)
            if warm is None:
                warm = np.zeros((known.height, known.width), np.float32)
            else:
                regions = frame_regions(warm, floor=floor)
                found.append(np.column_stack([np.full(len(regions), frame), regions]))
            if mask is not None:
                pixels.add(warm, mask)
                localised.add(warm, mask)
        rows[video.name] = np.concatenate(found) if found else np.zeros((0, 6))
    progress(len(videos), len(videos))
    write_regions(run.path("results/regions.npz"), rows.items())
    write_regions_csv(run.path("results/regions.csv"), rows.items())
    return _judge(run, rows, masks, pixels, localised)


def _masks(source: MaskSource | None, known: Prepared) -> Iterator[NDArray[np.bool_] | None]:
    """A video's masks frame by frame, or None for each of its frames."""
    if source is None:
        yield from itertools.repeat(None, known.frames)
        return
    frames = 0
    for mask in source.frames(known.name, (known.height, known.width)):
        frames += 1
        if frames <= known.frames:
            yield mask
    if frames != known.frames:
        raise ValueError(
            f"{source.path}: {frames} masks of video {known.name}, which has {known.frames} frames; "
            "take the masks that were drawn on these frames"
        )


def _judge(
    run: Run,
    rows: dict[str, Floats],
    masks: MaskSource | None,
    pixels: PixelAuc,
    localised: LocalisedAuc,
) -> dict[str, Any] | None:
    facts: dict[str, Any] = {}
    tracks: dict[str, Floats] = {}
    if masks is not None:
        for key, judge in (("pixel_auc", pixels), ("localised_frame_auc", localised)):
            with contextlib.suppress(ValueError):  # all frames or all pixels of one kind
                facts[key] = judge.value()
        facts["pixels_from"] = facts["tracks_from"] = masks.path.name
    given = track_folder(run)
    if given is not None:
        tracks = {name: own for name, own in read_tracks(given).items() if name in rows}
        facts["tracks_from"] = given.name
    elif masks is not None:
        sizes = {name: (known.height, known.width) for name, known in run.prepared["testing"].items()}
        tracks = {name: mask_tracks(masks.frames(name, sizes[name])).astype(np.float64) for name in rows}
    if any(len(own) for own in tracks.values()):
        frames = sum(known.frames for known in run.prepared["testing"].values())
        judged = detect_regions(rows, tracks, frames)
        facts |= {"rbdc": judged.rbdc, "tbdc": judged.tbdc}
    return facts or None


def track_folder(run: Run) -> Path | None:
    """``tracks/VIDEO.txt`` beside the dataset's videos, rows of track, frame, x_min, y_min, x_max, y_max."""
    folder = run.data / "tracks"
    return folder if folder.is_dir() and any(folder.glob("*.txt")) else None
