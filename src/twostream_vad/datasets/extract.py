"""One video's frames as image files; a training video is resampled and parted at gaps, a test video stays whole."""

import errno
import shutil
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..video.frames import FrameSource, ImageFolder, VideoError, VideoFile
from ..video.images import encode_jpeg
from ..video.probing import still_written
from ..video.remarks import remarks
from ..video.ticks import SAME, at_ticks
from .dataset import Video
from .manifest import Entry, Prepared, Source

SUFFIX = ".jpg"
JPEG_QUALITY = 100
FULL = (errno.ENOSPC, errno.EDQUOT)


class Job(NamedTuple):
    split: str
    video: Video
    source: Source
    out: Path
    target: Path | None  # where the frames go; None: count only
    partial: Path  # where they lie until all of them are there

    @property
    def key(self) -> tuple[str, str]:
        return self.split, self.video.name


def extract(job: Job) -> list[Entry] | str:
    """Counts a video's frames and, given a target, writes them to the job's partial; a string is what failed."""
    try:
        source = job.video.open()
        if isinstance(source, VideoFile) and still_written(source.path):
            raise VideoError(f"{source.path} is still being written; wait until it is finished, or leave it out")
        entries = _counted(job, source) if job.target is None else _extracted(job, source)
        if isinstance(source, VideoFile) and source.grew:
            raise VideoError(f"{source.path} grew while it was read; wait until it is finished, or leave it out")
    except (VideoError, OSError) as error:
        shutil.rmtree(job.partial, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in FULL:  # then no other video can be done either
            raise OSError(error.errno, error.strerror) from None
        return str(error)  # since not every exception survives pickling
    return entries


def _counted(job: Job, source: FrameSource) -> list[Entry]:
    count, height, width = 0, 0, 0
    for frame in source:
        count += 1
        height, width = frame.image.shape[:2]
    prepared = Prepared(job.video.name, job.split, count, height, width)
    depth = source.depth if isinstance(source, ImageFolder) else None
    return [Entry(prepared, job.source, job.source.path, source.rate, job.video.skip, depth=depth)]


def _extracted(job: Job, source: FrameSource) -> list[Entry]:
    """The video's frames as files: of a training video a folder a part, of a test video all frames in one."""
    assert job.target is not None
    parts, times, height, width, gap = list[int](), array("d"), 0, 0, True
    for frame in source if job.source.rate is None else at_ticks(source, job.source.rate):
        height, width = frame.image.shape[:2]
        if job.split == "training" and frame.lost:
            gap = True
            continue
        if gap:
            parts.append(0)
            gap = False
            (job.partial / _part(job, len(parts))).mkdir(parents=True)
        # Encoded in memory and written by Python: OpenCV's own writer does not say why it fails.
        file = job.partial / _part(job, len(parts)) / f"{parts[-1]:06d}{SUFFIX}"
        file.write_bytes(encode_jpeg(frame.image, JPEG_QUALITY))
        parts[-1] += 1
        times.append(frame.time)
    if not parts:
        raise VideoError(f"{source.path} has no whole frame; record or copy it again, or leave it out")
    if len(parts) == 1:
        (job.partial / _part(job, 1)).replace(job.partial / job.target.name)
    lost = source.lost if isinstance(source, VideoFile) and job.split == "testing" else ()
    rate, found = job.source.rate or source.rate, []
    kept = _kept_times(job, np.asarray(times), rate) if job.split == "testing" else None
    notes = _notes(job, source, len(parts))
    for number, count in enumerate(parts, start=1):
        name = job.target.name if len(parts) == 1 else _part(job, number)
        prepared = Prepared(name, job.split, count, height, width)
        place = (job.target.parent / name).relative_to(job.out).as_posix()
        found.append(Entry(prepared, job.source, place, rate, 0, kept, lost, notes if number == 1 else ()))
    return found


def _part(job: Job, number: int) -> str:
    return f"{job.video.name}-part{number}"


def _kept_times(job: Job, times: NDArray[np.float64], rate: float) -> str | None:
    """Writes a test video's times to the partial where they do not follow from the rate; their place in the end."""
    by_rate = (np.arange(len(times)) + job.video.skip) / rate
    if np.abs(times - by_rate).max() <= SAME / rate:
        return None
    np.save(job.partial / f"{job.video.name}.npy", times)
    return f"{job.split}/times/{job.video.name}.npy"


def _notes(job: Job, source: FrameSource, parts: int) -> tuple[str, ...]:
    if not isinstance(source, VideoFile):
        return ()
    found, name = [f"{job.split} video {job.video.name}: {remark.what}" for remark in remarks(source)], job.video.name
    if parts > 1:
        found.append(f"{job.split} video {name}: what lies before and after is taken as {parts} videos, {name}-part1 …")
    if job.source.rate and abs(source.rate / job.source.rate - 1) > SAME:
        found.append(f"{job.split} video {name}: resampled from {source.rate:.4g} to {job.source.rate:.4g} a second")
    return tuple(found)
