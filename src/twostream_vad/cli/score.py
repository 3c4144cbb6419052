"""`tsvad score`: a new video by a fitted run; and the scoring stages."""

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from . import stages
from .common import Bar

if TYPE_CHECKING:
    from ..runs.run import Run


def register(app: App) -> None:
    """Adds the commands."""
    group = App(name="score", help="Score a new video with a fitted run; or one stream on the test videos.")
    group.default(score)
    group.command(stages.score_recovery, name="recovery")
    group.command(stages.score_retrieval, name="retrieval")
    app.command(group)


def score(run: Path, video: Path, *, out: Path | None = None) -> None:
    """Score every frame of a new video: a CSV and a picture of the timeline. Goes on where it was stopped.

    Two protocols. paper: min-max over this video, smoothed both ways: it compares frames of one video only. causal:
    on the scale of normal video (0 is ordinary), from the past alone: it compares videos, and has an alarm threshold;
    empty until a stream has seen its first snippet. The raw columns are the streams' own.

    Parameters
    ----------
    run
        A fitted run folder.
    video
        A video file, or a folder of numbered images.
    out
        The CSV to write; RUN/results/VIDEO.csv unless given. The picture lies beside it.
    """
    from ..detector.detector import Detector
    from ..report.figures import save_figure, timeline_figure
    from ..runs.run import Run
    from ..scores.files import write_frame_scores
    from ..scores.timeline import on_frames
    from ..video.frames import open_source

    opened = Run.open(run)
    source = open_source(video, rate=opened.recipe.rate if video.is_dir() else None)
    detector = Detector.load(opened)
    out = out or run / "results" / f"{source.name}.csv"
    picture = out.with_suffix(".png")
    if out == picture:
        raise ValueError(f"--out {out} is the CSV's name, the picture takes .png: give {out.with_suffix('.csv')}")
    expected = len(source) if hasattr(source, "__len__") else 0
    with Bar(f"score {source.name}") as bar:
        keep = _keep(opened, video)
        scores = detector.score(source, lambda done: bar(done, expected), keep)
        raw = scores.raw
        if not expected:
            bar(len(raw.times), len(raw.times))
    columns = {
        "recovery": scores.recovery,
        "retrieval": scores.retrieval,
        "fused": scores.fused,
        "causal": scores.causal,
        "recovery_raw": on_frames(raw.recovery, detector.recovery.snippet, len(raw.times)),
        "retrieval_raw": on_frames(raw.retrieval, detector.retrieval.snippet, len(raw.times)),
    }
    write_frame_scores(out, raw.times, columns)
    keep.unlink(missing_ok=True)
    drawn = {key: columns[key] for key in ("recovery", "retrieval", "fused")}
    save_figure(timeline_figure(drawn, source.rate, title=f"{source.name}, paper's protocol"), picture)
    unseen = [
        f"{name} needs {stream.snippet.span + 1}"
        for name, stream, given in (
            ("context recovery", detector.recovery, raw.recovery),
            ("knowledge retrieval", detector.retrieval, raw.retrieval),
        )
        if len(given) == 0
    ]
    if unseen:
        print(f"{len(raw.times)} frames are too few: {', '.join(unseen)}; what the CSV says of it there means nothing")
    if len(unseen) < 2:
        worst = int(scores.fused.argmax())
        print(f"{len(raw.times)} frames; most anomalous: frame {worst} at {raw.times[worst]:.2f} s")
    above = int((scores.causal >= scores.threshold).sum())
    print(f"{above} frames at or above the alarm threshold {scores.threshold:.2f} of the causal score")
    print(f"{out}\n{picture}")


def _keep(run: "Run", video: Path) -> Path:
    """Keeps a video's scores while it is being scored: another file for another video, or for a run fitted anew."""
    known = video.stat()
    facts = [str(video.resolve()), known.st_size, known.st_mtime_ns]
    facts += [run.identity(stage) for stage in ("select-window", "index")]
    return run.path(f"results/{video.stem}.{sha256(json.dumps(facts).encode()).hexdigest()[:16]}.so-far.npz")
