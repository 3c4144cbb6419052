"""The page of a fitted run: its table, every test video's timeline, and the frames most worth a look."""

from collections.abc import Iterator
from pathlib import Path

from ..datasets.labels import Labels
from ..evaluation.auc import pooled, precision_recall, roc_auc, roc_curve
from ..progress import Progress, silent
from ..recovery.selection import best_by_window, load_selection
from ..runs.curves import Curves, Scores
from ..runs.evaluate import Result
from ..scores.causal import cold_start
from .figures import curves_figure, save_figure, timeline_figure
from .model import CardGroup, CurvePlot, VideoPanel
from .page import write_page
from .painter import Painter
from .thumbnails import thumbnail_step

CARDS = 4
SAMPLES = 80  # frames of a video shown on the page, at most
APART = 30  # frames, at least, between two cards of one video


def write_report(result: Result, progress: Progress = silent) -> Path:
    """Writes ``results/report.html`` in the run folder; one test video is held at a time, as thumbnails."""
    folder, series, painter = result.scores.folder, _series(result), Painter(result.scores)
    path = folder / "results/report.html"
    write_page(
        path,
        f"{result.record.recipe['name']} on {result.record.data.name}",
        _panels(result, series, painter, progress),
        curves=_curves(series, result.labels),
        cards=_cards(series["causal"]["fused"], result.labels, painter),
        template="report.html.jinja",
        result=result,
        windows=best_by_window(load_selection(folder / "recovery/selection.json")),
    )
    return path


def write_figures(result: Result, progress: Progress = silent) -> Path:
    """Writes ``results/figures``: vector ROC, precision and recall, and every test video's timeline, for a paper."""
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
    for done, (name, video) in enumerate(result.scores.videos.items()):
        frames, truth = known[name].frames, result.labels[name]
        mixed = 0 < truth.sum() < frames
        fused = series["paper"]["fused"][name]
        yield VideoPanel(
            name=name,
            frames=frames,
            rate=video.open().rate,
            labels=truth,
            series={protocol: {row: scores[name] for row, scores in rows.items()} for protocol, rows in series.items()},
            thumbnails=painter.thumbnails(name, frames, max(least, -(-frames // SAMPLES))),
            thresholds={"causal": result.events.threshold},
            note=f"AUC {100 * roc_auc(fused, truth):.1f} %" if mixed else "one class only",
        )
        progress(done + 1, len(known), name)


def _cards(causal: Scores, labels: Labels, painter: Painter) -> list[CardGroup]:
    fused = {name: cold_start(scores) for name, scores in causal.items()}
    groups = (
        ("Highest anomalies", "Anomalous frames with the highest causal scores.", True, True),
        ("Worst false alarms", "Normal frames with the highest causal scores.", False, True),
        ("Worst misses", "Anomalous frames with the lowest causal scores.", True, False),
    )
    found = []
    for title, text, anomalous, highest in groups:
        frames = _extremes(fused, labels, anomalous=anomalous, highest=highest)
        cards = [painter.card(name, at, f"causal score {fused[name][at]:.2f}") for name, at in frames]
        found.append(CardGroup(title, text, cards))
    return [group for group in found if group.cards]


def _extremes(fused: Scores, labels: Labels, *, anomalous: bool, highest: bool) -> list[tuple[str, int]]:
    """Videos and frames of the most extreme scores among frames of one label, CARDS at most, APART in a video."""
    found = [
        (score, name, frame)
        for name, scores in fused.items()
        for frame, score in enumerate(scores.tolist())
        if labels[name][frame] == anomalous
    ]
    picked: list[tuple[str, int]] = []
    for _, name, frame in sorted(found, reverse=highest):
        if len(picked) < CARDS and all(name != other or abs(frame - at) >= APART for other, at in picked):
            picked.append((name, frame))
    return picked
