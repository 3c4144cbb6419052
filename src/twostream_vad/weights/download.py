"""Fetch a weight file over HTTP: resumed where it was cut off, checked, and its hash kept beside it."""

import contextlib
import errno
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import TsvadError
from ..storage import sha256_of, write_text

SOURCES = {"i3d-r50-8x8": "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/I3D_8x8_R50.pkl"}
"""Name → address of a pretrained encoder, which ``weights import`` reads."""
TIMEOUT = 30.0  # seconds without a byte
TRIES = 5
BACKOFF = 1.0  # seconds before the second try, doubled before every further one
CHUNK = 1 << 18
# HTTP statuses that another try may change; 416 is the answer to a part of a file that is gone.
PASSING = frozenset({408, 416, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int, int | None], None]  # takes the bytes there so far, and all; None where that is not known


class DownloadError(TsvadError):
    """A file that could not be fetched: one line with the address, the fault and what to do."""


def download(url: str, out: Path, *, sha256: str | None = None, progress: Progress | None = None) -> str:
    """Fetch ``url`` to ``out`` and return the file's SHA-256 in hex, which is also kept in ``<out>.sha256``.

    A cut-off transfer leaves ``<out>.part``, from which the next call goes on if the server still has the same file;
    ``out`` itself is only ever whole. A file there with the right hash (``sha256``, or else the one kept beside it)
    is not fetched again. DownloadError: not HTTP, not found, no network, or of another hash (nothing of it is kept).
    """
    if not re.fullmatch(r"https?://[^/?#\s][!-~]*", url, re.IGNORECASE):
        raise DownloadError(f"{url}: only http:// and https:// addresses are fetched; a local file needs no download")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise DownloadError(f"{sha256!r} is no SHA-256; give its 64 hexadecimal digits")
    wanted = sha256.lower() if sha256 else _first_words(_beside(out, ".sha256"))[0]
    if not (wanted and out.is_file() and sha256_of(out) == wanted):
        out.parent.mkdir(parents=True, exist_ok=True)
        _fetch_with_retries(url, out, progress)
        wanted = sha256_of(_beside(out, ".part"))
        if sha256 and wanted != sha256.lower():
            _forget(out)
            raise DownloadError(f"{url}: its SHA-256 is {wanted}, not {sha256}; nothing was kept: check the address")
        _beside(out, ".part").replace(out)
        _forget(out)
    write_text(_beside(out, ".sha256"), f"{wanted}  {out.name}\n")  # as sha256sum --check reads it
    return wanted


def _fetch_with_retries(url: str, out: Path, progress: Progress | None) -> None:
    last: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(BACKOFF * 2 ** (attempt - 1))
        try:
            return _fetch(url, out, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in PASSING:
                raise DownloadError(f"{url}: the server answers {error.code} {error.msg}; check the address") from error
            if error.code == 416:
                _forget(out)
            last = error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and (
                error.filename or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            ):
                raise DownloadError(f"{out}.part cannot be written: {error.strerror}; free or change it") from error
            last = error
    raise DownloadError(
        f"{url} could not be fetched in {TRIES} tries: {getattr(last, 'reason', None) or last}; check the network and "
        "run the command again, which goes on from what has come, or fetch the file elsewhere and copy it here"
    ) from last


def _fetch(url: str, out: Path, progress: Progress | None) -> None:
    """One request; appends to the part, or begins it anew where the server does not go on from there."""
    part, note = _beside(out, ".part"), _beside(out, ".part.etag")
    etag, noted = _first_words(note)
    have = part.stat().st_size if etag and noted == url and part.is_file() else 0
    asked = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"} | asked)
    with _OPENER.open(request, timeout=TIMEOUT) as response:
        sent = response.headers.get("ETag", "")
        if response.status == 206:
            span = response.headers.get("Content-Range", "")
            # Servers that know Range but not If-Range send the rest of another file.
            if not have or sent not in ("", etag) or not span.startswith(f"bytes {have}-"):
                _forget(out)
                raise ConnectionError("the server sent the part of another file")
        else:
            have = 0
            _forget(out)
            if sent.startswith('"'):  # a weak ETag promises the same meaning, not the same bytes
                write_text(note, f"{sent} {url}")
        total = None if response.length is None else have + response.length
        with part.open("ab") as file:
            while chunk := response.read(CHUNK):
                have += file.write(chunk)
                if progress:
                    progress(have, total)
    if total is not None and have != total:
        raise ConnectionError(f"it broke off after {have} of {total} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http."""

    def redirect_request(self, req: urllib.request.Request, *args: Any) -> urllib.request.Request | None:
        if not args[-1].lower().startswith(("https://", f"{req.type}://")):
            raise DownloadError(f"{req.full_url}: the server leads to {args[-1][:200]}, which is not followed")
        return super().redirect_request(req, *args)


_OPENER = urllib.request.build_opener(_Redirects)


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


def _forget(out: Path) -> None:
    """Remove what has come."""
    for suffix in (".part", ".part.etag"):
        _beside(out, suffix).unlink(missing_ok=True)


def _first_words(note: Path) -> tuple[str, str]:
    """Of a text file; empty where there are none."""
    with contextlib.suppress(OSError, ValueError):
        first, second = note.read_text("utf-8").split(maxsplit=1)
        return first, second
    return "", ""
