"""Frames out of video files, in parallel and resumable; videos that are images already are only counted."""

import multiprocessing
import os
import re
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from pathlib import Path

import cv2

from ..errors import one_line
from ..machine import cpus
from ..progress import Progress, silent
from ..video.frames import VideoError
from .dataset import Dataset, Video
from .errors import DatasetError
from .extract import FULL, SUFFIX, Job, extract
from .manifest import PREPARED, Entry, Manifest, Source, read_manifest


class PrepareError(DatasetError):
    """Videos that could not be prepared, a line each; the others are done and kept."""

    def __str__(self) -> str:
        return "\n".join(map(one_line, self.args[0].split("\n")))


def prepare(dataset: Dataset, out: Path, *, workers: int | None = None, progress: Progress = silent) -> None:
    """Extracts the frames of every video file to ``out/<split>/frames/<name>/<000000>.jpg``, of quality 100.

    A video appears there only when it is complete, and ``out/prepared.json`` says so: what is done is not
    done again unless its source changed. ``skip`` is applied, so index 0 is the first frame that counts. Training video
    is resampled to the rate that most of it has, and parted where frames are missing or damaged; test video keeps every
    frame's number, by time, and its times.
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
        failures = _prepare(jobs, manifest, out, workers or cpus(), progress)
        if failures:
            raise PrepareError("\n".join([f"{len(failures)} of {len(jobs)} videos could not be prepared:", *failures]))
        # In the dataset's order, without videos that it no longer has.
        entries = [entry for job in jobs for entry in _entries(job, manifest.entries)]
        manifest.entries = {}
        for entry in entries:
            manifest.put(entry)
        manifest.complete = True
        manifest.write(out)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise PrepareError(
            f"the disk of {out} is full; the videos that are complete are kept: free some space and run again"
        ) from None


def _plan(dataset: Dataset, out: Path) -> list[Job]:
    """Each video with its place, done or not, once it is sure that nothing of the dataset is overwritten."""
    jobs, rate = [], _usual_rate(dataset.training)
    run = secrets.token_hex(4)  # a worker that outlives a killed run must not write among ours
    for split, video in dataset.videos:
        path, target = video.path.resolve(), out / split / "frames" / video.name
        images = path.is_dir()
        try:
            files = [file.stat() for file in (path.iterdir() if images else [path])]
        except OSError as error:
            raise DatasetError(f"{error.filename} cannot be read: {error.strerror}; look at its permissions") from None
        size, modified = sum(file.st_size for file in files), max((file.st_mtime_ns for file in files), default=0)
        resampled = None if images or split == "testing" else rate
        source = Source(str(path), size, modified, video.skip, None if images else SUFFIX, resampled)
        partial = target.with_name(f".{video.name}.{run}.partial")
        jobs.append(Job(split, video, source, out, None if images else target, partial))
        if images and path.is_relative_to((out / split).resolve()):
            raise DatasetError(f"{out} already holds the frames of {split} video {video.name}; nothing to prepare")
    if any(job.target for job in jobs) and out.resolve() == dataset.root.resolve():
        raise DatasetError(f"{out} is the dataset's own folder; give another for the frames, so that none is mixed up")
    return jobs


def _prepare(jobs: list[Job], manifest: Manifest, out: Path, workers: int, progress: Progress) -> list[str]:
    """Does what is not done yet. Returns what failed, a line a video."""
    todo = [job for job in jobs if not _is_done(job, manifest.entries)]
    manifest.write(out)
    done, failures = len(jobs) - len(todo), []
    with closing(_results(todo, workers)) as results:  # an error here cancels what has not begun
        for job, result in results:
            if not isinstance(result, str):
                # Killed anywhere in between, the next run does this video again.
                for entry in _entries(job, manifest.entries):
                    del manifest.entries[entry.prepared.split, entry.prepared.name]
                for entry in result:
                    manifest.put(entry)
                manifest.write(out)
                _move(job, result)
            else:
                failures.append(f"{job.split} video {job.video.name}: {result}")
            done += 1
            progress(done, len(jobs), job.video.name)
    return failures


def _entries(job: Job, entries: Mapping[tuple[str, str], Entry]) -> list[Entry]:
    """Those of the job's video: one, or one a part."""
    return [
        entry for (split, _), entry in entries.items() if (split, entry.source.path) == (job.split, job.source.path)
    ]


def _move(job: Job, entries: list[Entry]) -> None:
    """Puts what lies in the partial to the places that the entries name, in place of an older extraction."""
    if job.target is None:
        return
    for entry in entries:
        place = job.out / entry.folder
        if place.exists():
            shutil.rmtree(place)  # see _is_done
        (job.partial / place.name).replace(place)
        if entry.times is not None:
            times = job.out / entry.times
            times.parent.mkdir(exist_ok=True)
            (job.partial / times.name).replace(times)
    shutil.rmtree(job.partial)


def _is_done(job: Job, entries: Mapping[tuple[str, str], Entry]) -> bool:
    """Whether the video lies ready and its source is still what it was; if not, its place is cleared."""
    found, target = _entries(job, entries), job.target
    same = bool(found) and all(entry.source == job.source for entry in found)
    if target is None or (same and all(_is_there(job.out, entry) for entry in found)):
        return same
    entry = next(iter(found), None)
    if target.exists() and (entry is None or entry.source.suffix is None):  # it may be somebody's only copy
        raise DatasetError(f"{target} was not made by prepare and is not replaced; move it or give another folder")
    left = re.compile(re.escape(f".{target.name}.") + r"[0-9a-f]{8}\.partial")  # by runs that were killed
    for path in target.parent.iterdir() if target.parent.is_dir() else ():
        if left.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    return False


def _results(jobs: list[Job], workers: int) -> Generator[tuple[Job, list[Entry] | str]]:
    """Each job with what `extract` made of it, in the order in which they end."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from ((job, extract(job)) for job in jobs)
        return
    # Spawned, not forked: FFmpeg's and OpenCV's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        futures = {pool.submit(extract, job): job for job in jobs}
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


def _is_there(out: Path, entry: Entry) -> bool:
    folder = out / entry.folder
    return folder.is_dir() and len(list(folder.iterdir())) == entry.prepared.frames


def _usual_rate(videos: Sequence[Video]) -> float | None:
    """Frames a second of most video, by the files' bytes; None where there is no file that can be read."""
    rates = Counter[float]()
    for video in videos:
        if not video.path.is_dir():
            with suppress(VideoError, OSError):  # said when the video's turn comes
                rates[video.open().rate] += video.path.stat().st_size
    return rates.most_common(1)[0][0] if rates else None
