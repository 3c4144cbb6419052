"""Fetch a weight file over HTTP: resumed where it was cut off, checked, and its hash kept beside it."""

import contextlib
import errno
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from ..errors import TsvadError
from ..storage import write_text

SOURCES = {
    "i3d-r50-8x8": "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/kinetics400/I3D_8x8_R50.pkl",
}
"""Name → address of a pretrained encoder, which ``weights import`` reads."""
TIMEOUT = 30.0
"""Seconds without a byte."""
TRIES = 5
BACKOFF = 1.0
"""Seconds before the second try, doubled before every further one."""
CHUNK = 1 << 18
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that another try may change."""
DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

Progress = Callable[[int, int | None], None]
"""Called with the bytes there so far and all bytes, None where the server does not say."""


class DownloadError(TsvadError):
    """A file that could not be fetched: one line with the address, the fault and what to do."""


class _InterruptedError(Exception):
    """The transfer broke off; what has come is kept."""


def download(url: str, out: Path, *, sha256: str | None = None, progress: Progress | None = None) -> str:
    """Fetch ``url`` to ``out`` and return the file's SHA-256 in hex, which is also kept in ``<out>.sha256``.

    A cut-off transfer leaves ``<out>.part``, from which the next call goes on if the server still has
    the same file; ``out`` itself is only ever whole. A file there with the right hash (``sha256``, or
    else the one kept beside it) is not fetched again.

    Args:
        sha256: what the file's hash must be, if known.

    Raises:
        DownloadError: not HTTP, not found, no network, or of another hash (nothing of it is kept).
    """
    address = urllib.parse.urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise DownloadError(f"{url}: only http:// and https:// addresses are fetched; a local file needs no download")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise DownloadError(f"{sha256!r} is no SHA-256; give its 64 hexadecimal digits")
    wanted = sha256.lower() if sha256 else _kept_hash(out)
    if wanted and out.is_file() and _hash(out) == wanted:
        _keep_hash(out, wanted)
        return wanted
    out.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(url, out)
    _fetch_with_retries(part, progress)
    found = _hash(part.path)
    if sha256 and found != sha256.lower():
        part.remove()
        raise DownloadError(f"{url}: its SHA-256 is {found}, not {sha256.lower()}; nothing was kept: check the address")
    part.path.replace(out)
    part.remove()
    _keep_hash(out, found)
    return found


class _Part:
    """The unfinished file, and what the server said of the whole one."""

    def __init__(self, url: str, out: Path) -> None:
        self.url = url
        self.path = out.with_name(out.name + ".part")
        self._note = out.with_name(out.name + ".part.json")

    def resume(self) -> tuple[int, str]:
        """Bytes to go on from and the validator of their file; 0 where they cannot be trusted."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            size = self.path.stat().st_size
        except (OSError, ValueError):
            return 0, ""
        if not isinstance(note, dict) or note.get("url") != self.url or not isinstance(note.get("validator"), str):
            return 0, ""
        return size, note["validator"]

    def begin(self, headers: Message) -> None:
        """Note the version of the file that is about to come from its first byte."""
        self.remove()
        validator = _validator(headers)
        if validator:
            write_text(self._note, json.dumps({"url": self.url, "validator": validator}))

    def remove(self) -> None:
        """Forget what has come."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _fetch_with_retries(part: _Part, progress: Progress | None) -> None:
    for attempt in range(TRIES):
        if attempt:
            time.sleep(BACKOFF * 2 ** (attempt - 1))
        try:
            _fetch(part, progress)
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # our part is not of the file that is there now
                part.remove()
            elif error.code not in PASSING:
                raise DownloadError(
                    f"{part.url}: the server answers {error.code} {error.msg}; check the address"
                ) from error
            last: Exception = error
        except (OSError, http.client.HTTPException, _InterruptedError) as error:
            if isinstance(error, OSError) and (error.filename or error.errno in DISK_FAULTS):
                raise DownloadError(f"{part.path} cannot be written: {error.strerror}; free or change it") from error
            if isinstance(error, http.client.InvalidURL):
                raise DownloadError(f"{part.url} is no address: {error}") from error
            last = error
    reason = getattr(last, "reason", None) or last
    raise DownloadError(
        f"{part.url} could not be fetched in {TRIES} tries: {reason}; check the network and run the command "
        "again, which goes on from what has come, or fetch the file elsewhere and copy it here"
    ) from last


def _fetch(part: _Part, progress: Progress | None) -> None:
    """One request; appends to the part, or begins it anew where the server does not go on from there."""
    have, validator = part.resume()
    request = urllib.request.Request(part.url, headers={"Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator)
    with _OPENER.open(request, timeout=TIMEOUT) as response:
        kept = response.status == 206 and _range_start(response.headers) == have
        # Servers that know Range but not If-Range send the rest of another file.
        if response.status == 206 and not (kept and _validator(response.headers) in ("", validator)):
            part.remove()
            raise _InterruptedError("the server sent the part of another file")
        if response.status != 206 or not have:
            have = 0
            part.begin(response.headers)
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        with part.path.open("ab" if have else "wb") as file:
            for size in _copy(response, file):
                have += size
                if progress:
                    progress(have, total)
    if total is not None and have != total:
        raise _InterruptedError(f"it broke off after {have} of {total} bytes")


def _copy(response: http.client.HTTPResponse, file: IO[bytes]) -> Iterator[int]:
    while chunk := response.read(CHUNK):
        file.write(chunk)
        yield len(chunk)


def _validator(headers: Message) -> str:
    """What tells one version of the file from the next, empty if nothing does."""
    etag: str = headers.get("ETag", "")
    # A weak ETag promises the same meaning, not the same bytes.
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _range_start(headers: Message) -> int | None:
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
    return int(match[1]) if match else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise DownloadError(f"{req.full_url}: the server leads to {newurl[:200]}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_path(out: Path) -> Path:
    return out.with_name(out.name + ".sha256")


def _kept_hash(out: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        return _hash_path(out).read_text(encoding="utf-8")[:64]
    return None


def _keep_hash(out: Path, digest: str) -> None:
    """In the form that ``sha256sum --check`` reads."""
    write_text(_hash_path(out), f"{digest}  {out.name}\n")
