"""The page of a fitted run: its table, every test video's timeline, and the frames most worth a look."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets.labels import Labels
from ..evaluation.auc import pooled, precision_recall, roc_auc, roc_curve
from ..progress import Progress, silent
from ..recovery.selection import best_by_window, load_selection
from ..runs.curves import Curves
from ..runs.evaluate import Result
from ..scores.causal import cold_start
from .figures import curves_figure, save_figure, timeline_figure
from .model import CardGroup, Cell, CurvePlot, Page, Table, VideoPanel
from .page import write_page
from .painter import Painter
from .thumbnails import thumbnail_step

CARDS = 4
SAMPLES = 80
"""Frames of a video shown on the page, at most."""
APART = 30
"""Two cards of one video are at least so many frames apart."""


def write_report(result: Result, progress: Progress = silent) -> Path:
    """Writes the page; one test video is held at a time, as thumbnails.

    Args:
        result: what `evaluate` returned.
        progress: told after every test video.

    Returns:
        ``results/report.html`` in the run folder.
    """
    record, series = result.record, _series(result)
    path, painter = result.scores.folder / "results/report.html", Painter(result.scores)
    write_page(
        path,
        Page(
            title=f"{record.recipe['name']} on {record.data.name}",
            facts=_facts(result),
            tables=[_auc_table(result), *_place_tables(result), _window_table(result)],
            curves=_curves(series, result.labels),
            videos=_panels(result, series, painter, progress),
            cards=_cards(series["causal"]["fused"], result.labels, painter),
        ),
    )
    return path


def write_figures(result: Result, progress: Progress = silent) -> Path:
    """Writes vector pictures for a paper: ROC, precision and recall, and every test video's timeline.

    Returns:
        The folder ``results/figures``.
    """
    series, folder = _series(result), result.scores.folder / "results/figures"
    for plot, name in zip(_curves(series, result.labels), ("roc", "precision-recall"), strict=True):
        save_figure(curves_figure(plot), folder / f"{name}.pdf")
    videos = result.scores.videos
    for done, (name, video) in enumerate(videos.items()):
        for protocol, rows in series.items():
            figure = timeline_figure(
                {row: scores[name] for row, scores in rows.items()},
                video.open().rate,
                labels=result.labels[name],
                threshold=result.events.threshold if protocol == "causal" else None,
                title=f"{name}, {protocol} protocol",
            )
            save_figure(figure, folder / f"{name}-{protocol}.pdf")
        progress(done + 1, len(videos), name)
    return folder


def _series(result: Result) -> dict[str, Curves]:
    """Protocol → row → video → frame scores: the streams, and the fusion last."""
    rows = {"recovery": result.chosen, "retrieval": "retrieval", "fused": "fused"}
    return {protocol: {shown: curves[row] for shown, row in rows.items()} for protocol, curves in result.series.items()}


def _facts(result: Result) -> list[tuple[str, str]]:
    record, seconds = result.record, sum(took or 0 for took in result.record.seconds.values())
    events = result.events
    found = "–" if events.recall is None else f"{events.found} of {events.events}"
    delay = "–" if events.median_delay is None else f"{events.median_delay:.1f} s"
    hourly = "–" if events.false_alarms_per_hour is None else f"{events.false_alarms_per_hour:.0f}"
    return [
        ("recipe", str(record.recipe["name"])),
        ("seed", str(record.seed)),
        ("data", record.data.name),
        ("test videos", str(len(result.scores.videos))),
        ("events found, causal", found),
        ("median delay", delay),
        ("false alarms", f"{events.false_alarms}: {hourly} an hour of normal video"),
        ("alarm threshold", f"{events.threshold:.2f}, set on held-out normal video"),
        ("fitted in", f"{seconds / 60:.1f} minutes"),
        ("versions", f"twostream-vad {record.versions['twostream-vad']}, torch {record.versions['torch']}"),
        ("machine", f"{record.machine['processor']}, {record.machine['device']}, {record.machine['threads']} threads"),
        ("written", record.time),
    ]


def _auc_table(result: Result) -> Table:
    rows: list[list[str | Cell]] = []
    for protocol, title in (("paper", "paper's protocol"), ("causal", "causal protocol")):
        known = result.record.protocols[protocol].rows
        rows.append([title])
        for row, metrics in known.items():
            main = row == "fused"
            values = (metrics.micro_auc, metrics.macro_auc, metrics.average_precision, metrics.equal_error_rate)
            interval = "" if metrics.interval is None else "–".join(f"{100 * end:.1f}" for end in metrics.interval)
            rows.append(
                [
                    Cell(f"{row} (chosen)" if row == result.chosen else row, emphasised=main),
                    *(Cell("" if v is None else f"{100 * v:.2f}", emphasised=main) for v in values),
                    Cell(interval, emphasised=main),
                ]
            )
    rows.append(["gap between the protocols"])
    gap = result.rows["gap: fused − causal fused"]
    rows.append(["fused − causal fused", *(f"{100 * value:.2f}" for value in gap), "", "", ""])
    return Table(
        "Results",
        ["score", "micro-AUC", "macro-AUC", "AP", "EER", "micro-AUC, 95 %"],
        rows,
        "In %. MLE: maximum local error, by window; FLE: frame-level error. AP: average precision; EER: equal error "
        "rate. The interval is a bootstrap over videos. Paper: each video scaled by its own scores, smoothed both "
        "ways. Causal: on the scale of held-out normal video, from the past alone.",
    )


def _place_tables(result: Result) -> list[Table]:
    names = {
        "pixel_auc": "pixel-level AUC (all pixels of all frames)",
        "localised_frame_auc": "AUC of frames found in their place (40 % of the pixels)",
        "rbdc": "RBDC",
        "tbdc": "TBDC",
    }
    facts = result.record.localisation or {}
    rows = [[name, f"{100 * facts[key]:.2f}"] for key, name in names.items() if key in facts]
    if not rows:
        return []
    given = [
        f"{what} {facts[key]}"
        for what, key in (("masks of", "pixels_from"), ("tracks of", "tracks_from"))
        if key in facts
    ]
    caption = f"Of context recovery's heat, by {', '.join(given)}; tracks of masks are their parts linked over time."
    return [Table("Where", ["metric", "%"], rows, caption)]


def _window_table(result: Result) -> Table:
    candidates = load_selection(result.scores.folder / "recovery/selection.json")
    rows = [
        [
            Cell(str(c.window), emphasised=place == 0),
            f"{c.score_l1:g}",
            "yes" if c.channel_l2 else "no",
            c.crops,
            *(f"{100 * value:.2f}" for value in (*c.aucs.values(), c.mean)),
        ]
        for place, c in enumerate(best_by_window(candidates))
    ]
    return Table(
        "Choice of the error window",
        ["window", "λ", "channel-L2", "crops", *candidates[0].aucs, "mean"],
        rows,
        "Micro-AUC in % on pseudo-anomalies made of normal video; no test label is read. The first row is used.",
    )


def _curves(series: dict[str, Curves], labels: Labels) -> list[CurvePlot]:
    roc, recall = [], []
    for protocol, rows in series.items():
        scores = {name: cold_start(values) for name, values in rows["fused"].items()}
        values, positive = pooled(scores, labels)
        rates, precision = roc_curve(values, positive), precision_recall(values, positive)
        roc.append((f"fused, {protocol}", rates.false_positive_rate, rates.true_positive_rate))
        recall.append((f"fused, {protocol}", precision.recall, precision.precision))
    return [
        CurvePlot("ROC, all frames", "false positive rate", "true positive rate", roc, diagonal=True),
        CurvePlot("Precision and recall, all frames", "recall", "precision", recall),
    ]


def _panels(result: Result, series: dict[str, Curves], painter: Painter, progress: Progress) -> Iterator[VideoPanel]:
    known = result.scores.known
    least = thumbnail_step(sum(video.frames for video in known.values()))
    for done, video in enumerate(result.scores.videos.values()):
        frames, truth = known[video.name].frames, result.labels[video.name]
        mixed = 0 < truth.sum() < frames
        fused = series["paper"]["fused"][video.name]
        yield VideoPanel(
            name=video.name,
            frames=frames,
            rate=video.open().rate,
            labels=truth,
            series={
                protocol: {row: scores[video.name] for row, scores in rows.items()} for protocol, rows in series.items()
            },
            thumbnails=painter.thumbnails(video.name, frames, max(least, -(-frames // SAMPLES))),
            thresholds={"causal": result.events.threshold},
            note=f"AUC {100 * roc_auc(fused, truth):.1f} %" if mixed else "one class only",
        )
        progress(done + 1, len(known), video.name)


def _cards(fused: dict[str, NDArray[np.float64]], labels: Labels, painter: Painter) -> list[CardGroup]:
    fused = {name: cold_start(scores) for name, scores in fused.items()}
    alarms = _extremes(fused, labels, anomalous=True, highest=True)
    false = _extremes(fused, labels, anomalous=False, highest=True)
    missed = _extremes(fused, labels, anomalous=True, highest=False)
    return [
        CardGroup(
            title,
            text,
            [painter.card(video, frame, f"causal score {fused[video][frame]:.2f}") for video, frame in p],
        )
        for title, text, p in (
            ("Highest anomalies", "Anomalous frames with the highest causal scores.", alarms),
            ("Worst false alarms", "Normal frames with the highest causal scores.", false),
            ("Worst misses", "Anomalous frames with the lowest causal scores.", missed),
        )
        if p
    ]


def _extremes(
    fused: dict[str, NDArray[np.float64]], labels: Labels, *, anomalous: bool, highest: bool
) -> list[tuple[str, int]]:
    found = [
        (float(score), name, frame)
        for name, scores in fused.items()
        for frame, score in enumerate(scores)
        if bool(labels[name][frame]) == anomalous
    ]
    picked: list[tuple[str, int]] = []
    for _, name, frame in sorted(found, reverse=highest):
        if all(name != other or abs(frame - at) >= APART for other, at in picked):
            picked.append((name, frame))
        if len(picked) == CARDS:
            break
    return picked
