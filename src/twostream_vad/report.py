"""The page of a fitted run: its table, every test video's timeline, and the frames most worth a look."""

import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .datasets.labels import Labels
from .evaluation.auc import roc_auc, roc_curve
from .evaluation.page import Card, CardGroup, Cell, CurvePlot, Page, Table, VideoPanel, write_page
from .evaluation.tables import best_by_window
from .evaluation.thumbnails import Thumbnails, heat_overlay, heat_picture, thumbnail, thumbnail_step
from .recovery.localise import crop_errors, heat_map
from .recovery.window import Selection
from .results import Result, labels_of
from .run import Run
from .scores.files import read_scores
from .stages import paper_curves, recovery_settings, recovery_stream, views
from .training import Progress, silent
from .video.frames import ImageFolder

CARDS = 4
SAMPLES = 80
"""Frames of a video shown on the page, at most."""
APART = 30
"""Two cards of one video are at least so many frames apart."""

Curves = dict[str, dict[str, NDArray[np.float64]]]


def write_report(run: Run, result: Result, labels_file: Path | None = None, progress: Progress = silent) -> Path:
    """Writes the page; one test video is held at a time, as thumbnails.

    Args:
        run: a fitted run with scored test videos.
        result: what `evaluate` returned.
        labels_file: labels given by hand; None: the run's own.
        progress: told after every test video.

    Returns:
        ``results/report.html`` in the run folder.

    Raises:
        RunError: the run has no labels.
    """
    labels = labels_of(run, labels_file)
    path = run.path("results/report.html")
    curves = paper_curves(run)
    series = {
        "recovery": curves[result.chosen],
        "retrieval": curves["retrieval"],
        "fused": read_scores(run.path("results/fused.npz")),
    }
    painter = Painter(run)
    write_page(
        path,
        Page(
            title=f"{run.recipe.name} on {run.data.name}",
            facts=_facts(run),
            tables=[_auc_table(result), _window_table(run)],
            curves=[_roc(series, labels)],
            videos=_panels(run, series, labels, painter, progress),
            cards=_cards(series["fused"], labels, painter),
        ),
    )
    return path


class Painter:
    """Frames and heat maps of a run's test videos, by random access."""

    def __init__(self, run: Run) -> None:
        settings = recovery_settings(run)
        assert isinstance(settings.window, int)
        column = settings.windows.index(settings.window)
        scores = [video[:, column] for video in read_scores(run.path("recovery/scores.npz")).values() if len(video)]
        # A heat map's maximum is about the frame's MLE, so the scores give the scale.
        self.scale = float(np.percentile(np.concatenate(scores), 99.5)) if scores else 1.0
        self._size, self._window = run.recipe.view.size, settings.window
        self._stream, self._views = recovery_stream(run, settings), views(run)
        self._videos = {video.name: video.open() for video in run.dataset.testing}

    def frame(self, video: str, index: int) -> NDArray[np.uint8]:
        """One frame, (H, W, 3)."""
        source = self._videos[video]
        assert isinstance(source, ImageFolder)
        return source.read(index)

    def heat(self, video: str, index: int) -> NDArray[np.float32] | None:
        """The heat map of one frame, (H, W); None for the first frames, which nothing predicts."""
        snippet = self._stream.snippet
        if index < snippet.span:
            return None
        images = [self.frame(video, frame) for frame in snippet.frames(index - snippet.span)]
        clip = torch.stack([self._views.scored(image) for image in images], dim=2)[None]
        height, width = images[-1].shape[:2]
        return heat_map(
            crop_errors(self._stream, clip)[0],
            self._views.boxes(height, width),
            height=height,
            width=width,
            size=self._size,
            window=self._window,
            stride=self._stream.settings.window_stride,
        )

    def thumbnails(self, video: str, frames: int, step: int) -> Thumbnails:
        """Every ``step``-th frame and its heat map, small."""
        indices = range(0, frames, step)
        pictures = [thumbnail(self.frame(video, index)) for index in indices]
        height, width = self.frame(video, 0).shape[:2]
        dark = np.zeros((height, width), np.float32)
        heats = [self.heat(video, index) for index in indices]
        return Thumbnails(step, pictures, [heat_picture(dark if h is None else h, self.scale) for h in heats])

    def card(self, video: str, frame: int, sentence: str) -> Card:
        """One frame with its error map."""
        image, heat = self.frame(video, frame), self.heat(video, frame)
        return Card(
            title=f"{video}, frame {frame}",
            picture=thumbnail(image, 320),
            heat=None if heat is None else heat_overlay(image, heat, self.scale, 320),
            sentence=sentence,
            video=video,
            frame=frame,
        )


def _facts(run: Run) -> list[tuple[str, str]]:
    seconds = sum(record.get("seconds") or 0 for record in run.records().values())
    return [
        ("recipe", run.recipe.name),
        ("seed", str(run.recipe.seed)),
        ("data", run.data.name),
        ("test videos", str(len(run.prepared["testing"]))),
        ("protocol", "paper: min-max a video, smoothed both ways"),
        ("fitted in", f"{seconds / 60:.1f} minutes"),
        ("versions", f"twostream-vad {version('twostream-vad')}, torch {torch.__version__}"),
        ("machine", f"{platform.machine()}, {torch.get_num_threads()} threads"),
        ("written", time.strftime("%Y-%m-%d %H:%M")),
    ]


def _auc_table(result: Result) -> Table:
    best = [max(pair[column] for pair in result.rows.values()) for column in (0, 1)]
    rows = [
        [
            Cell(f"{row} (chosen)" if row == result.chosen else row, emphasised=row == "fused"),
            *(
                Cell(f"{100 * value:.2f}", best=value == best[column], emphasised=row == "fused")
                for column, value in enumerate(pair)
            ),
        ]
        for row, pair in result.rows.items()
    ]
    caption = "AUC in %, paper's protocol. MLE: maximum local error, by window; FLE: frame-level error."
    return Table("Results", ["score", "micro-AUC", "macro-AUC"], rows, caption)


def _window_table(run: Run) -> Table:
    selection = Selection.load(run.path("recovery/selection.json"))
    rows = [
        [
            Cell(str(c.window), emphasised=place == 0),
            f"{c.score_l1:g}",
            "yes" if c.channel_l2 else "no",
            c.crops,
            *(f"{100 * value:.2f}" for value in (c.ghosts, c.jumps, c.mean)),
        ]
        for place, c in enumerate(best_by_window(selection.candidates))
    ]
    return Table(
        "Choice of the error window",
        ["window", "λ", "channel-L2", "crops", "ghosts", "jumps", "mean"],
        rows,
        "Micro-AUC in % on pseudo-anomalies made of training video; no test label is read. The first row is used.",
    )


def _roc(series: Curves, labels: Labels) -> CurvePlot:
    names = sorted(labels)
    truth = np.concatenate([labels[name] for name in names])
    curves = []
    for row, scores in series.items():
        curve = roc_curve(np.concatenate([scores[name] for name in names]), truth)
        curves.append((row, curve.false_positive_rate, curve.true_positive_rate))
    return CurvePlot("ROC, all frames", "false positive rate", "true positive rate", curves, diagonal=True)


def _panels(run: Run, series: Curves, labels: Labels, painter: Painter, progress: Progress) -> Iterator[VideoPanel]:
    known = run.prepared["testing"]
    least = thumbnail_step(sum(video.frames for video in known.values()))
    for done, video in enumerate(run.dataset.testing):
        frames, truth = known[video.name].frames, labels[video.name]
        mixed = 0 < truth.sum() < frames
        fused = series["fused"][video.name]
        yield VideoPanel(
            name=video.name,
            frames=frames,
            rate=video.open().rate,
            labels=truth,
            series={"paper": {row: scores[video.name] for row, scores in series.items()}},
            thumbnails=painter.thumbnails(video.name, frames, max(least, -(-frames // SAMPLES))),
            note=f"AUC {100 * roc_auc(fused, truth):.1f} %" if mixed else "one class only",
        )
        progress(done + 1, len(known), video.name)


def _cards(fused: dict[str, NDArray[np.float64]], labels: Labels, painter: Painter) -> list[CardGroup]:
    alarms = _extremes(fused, labels, anomalous=True, highest=True)
    false = _extremes(fused, labels, anomalous=False, highest=True)
    missed = _extremes(fused, labels, anomalous=True, highest=False)
    return [
        CardGroup(
            title, text, [painter.card(video, frame, f"fused score {fused[video][frame]:.2f}") for video, frame in p]
        )
        for title, text, p in (
            ("Highest anomalies", "Anomalous frames with the highest scores.", alarms),
            ("Worst false alarms", "Normal frames with the highest scores.", false),
            ("Worst misses", "Anomalous frames with the lowest scores.", missed),
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
