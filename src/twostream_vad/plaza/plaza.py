"""A rendered plaza under a fixed camera, with labels, masks and tracks: for the demo and for tests."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from ..progress import Progress, silent
from ..video.images import encode_jpeg
from .scene import draw_crowd, draw_event, draw_light, place_events, plan_events
from .stage import SUPERSAMPLING, Box, PlazaFrame, draw_frames
from .variety import PLAIN, Variety
from .view import Camera

VERSION = 3  # of the drawing: goes up when the same settings give other pixels
JPEG_QUALITY = 92
Packed = NDArray[np.uint8]
Split = Literal["training", "testing"]
SPLITS: tuple[Split, ...] = get_args(Split)


class PlazaError(TsvadError):
    """Settings that cannot be rendered, or a folder that holds something else."""


@dataclass(frozen=True)
class PlazaSettings:
    """What to render; the same settings give the same pixels."""

    width: int = 320
    height: int = 240
    rate: float = 12.5  # frames a second
    training_videos: int = 12
    testing_videos: int = 10
    frames: int = 200  # a video
    seed: int = 1

    def __post_init__(self) -> None:
        smallest = {"width": 32, "height": 24, "training_videos": 1, "testing_videos": 1, "frames": 1, "seed": 0}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise PlazaError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not 0 < self.rate < float("inf"):
            raise PlazaError(f"rate must be above 0 frames a second, got {self.rate}")

    def videos(self, split: Split) -> list[str]:
        """The split's video names: 01, 02, …"""
        count = self.training_videos if split == "training" else self.testing_videos
        return [f"{i + 1:0{max(2, len(str(count)))}d}" for i in range(count)]


def render_frames(settings: PlazaSettings, split: Split, video: int, variety: Variety = PLAIN) -> Iterator[PlazaFrame]:
    """The frames of one video, one at a time; ``video`` counts from 0."""
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), video])
    camera = Camera(SUPERSAMPLING * settings.width, SUPERSAMPLING * settings.height, variety.pose)
    seconds = settings.frames / settings.rate
    light = draw_light(rng)
    actors = draw_crowd(rng, camera, seconds, variety)
    if split == "testing":
        kinds = plan_events(settings.seed, settings.testing_videos)[video]
        for kind, moment in zip(kinds, place_events(rng, kinds, seconds), strict=True):
            actors += draw_event(rng, camera, kind, seconds, moment)
    times = (index / settings.rate for index in range(settings.frames))
    return draw_frames(camera, actors, light, times, settings.seed, rng, variety)


def render_plaza(out: Path, settings: PlazaSettings, *, progress: Progress = silent) -> None:
    """Write the whole dataset: the frames of both splits, and what is true of the test videos.

    - ``training/frames/01/000000.jpg`` …, ``testing/frames/…``;
    - ``labels.npz``: video -> (n,) uint8, 1 where the mask has any pixel;
    - ``masks.npz``: video -> ``np.packbits(mask, axis=-1)`` of (n, H, W);
    - ``tracks/<video>.txt``: rows of track, frame, x_min, y_min, x_max, y_max, both ends included;
    - ``plaza.json``: the settings and the events.

    The folder appears when it is complete; one that is complete already is left alone. ``progress`` is told frames
    done and frames in all. Raises PlazaError where ``out`` holds a plaza of other settings, or something else.
    """
    if _is_complete(out, settings):
        return
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    labels: dict[str, Packed] = {}
    masks: dict[str, Packed] = {}
    events: list[dict[str, str | int]] = []
    videos = [(split, video, name) for split in SPLITS for video, name in enumerate(settings.videos(split))]
    done = count(1)
    for split, video, name in videos:
        folder = partial / split / "frames" / name
        folder.mkdir(parents=True)
        packed: list[Packed] = []
        boxes: list[tuple[int, Box]] = []
        for index, frame in enumerate(render_frames(settings, split, video)):
            (folder / f"{index:06d}.jpg").write_bytes(encode_jpeg(frame.image, JPEG_QUALITY))
            packed.append(np.packbits(frame.mask, axis=-1))
            boxes += [(index, box) for box in frame.boxes]
            progress(next(done), settings.frames * len(videos))
        if split == "testing":
            masks[name] = np.stack(packed)
            labels[name] = np.asarray(masks[name].any(axis=(1, 2)), np.uint8)
            events += _write_tracks(partial / "tracks" / f"{name}.txt", boxes)
    np.savez_compressed(partial / "labels.npz", allow_pickle=False, **labels)
    np.savez_compressed(partial / "masks.npz", allow_pickle=False, **masks)
    about = {"version": VERSION, "settings": asdict(settings), "events": events}
    (partial / "plaza.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    partial.replace(out)


def _is_complete(out: Path, settings: PlazaSettings) -> bool:
    about = out / "plaza.json"
    if not about.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise PlazaError(f"{out} exists and is not a rendered plaza: name another folder, or remove it first")
        return False
    try:
        found = json.loads(about.read_text(encoding="utf-8"))
        version, has = found["version"], found["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise PlazaError(f"{about} cannot be read ({error}): remove {out} and render again") from error
    if version != VERSION:
        raise PlazaError(f"{out} was rendered by version {version} of the plaza, this is {VERSION}: remove it first")
    wanted = asdict(settings)
    other = [f"{name} {has.get(name)}, not {value}" for name, value in wanted.items() if has.get(name) != value]
    if other:
        raise PlazaError(f"{out} holds a plaza with {'; '.join(other)}: name another folder, or remove it first")
    return True


def _write_tracks(path: Path, boxes: list[tuple[int, Box]]) -> list[dict[str, str | int]]:
    """Write the tracks of one video; return its events, one a track: where it is first and last seen."""
    path.parent.mkdir(exist_ok=True)
    ordered = sorted(boxes, key=lambda pair: (pair[1].track, pair[0]))
    rows = [f"{b.track},{frame},{b.x_min},{b.y_min},{b.x_max},{b.y_max}\n" for frame, b in ordered]
    path.write_text("".join(rows), encoding="ascii")
    events: list[dict[str, str | int]] = []
    for track, pairs in groupby(ordered, key=lambda pair: pair[1].track):
        (first, box), *_, (last, _) = [*pairs] * 2
        events.append({"video": path.stem, "track": track, "kind": box.kind, "first": first, "last": last})
    return events
