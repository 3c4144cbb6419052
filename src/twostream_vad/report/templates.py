"""The room's Jinja2 templates, which lie beside this file: every name is escaped, a page streams to its file."""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..storage import whole_file
from .curves import svg_path
from .ticks import clock, clock_ticks, ticks

HERE = Path(__file__).parent


def write_html(path: Path, template: str, context: Mapping[str, object], script: str | None = None) -> None:
    """Write a page, whole or not at all. It fetches nothing: opened from a disk it is complete.

    ``template`` and ``script``, the one that may run, are files of this folder; the first extends ``base.html.jinja``
    and ``context`` are its variables. A generator among them is taken as the page is written.
    """
    files = {"style": "page.css"} | ({"script": script} if script else {})
    code = {kind: Markup((HERE / name).read_text("utf-8")) for kind, name in files.items()}
    # The content security policy lets this style and this script in, no other, and nothing is fetched.
    hashes = [f"{kind}-src 'sha256-{base64(sha256(text.encode()).digest())}'" for kind, text in code.items()]
    policy = "; ".join(["default-src 'none'", "img-src data:", *hashes, "base-uri 'none'", "form-action 'none'"])
    parts = _environment().get_template(template).generate({"script": None, **code, "policy": policy, **context})
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(parts)


def base64(data: bytes) -> Markup:
    """Bytes as text that needs no escaping."""
    return Markup(b64encode(data).decode("ascii"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"base64": base64, "quoted": partial(quote, safe="", errors="replace")}
    environment.globals |= {"clock": clock, "clock_ticks": clock_ticks, "ticks": ticks, "svg_path": svg_path}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment
