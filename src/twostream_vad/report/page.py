"""The page of a run: one self-contained HTML file with curves, a timeline a video, and the worst frames."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..evaluation.events import stretches
from .model import PROTOCOLS, CardGroup, CurvePlot, VideoPanel
from .templates import base64, write_html

Spans = dict[str, tuple[float, float]]


def write_page(
    path: Path,
    title: str,
    videos: Iterable[VideoPanel],
    *,
    curves: Sequence[CurvePlot] = (),
    cards: Sequence[CardGroup] = (),
    template: str = "page.html.jinja",
    **more: object,
) -> None:
    """Write the page, whole or not at all, with one video in memory; ``more`` are variables of ``template``."""
    spans: Spans = {}
    shown = _panels(videos, spans)
    known = {"title": title, "facts": (), "curves": curves, "cards": cards, "protocols": PROTOCOLS}
    # The spans are full once the videos are written; the template reads them after that.
    write_html(path, template, known | {"videos": shown, "spans": spans} | more, script="page.js")


def _panels(videos: Iterable[VideoPanel], spans: Spans) -> Iterator[tuple[VideoPanel, dict[str, object]]]:
    """Each video with what its script reads; ``spans`` grows to the least and the largest score of each protocol."""
    for panel in videos:
        for protocol, named in panel.series.items():
            low, high = spans.get(protocol, (0.0, 0.0))
            known = [low, high, panel.thresholds.get(protocol, high)]
            values = np.concatenate([known, *(s[np.isfinite(s)] for s in named.values())])
            spans[protocol] = (float(values.min()), float(values.max()))
        told: dict[str, object] = {
            "frames": panel.frames,
            "rate": panel.rate,
            "labels": None if panel.labels is None else stretches(panel.labels != 0),
            "series": {p: [[name, _floats(s)] for name, s in named.items()] for p, named in panel.series.items()},
            "thresholds": dict(panel.thresholds),
        }
        yield panel, told


def _floats(scores: NDArray[np.floating]) -> str:
    """Little-endian float32 in base64; NaN where a score is not finite, or beyond float32."""
    with np.errstate(over="ignore"):
        single = scores.astype("<f4")
    return base64(np.where(np.isfinite(single), single, np.float32(np.nan)).astype("<f4").tobytes())
