"""`tsvad score`: a new video by a fitted run; and the scoring stages."""

from pathlib import Path

from cyclopts import App

from . import stages
from .common import Bar


def register(app: App) -> None:
    """Adds the commands."""
    group = App(name="score", help="Score a new video with a fitted run; or one stream on the test videos.")
    group.default(score)
    group.command(stages.score_recovery, name="recovery")
    group.command(stages.score_retrieval, name="retrieval")
    app.command(group)


def score(run: Path, video: Path, *, out: Path | None = None) -> None:
    """Score every frame of a new video: a CSV and a picture of the timeline.

    Scores follow the paper's protocol: min-max over this video, smoothed both ways, so they compare frames of one
    video and not one video with another. The raw columns are not normalised.

    Parameters
    ----------
    run
        A fitted run folder.
    video
        A video file, or a folder of numbered images.
    out
        The CSV to write; RUN/results/VIDEO.csv unless given. The picture lies beside it.
    """
    from ..detector import Detector
    from ..evaluation.figures import save_figure, timeline_figure
    from ..run import Run
    from ..scores.files import write_frame_scores
    from ..scores.timeline import on_frames
    from ..video.frames import open_source

    source = open_source(video)
    detector = Detector.load(Run.open(run))
    out = out or run / "results" / f"{source.name}.csv"
    picture = out.with_suffix(".png")
    if out == picture:
        raise ValueError(f"--out {out} is the CSV's name, the picture takes .png: give {out.with_suffix('.csv')}")
    expected = len(source) if hasattr(source, "__len__") else 0
    with Bar(f"score {source.name}") as bar:
        scores = detector.score(source, lambda done: bar(done, expected))
        if not expected:
            bar(len(scores.times), len(scores.times))
    columns = {
        "recovery": scores.recovery,
        "retrieval": scores.retrieval,
        "fused": scores.fused,
        "recovery_raw": on_frames(scores.recovery_raw, detector.recovery.snippet, len(scores.times)),
        "retrieval_raw": on_frames(scores.retrieval_raw, detector.retrieval.snippet, len(scores.times)),
    }
    write_frame_scores(out, scores.times, columns)
    drawn = {key: columns[key] for key in ("recovery", "retrieval", "fused")}
    save_figure(timeline_figure(drawn, source.rate, title=f"{source.name}, paper's protocol"), picture)
    worst = int(scores.fused.argmax())
    print(f"{len(scores.times)} frames; most anomalous: frame {worst} at {scores.times[worst]:.2f} s")
    print(f"{out}\n{picture}")
