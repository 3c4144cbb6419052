"""A rendered plaza under a fixed camera, with labels, masks and tracks: for the demo and for tests."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TsvadError
from .scene import Split, draw_crowd, draw_event, draw_light, place_events, plan_events
from .stage import Box, PlazaFrame, Stage
from .view import Camera, Image

VERSION = 3  # of the drawing: goes up when the same settings give other pixels
JPEG_QUALITY = 92
SPLITS: tuple[Split, Split] = ("training", "testing")


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
        smallest = {
            "width": 32,
            "height": 24,
            "training_videos": 1,
            "testing_videos": 1,
            "frames": 1,
            "seed": 0,
        }
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise PlazaError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not 0 < self.rate < float("inf"):
            raise PlazaError(f"rate must be above 0 frames a second, got {self.rate}")

    def videos(self, split: Split) -> list[str]:
        """The split's video names: 01, 02, …"""
        count = self.training_videos if split == "training" else self.testing_videos
        return [f"{i + 1:0{max(2, len(str(count)))}d}" for i in range(count)]


def render_frames(settings: PlazaSettings, split: Split, video: int) -> Iterator[PlazaFrame]:
    """The frames of one video, one at a time; ``video`` counts from 0.

    Raises:
        PlazaError: the split has no video of that index.
    """
    count = len(settings.videos(split))
    if not 0 <= video < count:
        raise PlazaError(f"there is no {split} video {video}: the settings ask for {count}, counted from 0")
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), video])
    camera, seconds = Camera(settings.width, settings.height), settings.frames / settings.rate
    light = draw_light(rng)
    actors = draw_crowd(rng, camera, seconds)
    if split == "testing":
        kinds = plan_events(settings.seed, settings.testing_videos)[video]
        for kind, moment in zip(kinds, place_events(rng, kinds, seconds), strict=True):
            actors += draw_event(rng, camera, kind, seconds, moment)
    stage = Stage((settings.width, settings.height), actors, light, settings.seed, rng)
    return (stage.frame(index / settings.rate) for index in range(settings.frames))


def render_plaza(out: Path, settings: PlazaSettings, *, progress: Callable[[int, int], None] | None = None) -> None:
    """Write the whole dataset: the frames of both splits, and what is true of the test videos.

    - ``training/frames/01/000000.jpg`` …, ``testing/frames/…``;
    - ``labels.npz``: video -> (n,) uint8, 1 where the mask has any pixel;
    - ``masks.npz``: video -> ``np.packbits(mask, axis=-1)`` of (n, H, W);
    - ``tracks/<video>.txt``: rows of track, frame, x_min, y_min, x_max, y_max, both ends included;
    - ``plaza.json``: the settings and the events.

    The folder appears when it is complete; one that is complete already is left alone.
    ``progress`` is told (frames done, frames in all).

    Raises:
        PlazaError: ``out`` holds a plaza of other settings, or something else.
    """
    if _is_complete(out, settings):
        return
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    counter = _Counter(settings, progress)
    for index, name in enumerate(settings.videos("training")):
        frames = counter.over(render_frames(settings, "training", index))
        _write_video(partial / "training" / "frames" / name, frames)
    labels: dict[str, NDArray[np.uint8]] = {}
    masks: dict[str, NDArray[np.uint8]] = {}
    events: list[dict[str, str | int]] = []
    for index, name in enumerate(settings.videos("testing")):
        frames = counter.over(render_frames(settings, "testing", index))
        masks[name], boxes = _write_video(partial / "testing" / "frames" / name, frames)
        labels[name] = np.asarray(masks[name].any(axis=(1, 2)), np.uint8)
        _write_tracks(partial / "tracks" / f"{name}.txt", boxes)
        events += _events(name, boxes)
    _write_arrays(partial / "labels.npz", labels)
    _write_arrays(partial / "masks.npz", masks)
    about = {"version": VERSION, "settings": asdict(settings), "events": events}
    (partial / "plaza.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    partial.replace(out)


class _Counter:
    """Tells ``progress`` of every frame that passes."""

    def __init__(self, settings: PlazaSettings, progress: Callable[[int, int], None] | None) -> None:
        self.done, self.total = 0, settings.frames * (settings.training_videos + settings.testing_videos)
        self.progress = progress

    def over(self, frames: Iterator[PlazaFrame]) -> Iterator[PlazaFrame]:
        for frame in frames:
            yield frame
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.total)


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


def _write_video(folder: Path, frames: Iterator[PlazaFrame]) -> tuple[NDArray[np.uint8], list[tuple[int, Box]]]:
    """Write the pictures; return the packed masks (n, H, ceil(W / 8)) and (frame, box) pairs."""
    folder.mkdir(parents=True)
    masks: list[NDArray[np.uint8]] = []
    boxes: list[tuple[int, Box]] = []
    for index, frame in enumerate(frames):
        _write_jpeg(folder / f"{index:06d}.jpg", frame.image)
        masks.append(np.packbits(frame.mask, axis=-1))
        boxes += [(index, box) for box in frame.boxes]
    return np.stack(masks), boxes


def _write_jpeg(path: Path, image: Image) -> None:
    written, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert written
    path.write_bytes(data.tobytes())


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    np.savez_compressed(path, **arrays)


def _write_tracks(path: Path, boxes: list[tuple[int, Box]]) -> None:
    path.parent.mkdir(exist_ok=True)
    ordered = sorted(boxes, key=lambda pair: (pair[1].track, pair[0]))
    rows = [f"{b.track},{frame},{b.x_min},{b.y_min},{b.x_max},{b.y_max}\n" for frame, b in ordered]
    path.write_text("".join(rows), encoding="ascii")


def _events(video: str, boxes: list[tuple[int, Box]]) -> list[dict[str, str | int]]:
    """One entry a track: where it is first and last seen."""
    events: list[dict[str, str | int]] = []
    for track in sorted({box.track for _, box in boxes}):
        seen = [(frame, box.kind) for frame, box in boxes if box.track == track]
        first, last = seen[0][0], seen[-1][0]
        events.append({"video": video, "track": track, "kind": seen[0][1], "first": first, "last": last})
    return events
