"""Frames out of video files, in parallel and resumable; videos that are images already are only counted."""

import errno
import multiprocessing
import os
import re
import secrets
import shutil
import threading
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2

from ..progress import Progress, silent
from ..video.frames import VideoError
from .errors import DatasetError
from .layouts import Dataset, Video
from .manifest import PREPARED, Entry, Manifest, Prepared, Source, read_manifest

SUFFIX = ".jpg"
JPEG_QUALITY = 100


class PrepareError(DatasetError):
    """Videos that could not be prepared, a line each; the others are done and kept."""


@dataclass(frozen=True, slots=True)
class _Job:
    video: Video
    split: str
    source: Source
    target: Path | None  # where the frames go; None: count only
    run: str  # a run's own mark: a worker that outlives a killed run must not write among ours

    @property
    def key(self) -> tuple[str, str]:
        return self.split, self.video.name

    @property
    def partial(self) -> Path | None:
        """Where the frames lie until all of them are there."""
        return None if self.target is None else self.target.with_name(f".{self.target.name}.{self.run}.partial")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a worker sends back: plain values, since not every exception survives pickling."""

    frames: int = 0
    height: int = 0
    width: int = 0
    rate: float = 0.0
    failure: str = ""
    disk_full: bool = False


def prepare(dataset: Dataset, out: Path, *, workers: int | None = None, progress: Progress = silent) -> None:
    """Extracts the frames of every video file to ``out/<split>/frames/<name>/<000000>.jpg``, of quality 100.

    A video appears there only when it is complete, and ``out/prepared.json`` says so: what is done is not
    done again unless its source changed. ``skip`` is applied, so index 0 is the first frame that counts.

    Args:
        workers: processes; None for one a CPU. With 1, all is done in this process.
        progress: told videos done, videos in all, and the name of the one just done.

    Raises:
        PrepareError: some videos are broken (after all others are done), or the disk is full.
        DatasetError: ``out`` is the dataset's own folder or holds other people's frames; no worker.
    """
    if workers is not None and workers < 1:
        raise DatasetError(f"workers must be 1 or more, got {workers}")
    jobs = _plan(dataset, out)
    known = read_manifest(out).entries if (out / PREPARED).exists() else {}
    manifest = Manifest(dataset.root, dataset.layout, known)
    try:
        failures = _prepare(jobs, manifest, out, workers or _cpus(), progress)
        if failures:
            raise PrepareError("\n".join([f"{len(failures)} of {len(jobs)} videos could not be prepared:", *failures]))
        # In the dataset's order, without videos that it no longer has.
        manifest.entries = {job.key: manifest.entries[job.key] for job in jobs}
        manifest.complete = True
        manifest.write(out)
    except OSError as error:
        if not _is_disk_full(error):
            raise
        raise PrepareError(
            f"the disk of {out} is full; the videos that are complete are kept: free some space and run again"
        ) from None


def _plan(dataset: Dataset, out: Path) -> list[_Job]:
    """Each video with its place, done or not, once it is sure that nothing of the dataset is overwritten."""
    jobs, run = [], secrets.token_hex(4)
    for split, videos in (("training", dataset.training), ("testing", dataset.testing)):
        for video in videos:
            images = video.path.is_dir()
            target = None if images else out / split / "frames" / video.name
            jobs.append(_Job(video, split, _look(video, None if images else SUFFIX), target, run))
            if images and video.path.resolve().is_relative_to((out / split).resolve()):
                raise DatasetError(f"{out} already holds the frames of {split} video {video.name}; nothing to prepare")
    if any(job.target for job in jobs) and out.resolve() == dataset.root.resolve():
        raise DatasetError(f"{out} is the dataset's own folder; give another for the frames, so that none is mixed up")
    return jobs


def _look(video: Video, suffix: str | None) -> Source:
    """Size and time of a source: of the file, or of all images of a folder together."""
    try:
        files = [path.stat() for path in video.path.iterdir()] if suffix is None else [video.path.stat()]
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}; look at its permissions") from None
    size, modified = sum(file.st_size for file in files), max((file.st_mtime_ns for file in files), default=0)
    return Source(str(video.path.resolve()), size, modified, video.skip, suffix)


def _prepare(jobs: list[_Job], manifest: Manifest, out: Path, workers: int, progress: Progress) -> list[str]:
    """Does what is not done yet. Returns what failed, a line a video."""
    todo = [job for job in jobs if not _is_done(job, manifest)]
    for job in todo:
        _refuse_foreign(job, manifest)
        _clear(job)
    manifest.write(out)
    done, failures = len(jobs) - len(todo), []
    with closing(_outcomes(todo, workers)) as outcomes:  # an error here cancels what has not begun
        for job, outcome in outcomes:
            if outcome.disk_full:
                raise OSError(errno.ENOSPC, outcome.failure)
            if outcome.failure:
                failures.append(f"{job.split} video {job.video.name}: {outcome.failure}")
            else:
                _finish(job, outcome, manifest, out)
            done += 1
            progress(done, len(jobs), job.video.name)
    return failures


def _is_done(job: _Job, manifest: Manifest) -> bool:
    """Whether the video lies ready and its source is still what it was."""
    entry = manifest.entries.get(job.key)
    if entry is None or entry.source != job.source:
        return False
    return job.target is None or _count_files(job.target) == entry.prepared.frames


def _refuse_foreign(job: _Job, manifest: Manifest) -> None:
    """Frames that no manifest of ours names may be somebody's only copy: they are never replaced."""
    entry = manifest.entries.get(job.key)
    ours = entry is not None and entry.source.suffix is not None
    if job.target is not None and job.target.exists() and not ours:
        raise DatasetError(f"{job.target} was not made by prepare and is not replaced; move it or give another folder")


def _clear(job: _Job) -> None:
    """Removes what runs that were killed left of this video."""
    if job.target is not None:
        mark = re.compile(re.escape(f".{job.target.name}.") + r"[0-9a-f]{8}\.partial")
        for path in job.target.parent.iterdir() if job.target.parent.is_dir() else ():
            if mark.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)


def _finish(job: _Job, outcome: _Outcome, manifest: Manifest, out: Path) -> None:
    """Puts a video in its place. Killed anywhere in between, the next run does this video again."""
    video, target, partial = job.video, job.target, job.partial
    if target is not None and target.exists():
        shutil.rmtree(target)  # an older extraction, see _refuse_foreign
    folder = str(video.path.resolve()) if target is None else target.relative_to(out).as_posix()
    prepared = Prepared(video.name, job.split, outcome.frames, outcome.height, outcome.width)
    left = video.skip if target is None else 0
    manifest.put(Entry(prepared, job.source, folder, outcome.rate, left))
    manifest.write(out)
    if partial is not None and target is not None:
        partial.replace(target)


def _outcomes(jobs: list[_Job], workers: int) -> Generator[tuple[_Job, _Outcome]]:
    """Each job with its outcome, in the order in which they end."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from ((job, _work(job)) for job in jobs)
        return
    # Spawned, not forked: FFmpeg's and OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        futures = {pool.submit(_work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise PrepareError("a worker process was killed, perhaps for want of memory; use fewer workers") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker() -> None:
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's worker would wait for work for ever where its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(job: _Job) -> _Outcome:
    partial = job.partial
    try:
        if partial is not None:
            partial.mkdir(parents=True)
        return _decode(job.video, partial)
    except (VideoError, OSError) as error:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        return _Outcome(failure=str(error), disk_full=_is_disk_full(error))


def _decode(video: Video, folder: Path | None) -> _Outcome:
    """Counts a video's frames and, given a folder, writes them there."""
    source = video.open()
    count, height, width = 0, 0, 0
    for frame in source:
        height, width = frame.image.shape[:2]
        if folder is not None:
            # Encoded in memory and written by Python: OpenCV's own writer does not say why it fails.
            image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
            encoded, data = cv2.imencode(SUFFIX, image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            assert encoded
            (folder / f"{count:06d}{SUFFIX}").write_bytes(data.tobytes())
        count += 1
    return _Outcome(count, height, width, source.rate)


def _count_files(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
