"""A recording of a camera: its packets in files of a minute, those minutes left out in which something was wrong."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .camera import Camera
from .trouble import Trouble

MINUTE = 60.0  # seconds of a file
SHORTEST = 5.0  # seconds of a file that is worth keeping
WAIT = 0.5


@dataclass(frozen=True)
class Taped:
    """What a recording has: seconds of normal video, bytes, and why a file was left out, the last time."""

    seconds: float
    size: int
    left_out: str = ""


class Tape:
    """Records a camera into ``folder`` until it has so many seconds, or bytes; what lies there counts.

    Packets are copied as clips are, so that files overlap by up to the distance of two key frames. A minute in which
    the camera was in trouble is left out. ``told`` hears after every file.
    """

    def __init__(self, camera: Camera, folder: Path, told: Callable[[Taped], None]) -> None:
        self._camera, self._folder, self._told = camera, folder, told
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(".*.part"):
            part.unlink()

    def record(self, seconds: float, most: int, stopped: Callable[[], bool]) -> Taped:
        """Until there are so many seconds or bytes, the camera has ended, or ``stopped``."""
        taped = self.taped()
        while taped.seconds < seconds and taped.size < most and not (stopped() or self._camera.ended):
            why = self._minute(min(MINUTE, seconds - taped.seconds + 1), stopped)
            taped = Taped(*_sum(self._folder), why)
            self._told(taped)
        return taped

    def taped(self) -> Taped:
        """What there is."""
        return Taped(*_sum(self._folder))

    def _minute(self, seconds: float, stopped: Callable[[], bool]) -> str:
        """A file; why it was left out, empty where it was not."""
        trouble, wrong, done = Trouble(), "", list[str]()
        frame = self._camera.take(WAIT)
        while frame is None and not (stopped() or self._camera.ended):
            frame = self._camera.take(WAIT)
        if frame is None:
            return "the camera gives nothing"
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path, start = self._folder / f"{name}.mp4", frame.arrived
        self._camera.clip(path, start, done.append)
        while not (done or stopped() or self._camera.ended) and time.monotonic() - start < seconds:
            if (frame := self._camera.take(WAIT)) is not None and frame.image is not None:
                wrong = trouble.push(frame.arrived, frame.image).why or wrong
        self._camera.end_clip(path, time.monotonic())
        while not done:
            self._camera.take(WAIT)
        why = done[0] or wrong
        took = time.monotonic() - start
        if not why and took < SHORTEST:
            why = f"{took:.0f} s only"
        if why:
            path.unlink(missing_ok=True)
        else:
            path.rename(path.with_name(f"{name}-{took:.0f}s.mp4"))
        return why


def _sum(folder: Path) -> tuple[float, int]:
    """Seconds and bytes of the files, whose names tell the seconds."""
    found = files(folder)
    return sum(float(path.stem.rpartition("-")[2][:-1]) for path in found), sum(path.stat().st_size for path in found)


def files(folder: Path) -> list[Path]:
    """A recording's whole files, in order of time."""
    return sorted(folder.glob("*Z-*s.mp4"))


def spread(folder: Path, into: Path, minutes: float) -> int:
    """Hard links of so many minutes' files, evenly spread over a recording, in a folder of their own; their number."""
    found = files(folder)
    count = min(len(found), max(3, round(minutes)))
    chosen = [found[int((place + 0.5) * len(found) / count)] for place in range(count)]
    into.mkdir(parents=True, exist_ok=True)
    for old in into.iterdir():
        if old.name not in {path.name for path in chosen}:
            old.unlink()
    for path in chosen:
        if not (into / path.name).exists():
            os.link(path, into / path.name)
    return count
