"""Frames out of video files, in parallel and resumable; videos that are images already are only counted."""

import errno
import multiprocessing
import os
import re
import secrets
import shutil
import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2

from ..errors import one_line
from ..progress import Progress, silent
from ..video.frames import VideoError
from ..video.images import encode_jpeg
from .errors import DatasetError
from .layouts import Dataset, Video
from .manifest import PREPARED, Entry, Manifest, Prepared, Source, read_manifest

SUFFIX = ".jpg"
JPEG_QUALITY = 100
FULL = (errno.ENOSPC, errno.EDQUOT)


class PrepareError(DatasetError):
    """Videos that could not be prepared, a line each; the others are done and kept."""

    def __str__(self) -> str:
        return "\n".join(map(one_line, self.args[0].split("\n")))


class _Job(NamedTuple):
    split: str
    video: Video
    source: Source
    folder: str  # as an Entry has it
    target: Path | None  # where the frames go; None: count only
    partial: Path  # where they lie until all of them are there

    @property
    def key(self) -> tuple[str, str]:
        return self.split, self.video.name


def prepare(dataset: Dataset, out: Path, *, workers: int | None = None, progress: Progress = silent) -> None:
    """Extracts the frames of every video file to ``out/<split>/frames/<name>/<000000>.jpg``, of quality 100.

    A video appears there only when it is complete, and ``out/prepared.json`` says so: what is done is not
    done again unless its source changed. ``skip`` is applied, so index 0 is the first frame that counts.
    ``workers`` are processes, None for one a CPU; with 1, all is done in this process. ``progress`` is told videos
    done, videos in all, and the name of the one just done. PrepareError where videos are broken (after all others are
    done), or the disk is full; DatasetError where ``out`` is the dataset's own folder or holds other people's frames.
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
        if error.errno not in FULL:
            raise
        raise PrepareError(
            f"the disk of {out} is full; the videos that are complete are kept: free some space and run again"
        ) from None


def _plan(dataset: Dataset, out: Path) -> list[_Job]:
    """Each video with its place, done or not, once it is sure that nothing of the dataset is overwritten."""
    jobs = []
    run = secrets.token_hex(4)  # a worker that outlives a killed run must not write among ours
    for split, video in dataset.videos:
        path, target = video.path.resolve(), out / split / "frames" / video.name
        images = path.is_dir()
        try:
            files = [file.stat() for file in (path.iterdir() if images else [path])]
        except OSError as error:
            raise DatasetError(f"{error.filename} cannot be read: {error.strerror}; look at its permissions") from None
        size, modified = sum(file.st_size for file in files), max((file.st_mtime_ns for file in files), default=0)
        source = Source(str(path), size, modified, video.skip, None if images else SUFFIX)
        folder = str(path) if images else target.relative_to(out).as_posix()
        partial = target.with_name(f".{video.name}.{run}.partial")
        jobs.append(_Job(split, video, source, folder, None if images else target, partial))
        if images and path.is_relative_to((out / split).resolve()):
            raise DatasetError(f"{out} already holds the frames of {split} video {video.name}; nothing to prepare")
    if any(job.target for job in jobs) and out.resolve() == dataset.root.resolve():
        raise DatasetError(f"{out} is the dataset's own folder; give another for the frames, so that none is mixed up")
    return jobs


def _prepare(jobs: list[_Job], manifest: Manifest, out: Path, workers: int, progress: Progress) -> list[str]:
    """Does what is not done yet. Returns what failed, a line a video."""
    todo = [job for job in jobs if not _is_done(job, manifest.entries)]
    manifest.write(out)
    done, failures = len(jobs) - len(todo), []
    with closing(_results(todo, workers)) as results:  # an error here cancels what has not begun
        for job, result in results:
            if isinstance(result, Entry):
                # Killed anywhere in between, the next run does this video again.
                if job.target is not None and job.target.exists():
                    shutil.rmtree(job.target)  # an older extraction: see _is_done
                manifest.put(result)
                manifest.write(out)
                if job.target is not None:
                    job.partial.replace(job.target)
            else:
                failures.append(f"{job.split} video {job.video.name}: {result}")
            done += 1
            progress(done, len(jobs), job.video.name)
    return failures


def _is_done(job: _Job, entries: Mapping[tuple[str, str], Entry]) -> bool:
    """Whether the video lies ready and its source is still what it was; if not, its place is cleared."""
    entry, target = entries.get(job.key), job.target
    frames = entry.prepared.frames if entry is not None and entry.source == job.source else None
    if target is None or (target.is_dir() and len(list(target.iterdir())) == frames):
        return frames is not None
    if target.exists() and (entry is None or entry.source.suffix is None):  # it may be somebody's only copy
        raise DatasetError(f"{target} was not made by prepare and is not replaced; move it or give another folder")
    left = re.compile(re.escape(f".{target.name}.") + r"[0-9a-f]{8}\.partial")  # by runs that were killed
    for path in target.parent.iterdir() if target.parent.is_dir() else ():
        if left.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    return False


def _results(jobs: list[_Job], workers: int) -> Generator[tuple[_Job, Entry | str]]:
    """Each job with what `_work` made of it, in the order in which they end."""
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
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:  # a pool's worker would wait for work for ever where its parent was killed
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _work(job: _Job) -> Entry | str:
    """Counts a video's frames and, given a target, writes them to the job's partial; a string is what failed."""
    count, height, width = 0, 0, 0
    try:
        if job.target is not None:
            job.partial.mkdir(parents=True)
        source = job.video.open()
        for count, frame in enumerate(source, start=1):
            height, width = frame.image.shape[:2]
            if job.target is not None:
                # Encoded in memory and written by Python: OpenCV's own writer does not say why it fails.
                (job.partial / f"{count - 1:06d}{SUFFIX}").write_bytes(encode_jpeg(frame.image, JPEG_QUALITY))
    except (VideoError, OSError) as error:
        shutil.rmtree(job.partial, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in FULL:  # then no other video can be done either
            raise OSError(error.errno, error.strerror) from None
        return str(error)  # since not every exception survives pickling
    prepared = Prepared(job.video.name, job.split, count, height, width)
    return Entry(prepared, job.source, job.folder, source.rate, job.video.skip if job.target is None else 0)


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
