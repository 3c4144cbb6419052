"""The report: one self-contained HTML file with tables, curves, a timeline a video, and the worst frames."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..storage import whole_file
from .page_html import base64, card_group, curve_section, table_section
from .page_model import PROTOCOLS, Card, CardGroup, Cell, CurvePlot, Page, Table, VideoPanel
from .thumbnails import Thumbnails, heat_overlay, heat_picture, thumbnail, thumbnail_step

__all__ = [
    "PROTOCOLS",
    "Card",
    "CardGroup",
    "Cell",
    "CurvePlot",
    "Page",
    "Table",
    "Thumbnails",
    "VideoPanel",
    "heat_overlay",
    "heat_picture",
    "label_spans",
    "thumbnail",
    "thumbnail_step",
    "write_page",
]

SLOT = re.compile(r"\{\{(\w+)\}\}")


def write_page(path: Path, page: Page) -> None:
    """Write the page, whole or not at all. It fetches nothing: opened from a disk it is complete."""
    script, style = _packaged("page.js"), _packaged("page.css")
    spans: dict[str, tuple[float, float]] = {}
    slots: dict[str, Callable[[], Iterable[str]]] = {
        "policy": lambda: [_policy(script, style)],
        "title": lambda: [escape(page.title)],
        "style": lambda: [style],
        "script": lambda: [script],
        "facts": lambda: (f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in page.facts),
        "tables": lambda: map(table_section, page.tables),
        "curves": lambda: curve_section(page.curves),
        "cards": lambda: map(card_group, page.cards),
        "videos": lambda: _videos(page.videos, spans),
        "overview": lambda: [_json({"protocols": PROTOCOLS, "spans": spans})],
    }
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        for i, part in enumerate(SLOT.split(_packaged("page_template.html"))):
            # Odd parts are the slots' names. What fills one is never searched for slots again.
            file.writelines(slots[part]() if i % 2 else [part])


def _packaged(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _policy(script: str, style: str) -> str:
    """A content security policy: this script and this style run, no other, and nothing is fetched."""
    hashes = [f"'sha256-{base64(sha256(text.encode()).digest())}'" for text in (script, style)]
    return (
        f"default-src 'none'; img-src data:; script-src {hashes[0]}; style-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def _videos(videos: Iterable[VideoPanel], spans: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Each video's panel; ``spans`` grows to the least and the largest score of each protocol."""
    count = 0
    for count, panel in enumerate(videos, 1):
        if count == 1:
            yield '<section id="videos"><h2>Videos</h2><div id="bar"></div>'
        for protocol, named in panel.series.items():
            finite = [s[np.isfinite(s)] for s in named.values()]
            low, high = spans.get(protocol, (0.0, 0.0))
            values = np.concatenate([[low, high, panel.thresholds.get(protocol, high)], *finite])
            spans[protocol] = (float(values.min()), float(values.max()))
        yield from _video(panel)
    if count:
        yield "</section>"


def _video(panel: VideoPanel) -> Iterator[str]:
    seconds = panel.frames / panel.rate
    facts = [f"{panel.frames:,} frames", f"{seconds:.1f} s", "no labels" if panel.labels is None else ""]
    if panel.labels is not None:
        facts[-1] = f"{100 * float(np.mean(panel.labels != 0)):.0f} % labelled anomalous"
    if panel.note:
        facts.append(panel.note)
    yield (
        f'<article class="video" data-name="{escape(panel.name)}"><header><h3>{escape(panel.name)}</h3>'
        f"<p>{escape(' · '.join(facts))}</p></header>"
    )
    series = {p: [[name, _floats(s)] for name, s in named.items()] for p, named in panel.series.items()}
    spans = None if panel.labels is None else label_spans(panel.labels)
    data = {
        "frames": panel.frames,
        "rate": panel.rate,
        "labels": spans,
        "series": series,
        "thresholds": dict(panel.thresholds),
    }
    yield f'<script type="application/json" class="scores">{_json(data)}</script>'
    if panel.thumbnails is not None:
        yield f'<script type="application/json" class="samples">{{"step":{panel.thumbnails.step}'
        for key, pictures in (("frames", panel.thumbnails.frames), ("heat", panel.thumbnails.heat)):
            yield f',"{key}":['
            for i, picture in enumerate(pictures):
                yield f'{"," if i else ""}"{base64(picture)}"'
            yield "]"
        yield "}</script>"
    yield "</article>"


def label_spans(labels: NDArray[np.generic]) -> list[tuple[int, int]]:
    """The anomalous stretches of (frames,) labels: first frame, and the one after the last."""
    edges = np.flatnonzero(np.diff((labels != 0).astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _floats(scores: NDArray[np.floating]) -> str:
    """Little-endian float32 in base64; NaN where a score is not finite, or beyond float32."""
    with np.errstate(over="ignore"):
        single = scores.astype("<f4")
    return base64(np.where(np.isfinite(single), single, np.float32(np.nan)).astype("<f4").tobytes())


def _json(value: object) -> str:
    """JSON that no HTML parser takes for markup, whatever the strings in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
