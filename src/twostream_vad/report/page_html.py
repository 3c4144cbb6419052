"""The report's still parts as HTML: tables, curves, cards. Every name is escaped."""

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import quote

from .page_curves import curves_svg
from .page_model import Card, CardGroup, Cell, CurvePlot, Table, text

NUMBER = re.compile(r"[-+−±]?\.?\d")
NOTHING = frozenset({"", "–", "—", "-", "n/a"})


def table_section(table: Table) -> str:
    numeric = [all(_is_number(text(row[i])) for row in table.rows if len(row) > 1) for i in range(len(table.columns))]
    numeric[:1] = [False]
    head = "".join(
        _tag("th", _classes(number=n), c, ' scope="col"') for c, n in zip(table.columns, numeric, strict=True)
    )
    rows = "".join(f"<tr>{''.join(_row(row, table.columns, numeric))}</tr>" for row in table.rows)
    caption = f'<p class="caption">{escape(table.caption)}</p>' if table.caption else ""
    return (
        f'<section class="table"><h2>{escape(table.title)}</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{caption}</section>"
    )


def _row(row: Sequence[str | Cell], columns: Sequence[str], numeric: Sequence[bool]) -> Iterator[str]:
    if len(row) == 1 < len(columns):
        yield _tag("th", "heading", text(row[0]), f' scope="rowgroup" colspan="{len(columns)}"')
        return
    for i, cell in enumerate(row):
        flags = cell if isinstance(cell, Cell) else Cell(cell)
        classes = _classes(number=numeric[i], best=flags.best, emphasised=flags.emphasised)
        yield _tag("td" if i else "th", classes, flags.text, "" if i else ' scope="row"')


def curve_section(plots: Sequence[CurvePlot]) -> Iterator[str]:
    if not plots:
        return
    yield '<section><h2>Curves</h2><div class="plots">'
    for plot in plots:
        svg = curves_svg(plot.x_label, plot.y_label, plot.series, diagonal=plot.diagonal, label=plot.title)
        yield f"<figure><h3>{escape(plot.title)}</h3>{svg}</figure>"
    yield "</div></section>"


def card_group(group: CardGroup) -> str:
    cards = "".join(map(_card, group.cards)) or "<p>None.</p>"
    return (
        f'<section><h2>{escape(group.title)}</h2><p class="caption">{escape(group.explanation)}</p>'
        f'<div class="cards">{cards}</div></section>'
    )


def _card(card: Card) -> str:
    title = escape(card.title)
    if card.video:
        video = quote(card.video, safe="", errors="replace")
        title = f'<a href="#video={video}&amp;frame={card.frame}">{title}</a>'
    pictures = _picture(card.picture, f"frame: {card.title}")
    if card.heat is not None:
        pictures += _picture(card.heat, f"error map: {card.title}")
    sentence = f"<p>{escape(card.sentence)}</p>" if card.sentence else ""
    nearest = "".join(_picture(picture, "nearest normal clip") for picture in card.nearest)
    if nearest:
        nearest = f'<p class="caption">nearest normal clip</p><div class="strip">{nearest}</div>'
    body = f'<div class="pair">{pictures}</div>{sentence}{nearest}'
    return f'<article class="card"><h3>{title}</h3>{body}</article>'


def _picture(jpeg: bytes, alt: str) -> str:
    return f'<img src="data:image/jpeg;base64,{base64(jpeg)}" alt="{escape(alt)}">'


def base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _is_number(text: str) -> bool:
    return text.strip() in NOTHING or NUMBER.match(text.strip()) is not None


def _classes(**flags: bool) -> str:
    return " ".join(name for name, on in flags.items() if on)


def _tag(tag: str, classes: str, text: str, more: str = "") -> str:
    named = f' class="{classes}"' if classes else ""
    return f"<{tag}{named}{more}>{escape(text)}</{tag}>"
