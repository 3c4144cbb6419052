"""The report: one self-contained HTML file with tables, curves, a timeline a video, and the worst frames."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ..storage import whole_file
from .page_curves import Series, curves_svg
from .thumbnails import Thumbnails

PROTOCOLS = {
    "paper": "looks ahead: each video scaled by its own scores, smoothed on both sides; for published numbers",
    "causal": "each frame judged by what came before it, as a camera would have to",
}
SLOT = re.compile(r"\{\{(\w+)\}\}")
NUMBER = re.compile(r"[-+−±]?\.?\d")
NOTHING = frozenset({"", "–", "—", "-", "n/a"})


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table; ``best`` is set bold, ``emphasised`` shaded."""

    text: str
    best: bool = False
    emphasised: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column names the rows. A row of a single cell is a heading over the rows below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) not in (1, len(self.columns)):
                raise ValueError(
                    f"table {self.title!r}: {len(row)} cells in the row {_text(row[0]) if row else ''!r}; give "
                    f"{len(self.columns)}, one a column, or 1 for a heading"
                )


@dataclass(frozen=True, slots=True)
class CurvePlot:
    """Curves over [0, 1] × [0, 1], (name, x, y) each; the last is the main one. ``diagonal`` is the line of chance."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    diagonal: bool = False

    def __post_init__(self) -> None:
        for name, x, y in self.series:
            if x.ndim != 1 or x.shape != y.shape:
                raise ValueError(f"curve {name!r} of {self.title!r}: x has shape {x.shape}, y {y.shape}; one y an x")


@dataclass(frozen=True, slots=True)
class VideoPanel:
    """A video's timeline.

    Attributes:
        name: the video.
        frames: how many it has.
        rate: frames a second.
        labels: (frames,) of 0 and 1, or None where nobody labelled it.
        series: per protocol (``paper``, ``causal``) named scores, (frames,) each; the last is the main one.
            What is not finite is a gap.
        thumbnails: what the pointer shows, or None.
        thresholds: per protocol the main score at which an alarm is given.
        note: a few words beside the name, such as the video's AUC.
    """

    name: str
    frames: int
    rate: float
    labels: NDArray[np.generic] | None
    series: Mapping[str, Mapping[str, NDArray[np.floating]]]
    thumbnails: Thumbnails | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.rate > 0:
            raise ValueError(f"video {self.name!r}: {self.frames} frames at {self.rate} a second; both must be above 0")
        if self.labels is not None and self.labels.shape != (self.frames,):
            raise ValueError(f"video {self.name!r}: labels of shape {self.labels.shape} for {self.frames} frames")
        for protocol in (*self.series, *self.thresholds):
            if protocol not in PROTOCOLS:
                raise ValueError(f"video {self.name!r}: protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
        for protocol, named in self.series.items():
            for name, scores in named.items():
                if scores.shape != (self.frames,):
                    raise ValueError(
                        f"video {self.name!r}: {protocol} {name} of shape {scores.shape} for {self.frames} frames"
                    )
        if self.thumbnails is not None:
            samples = -(-self.frames // self.thumbnails.step)
            if len(self.thumbnails.frames) != samples:
                raise ValueError(
                    f"video {self.name!r}: {len(self.thumbnails.frames)} thumbnails; every {self.thumbnails.step} "
                    f"of {self.frames} frames makes {samples}"
                )


@dataclass(frozen=True, slots=True)
class Card:
    """One frame worth a look: JPEGs of it, of its error map, and of the nearest normal clip.

    ``video`` and ``frame`` link to the timeline.
    """

    title: str
    picture: bytes
    heat: bytes | None = None
    sentence: str = ""
    nearest: Sequence[bytes] = ()
    video: str = ""
    frame: int = 0


@dataclass(frozen=True, slots=True)
class CardGroup:
    """Cards under one heading, with a sentence that says how they were chosen."""

    title: str
    explanation: str
    cards: Sequence[Card]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page. ``videos`` may be a generator: one video at a time is held in memory."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    curves: Sequence[CurvePlot] = ()
    videos: Iterable[VideoPanel] = ()
    cards: Sequence[CardGroup] = ()


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
        "tables": lambda: map(_table, page.tables),
        "curves": lambda: _curves(page.curves),
        "cards": lambda: map(_card_group, page.cards),
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
    """A content security policy under which this script and this style run, no other, and nothing is fetched."""
    hashes = [f"'sha256-{_base64(sha256(text.encode()).digest())}'" for text in (script, style)]
    return (
        f"default-src 'none'; img-src data:; script-src {hashes[0]}; style-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def _table(table: Table) -> str:
    numeric = [
        all(_is_number(_text(row[i])) for row in table.rows if len(row) > 1) for i in range(len(table.columns))
    ]
    numeric[:1] = [False]
    head = "".join(_tag("th", _classes(number=n), c, ' scope="col"') for c, n in zip(table.columns, numeric, strict=True))
    rows = "".join(f"<tr>{''.join(_row(row, table.columns, numeric))}</tr>" for row in table.rows)
    caption = f'<p class="caption">{escape(table.caption)}</p>' if table.caption else ""
    return (
        f'<section class="table"><h2>{escape(table.title)}</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{caption}</section>"
    )


def _row(row: Sequence[str | Cell], columns: Sequence[str], numeric: Sequence[bool]) -> Iterator[str]:
    if len(row) == 1 < len(columns):
        yield _tag("th", "heading", _text(row[0]), f' scope="rowgroup" colspan="{len(columns)}"')
        return
    for i, cell in enumerate(row):
        flags = cell if isinstance(cell, Cell) else Cell(cell)
        classes = _classes(number=numeric[i], best=flags.best, emphasised=flags.emphasised)
        yield _tag("td" if i else "th", classes, flags.text, "" if i else ' scope="row"')


def _curves(plots: Sequence[CurvePlot]) -> Iterator[str]:
    if not plots:
        return
    yield '<section><h2>Curves</h2><div class="plots">'
    for plot in plots:
        svg = curves_svg(plot.x_label, plot.y_label, plot.series, diagonal=plot.diagonal, label=plot.title)
        yield f"<figure><h3>{escape(plot.title)}</h3>{svg}</figure>"
    yield "</div></section>"


def _card_group(group: CardGroup) -> str:
    cards = "".join(map(_card, group.cards)) or "<p>None.</p>"
    return (
        f'<section><h2>{escape(group.title)}</h2><p class="caption">{escape(group.explanation)}</p>'
        f'<div class="cards">{cards}</div></section>'
    )


def _card(card: Card) -> str:
    title = escape(card.title)
    if card.video:
        title = f'<a href="#video={quote(card.video, safe="", errors="replace")}&amp;frame={card.frame}">{title}</a>'
    pictures = _picture(card.picture, f"frame: {card.title}")
    if card.heat is not None:
        pictures += _picture(card.heat, f"error map: {card.title}")
    sentence = f"<p>{escape(card.sentence)}</p>" if card.sentence else ""
    nearest = "".join(_picture(picture, "nearest normal clip") for picture in card.nearest)
    if nearest:
        nearest = f'<p class="caption">nearest normal clip</p><div class="strip">{nearest}</div>'
    return f'<article class="card"><h3>{title}</h3><div class="pair">{pictures}</div>{sentence}{nearest}</article>'


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
    data = {"frames": panel.frames, "rate": panel.rate, "labels": spans, "series": series, "thresholds": dict(panel.thresholds)}
    yield f'<script type="application/json" class="data">{_json(data)}</script>'
    if panel.thumbnails is not None:
        yield f'<script type="application/json" class="pictures">{{"step":{panel.thumbnails.step}'
        for key, pictures in (("frames", panel.thumbnails.frames), ("heat", panel.thumbnails.heat)):
            yield f',"{key}":['
            for i, picture in enumerate(pictures):
                yield f'{"," if i else ""}"{_base64(picture)}"'
            yield "]"
        yield "}</script>"
    yield "</article>"


def label_spans(labels: NDArray[np.generic]) -> list[tuple[int, int]]:
    """The anomalous stretches of (frames,) labels: first frame, and the one after the last."""
    edges = np.flatnonzero(np.diff((labels != 0).astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _floats(scores: NDArray[np.floating]) -> str:
    """Little-endian float32 in base64; NaN where a score is not finite."""
    return _base64(np.where(np.isfinite(scores), scores, np.nan).astype("<f4").tobytes())


def _json(value: object) -> str:
    """JSON that no HTML parser takes for markup, whatever the strings in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _picture(jpeg: bytes, alt: str) -> str:
    return f'<img src="data:image/jpeg;base64,{_base64(jpeg)}" alt="{escape(alt)}">'


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _text(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _is_number(text: str) -> bool:
    return text.strip() in NOTHING or NUMBER.match(text.strip()) is not None


def _classes(**flags: bool) -> str:
    return " ".join(name for name, on in flags.items() if on)


def _tag(tag: str, classes: str, text: str, more: str = "") -> str:
    named = f' class="{classes}"' if classes else ""
    return f"<{tag}{named}{more}>{escape(text)}</{tag}>"
