"""The page of a run: one self-contained HTML file with tables, curves, a timeline a video, and the worst frames."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .model import PROTOCOLS, Page, VideoPanel
from .templates import base64, write_html

Spans = dict[str, tuple[float, float]]


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all; one video at a time is held in memory."""
    spans: Spans = {}
    context = {
        "title": page.title,
        "facts": page.facts,
        "page": page,
        "videos": _panels(page.videos, spans),
        "protocols": PROTOCOLS,
        "spans": spans,  # full once the videos are written; the template reads it after them
    }
    write_html(path, "page.html.jinja", context, script="page.js")


def _panels(videos: Iterable[VideoPanel], spans: Spans) -> Iterator[tuple[VideoPanel, dict[str, object]]]:
    """Each video with what its script reads; ``spans`` grows to the least and the largest score of each protocol."""
    for panel in videos:
        for protocol, named in panel.series.items():
            low, high = spans.get(protocol, (0.0, 0.0))
            known = [low, high, panel.thresholds.get(protocol, high)]
            values = np.concatenate([known, *(s[np.isfinite(s)] for s in named.values())])
            spans[protocol] = (float(values.min()), float(values.max()))
        data: dict[str, object] = {
            "frames": panel.frames,
            "rate": panel.rate,
            "labels": None if panel.labels is None else label_spans(panel.labels),
            "series": {p: [[name, _floats(s)] for name, s in named.items()] for p, named in panel.series.items()},
            "thresholds": dict(panel.thresholds),
        }
        yield panel, data


def label_spans(labels: NDArray[np.generic]) -> list[tuple[int, int]]:
    """The anomalous stretches of (frames,) labels: first frame, and the one after the last."""
    edges = np.flatnonzero(np.diff((labels != 0).astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _floats(scores: NDArray[np.floating]) -> str:
    """Little-endian float32 in base64; NaN where a score is not finite, or beyond float32."""
    with np.errstate(over="ignore"):
        single = scores.astype("<f4")
    return base64(np.where(np.isfinite(single), single, np.float32(np.nan)).astype("<f4").tobytes())
