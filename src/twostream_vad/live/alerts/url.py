"""Addresses of targets, and how to speak of them without their secrets."""

import re
from urllib.parse import SplitResult, urlsplit

from ...errors import TsvadError


def split(url: str) -> SplitResult:
    """The parts of SCHEME://[USER:PASSWORD@]HOST[:PORT]/PATH; TsvadError, which shows the scheme alone, for no such."""
    scheme = url.partition(":")[0]
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        there = parts.hostname and parts.port != 0 and "@" not in parts.path
    except ValueError:
        there = False
    if not there or not url.isprintable() or " " in url:
        write = f"write {scheme}://HOST:PORT/PATH, and / @ : of a password as %2F %40 %3A"
        raise TsvadError(f"{scheme}://…: not an address of a target; {write}")
    return parts


def shown(parts: SplitResult) -> str:
    """An address without user, password and query; of long names in its path, as keys are, the first four letters."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    path = re.sub(r"([^/]{4})[^/]{16,}", r"\1…", parts.path)
    return f"{parts.scheme}://{host}{port}{path}{'?…' if parts.query else ''}"
