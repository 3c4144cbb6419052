"""`tsvad score`: a new video by a detector."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TsvadError
from .common import ANY_ENGINE, Bar, DetectorFolder, EngineOptions, Flag, packed
from .process import give_back_memory, set_up_process, with_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..detector.bundle import Bundle
    from ..detector.detector import Alarm, Detector, VideoScores
    from ..detector.explain import Explanation
    from ..report.alarms import AlarmCard
    from ..video.source import FrameSource

EXPLAINED = 50  # alarms, those with the highest scores: each costs two nets' work and 50 kB of the page
LISTED = 20  # alarms printed, in order of time
TIDY = 256  # frames from one giving back of freed memory to the next: 30 ms, and 30 MB less at most


def score(
    detector: DetectorFolder,
    video: Path,
    *,
    out: Path | None = None,
    rate: float | None = None,
    html: Flag = False,
    paper: Flag = False,
    engine: EngineOptions = ANY_ENGINE,
) -> None:
    """Score every frame of a new video: a CSV, a picture of the timeline, the alarms. Goes on where it was stopped.

    The score is causal: from the past alone, on the scale of normal video (0 is ordinary), with an alarm threshold
    that normal video set; empty until a stream has seen its first snippet. Video of another frame rate than the
    detector's is resampled by its time stamps. The CSV has the paper's protocol too (recovery, retrieval, fused:
    min-max over this video, smoothed both ways), which compares frames of one video only, and the streams' raw scores.

    Args:
        video: A video file, or a folder of numbered images.
        out: The CSV to write; RUN/results/VIDEO.csv, or VIDEO.csv here, unless given. The picture lies beside it.
        rate: Frames a second of the video, where it does not say: a folder of images (the detector's unless given), or
            a stream without a container. It replaces what a file says.
        html: Write a page beside it too: each alarm with its picture, heat map and nearest normal event.
        paper: Draw the timeline under the paper's protocol instead.
    """
    from ..detector.bundle import Bundle
    from ..detector.detector import Detector
    from ..detector.loading import beside
    from ..video.frames import ImageFolder, open_source

    set_up_process(None)
    folder = packed(detector)
    bundle = Bundle(folder)
    # Two nets, or one net two clips, at the same time: each by half of the cores.
    chosen = replace(with_cores(engine.chosen(beside(bundle)), nets=2), ranges=engine.ranges(folder))
    found = Detector.load(bundle, replace(chosen, at_once=2 if bundle.has_one_encoder else 1))
    source = open_source(video, rate=found.rate if rate is None and video.is_dir() else rate)
    out = out or (detector / "results" if folder != detector else Path()) / f"{source.name}.csv"
    picture = out.with_suffix(".png")
    if out == picture:
        raise TsvadError(f"--out {out} is the CSV's name, the picture takes .png: give {out.with_suffix('.csv')}")
    expected, keep = (
        len(source) if isinstance(source, ImageFolder) else 0,
        _keep(out, bundle, video, source.rate, engine),
    )
    with Bar(f"score {source.name}") as bar:

        def told(done: int) -> None:
            bar(done, expected)
            if done == 1 or done % TIDY == 24:  # first what loading has left, and what the nets' first clips have
                give_back_memory()

        scores = found.score(source, told, keep)
        if not expected:
            bar(len(scores.times), len(scores.times))
    columns = _write_csv(out, found, scores)
    keep.unlink(missing_ok=True)
    alarms, notes = scores.alarms(), _notes(bundle, source, scores)
    for line in (*notes, *_short(found, scores)):
        print(line)
    give_back_memory()
    explained = {card.peak_frame: card for card in _cards(found, source, scores, alarms)}
    _print_alarms(scores, alarms, explained)
    del found  # its nets' memory serves the pictures
    give_back_memory()
    _draw(picture, scores, alarms, columns if paper else {}, source.name)
    print(f"{out}\n{picture}")
    if html:
        print(_write_page(out.with_suffix(".html"), bundle, scores, list(explained.values()), source.name, notes))


def _write_csv(out: Path, detector: "Detector", scores: "VideoScores") -> "dict[str, NDArray[np.float64]]":
    """Writes the CSV; returns its columns."""
    from ..scores.files import write_frame_scores
    from ..scores.fusion import fuse
    from ..scores.timeline import on_frames, paper_timeline

    raw, snippets = scores.raw, {name: stream.snippet for name, stream in detector.streams.items()}
    placed = {name: paper_timeline(raw.streams[name], snippet, raw.count) for name, snippet in snippets.items()}
    lines = {**placed, "fused": fuse(placed, detector.weights)}
    columns = {name: line[raw.ticks] for name, line in lines.items()} | {"causal": scores.fused}
    for name, snippet in snippets.items():
        columns[f"{name}_raw"] = on_frames(raw.streams[name], snippet, raw.count)[raw.ticks]
    for column in columns.values():
        column[raw.lost] = np.nan
    write_frame_scores(out, scores.times, columns)
    return columns


def _draw(
    picture: Path, scores: "VideoScores", alarms: "list[Alarm]", paper: "dict[str, NDArray[np.float64]]", name: str
) -> None:
    """The timeline: causal against the threshold, or the paper's curves where they are given."""
    from ..report.figures import causal_figure, save_figure, timeline_figure

    if paper:
        rate = (len(scores.times) - 1) / scores.times[-1] if len(scores.times) > 1 else 1.0
        drawn = {key: paper[key] for key in (*scores.streams, "fused")}
        save_figure(timeline_figure(drawn, rate, title=f"{name}, paper's protocol"), picture)
        return
    spans = [(float(scores.times[alarm.first]), float(scores.times[alarm.last])) for alarm in alarms]
    title = f"{name}, causal score; alarm at {scores.threshold:.2f}"
    figure = causal_figure(scores.times, scores.fused, scores.threshold, spans, streams=scores.streams, title=title)
    save_figure(figure, picture)


def _notes(bundle: "Bundle", source: "FrameSource", scores: "VideoScores") -> list[str]:
    """What a reader of the scores must know of the video, which has been read to its end."""
    from ..video.frames import VideoFile
    from ..video.remarks import remarks

    pictures, raw, notes = bundle.description.pictures, scores.raw, []
    if raw.resampled:
        own = (len(raw.times) - 1) / raw.times[-1]
        notes.append(
            f"resampled by its time stamps from {own:.4g} to the detector's {pictures.rate:.4g} frames a second: "
            f"{len(raw.times)} frames, {raw.count} looked at; each frame has a score"
        )
    if isinstance(source, VideoFile):
        notes += [remark.what for remark in remarks(source)]
    image = next(iter(source)).image
    if pictures.gray and not (image == image[:, :, :1]).all():
        notes.append("the video is in colour, the detector has learned from gray pictures")
    if image.shape[0] * pictures.width != image.shape[1] * pictures.height:
        notes.append(
            f"the video is {image.shape[1]} x {image.shape[0]}, the detector's camera {pictures.width} x "
            f"{pictures.height}: another shape shows other places"
        )
    return notes


def _short(detector: "Detector", scores: "VideoScores") -> list[str]:
    """A word where the video is too short for a stream."""
    unseen = [name for name in detector.streams if len(scores.raw.streams[name]) == 0]
    if not unseen:
        return []
    needs = ", ".join(f"{name} needs {detector.streams[name].snippet.span + 1}" for name in unseen)
    return [f"{len(scores.times)} frames are too few: {needs}; what the CSV says of it there means nothing"]


def _cards(
    detector: "Detector", source: "FrameSource", scores: "VideoScores", alarms: "list[Alarm]"
) -> "Iterator[AlarmCard]":
    """The highest alarms, explained, in order of time."""
    loudest = sorted(alarms, key=lambda alarm: -alarm.score)[:EXPLAINED]
    by_peak = {alarm.peak: alarm for alarm in loudest}
    if not by_peak:
        return
    with Bar("explain") as bar:
        for done, seen in enumerate(detector.explain(source, by_peak)):
            yield _card(by_peak[seen.frame], seen, scores, detector.streams["retrieval"].snippet.span)
            bar(done + 1, len(by_peak))


def _card(alarm: "Alarm", seen: "Explanation", scores: "VideoScores", span: int) -> "AlarmCard":
    from ..report.alarms import AlarmCard
    from ..report.thumbnails import BRIGHTEST, heat_picture, with_place
    from ..retrieval.exemplars import sentence
    from ..video.pictures import thumbnail

    match, (height, width) = seen.nearest, seen.image.shape[:2]
    exemplar = None if match is None else match.exemplar
    picture, strip = with_place(match, thumbnail(seen.image, 480), height, width)
    start, end, peak = (float(scores.times[frame]) for frame in (alarm.first, alarm.last, alarm.peak))
    return AlarmCard(
        start=start,
        end=end,
        peak_time=peak,
        peak=alarm.score,
        first_frame=alarm.first,
        last_frame=alarm.last,
        peak_frame=alarm.peak,
        stream=alarm.stream,
        picture=picture,
        heat=None if seen.heat is None else heat_picture(seen.heat, BRIGHTEST),
        sentence="" if match is None else sentence(match, span),
        nearest=strip,
        where="" if exemplar is None else f"{exemplar.video}, from frame {exemplar.frame}",
    )


def _print_alarms(scores: "VideoScores", alarms: "list[Alarm]", explained: "dict[int, AlarmCard]") -> None:
    frames, above = len(scores.times), int((scores.fused >= scores.threshold).sum())
    if not alarms:
        worst = int(np.nanargmax(scores.fused)) if not np.isnan(scores.fused).all() else None
        highest = "" if worst is None else f": highest score {scores.fused[worst]:.2f} at {scores.times[worst]:.2f} s"
        print(f"{frames} frames, no alarm{highest}, threshold {scores.threshold:.2f}")
        return
    counted = "1 alarm" if len(alarms) == 1 else f"{len(alarms)} alarms"
    threshold = f"the threshold {scores.threshold:.2f} of the causal score"
    print(f"{frames} frames, {counted}: {above} frames at or above {threshold}")
    for alarm in alarms[:LISTED]:
        card = explained.get(alarm.peak)
        start, end = scores.times[alarm.first], scores.times[alarm.last]
        why = f"; {card.sentence}" if card and card.sentence else ""
        when = f"{start:.2f} to {end:.2f} s (frames {alarm.first}–{alarm.last})"
        print(f"  {when}: {alarm.score:.2f}, {alarm.stream}{why}")
    if len(alarms) > LISTED:
        print(f"  and {len(alarms) - LISTED} more")


def _write_page(
    path: Path, bundle: "Bundle", scores: "VideoScores", cards: "list[AlarmCard]", name: str, notes: list[str]
) -> Path:
    from ..report.alarms import write_alarms

    described = bundle.description
    write_alarms(
        path,
        title=name,
        facts=[
            ("detector", f"{described.recipe}, {bundle.identity[:12]}"),
            ("frames", str(len(scores.times))),
            ("duration", f"{scores.times[-1]:.1f} s" if len(scores.times) else "0 s"),
            ("alarms", str(len(scores.alarms()))),
            ("threshold", f"{scores.threshold:.2f}, set on held-out normal video"),
        ],
        times=scores.times,
        scores=scores.fused,
        threshold=scores.threshold,
        streams=scores.streams,
        alarms=cards,
        notes=notes,
    )
    return path


def _keep(out: Path, bundle: "Bundle", video: Path, rate: float, engine: EngineOptions) -> Path:
    """Keeps a video's scores while it is being scored: another file for another video, rate, detector or engine."""
    facts = [str(video.resolve()), bundle.identity, str(rate), str(engine)]
    if video.exists():
        facts += [str(video.stat().st_size), str(video.stat().st_mtime_ns)]
    digest = sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return out.with_name(f"{video.stem}.{digest}.so-far.npz")
