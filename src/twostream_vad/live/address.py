"""Where a camera is, and how to speak of it without its password."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from ..errors import TsvadError

NETWORK = ("rtsp", "rtsps", "http", "https", "rtmp", "udp", "srt")
LOGIN = "TSVAD_CAMERA_LOGIN"
_LOGIN = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")


class AddressError(TsvadError):
    """An address that no camera has; the message shows no password."""


@dataclass(frozen=True)
class Address:
    """A camera's address; ``whole`` has user and password in it and goes to FFmpeg alone. See `parse`."""

    kind: Literal["network", "webcam", "file"]
    shown: str
    whole: str = field(repr=False)

    @classmethod
    def parse(cls, given: str, login: Path | None = None) -> "Address":
        """Of a URL, ``webcam:0``, or the path of a video file.

        User and password are those in the URL, or ``user:password`` in the first line of the file ``login``, or in the
        environment as TSVAD_CAMERA_LOGIN. AddressError where there is no such camera or file, or the login is none.
        """
        scheme = given.partition("://")[0].lower() if "://" in given else ""
        if scheme in NETWORK:
            return cls._network(given, login)
        if scheme:
            raise AddressError(f"{hidden(given)}: cameras speak {', '.join(NETWORK)}; or give a file or webcam:0")
        if re.fullmatch(r"webcam:\d{1,3}", given):
            return cls("webcam", given, given)
        path = Path(given)
        if path.is_dir():
            raise AddressError(f"{given}: a folder is no camera; `tsvad score` reads folders of images")
        if not path.exists():
            raise AddressError(f"{given}: no such file; a camera's address begins with rtsp:// or http://")
        return cls("file", given, str(path.absolute()))

    @classmethod
    def _network(cls, given: str, login: Path | None) -> "Address":
        try:
            parts = urlsplit(given)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise AddressError(f"{hidden(given)}: not an address; write rtsp://HOST:PORT/PATH") from None
        if not host:
            raise AddressError(f"{hidden(given)}: names no host; write rtsp://HOST:PORT/PATH")
        place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        shown = urlunsplit((parts.scheme.lower(), place, parts.path, "…" if parts.query else "", ""))
        user, password = parts.username, parts.password
        if user is None:
            user, password = _login(login)
        login_part = "" if user is None else f"{_quoted(user)}:{_quoted(password or '')}@"
        return cls(
            "network", shown, urlunsplit((parts.scheme.lower(), login_part + place, parts.path, parts.query, ""))
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be in no text that leaves this process: password and query's values, as written and as meant."""
        if self.kind != "network":
            return ()
        parts = urlsplit(self.whole)
        found = {parts.password or "", unquote(parts.password or ""), parts.query}
        found |= {value for _, value in parse_qsl(parts.query)}
        return tuple(sorted(filter(None, found), key=len, reverse=True))

    def clean(self, text: str) -> str:
        """A text, such as FFmpeg's, without what is secret."""
        text = text.replace(self.whole, self.shown)
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return hidden(text)


def hidden(text: str) -> str:
    """A text whose addresses have no user and password."""
    return _LOGIN.sub("", text)


def _quoted(text: str) -> str:
    return quote(unquote(text), safe="")


def _login(path: Path | None) -> tuple[str, str] | tuple[None, None]:
    if path is not None:
        lines = path.read_text("utf-8").splitlines()
        given, where = (lines[0].strip() if lines else ""), str(path)
    else:
        given, where = os.environ.get(LOGIN, ""), LOGIN
        if not given:
            return None, None
    user, colon, password = given.partition(":")
    if not (user and colon):
        raise AddressError(f"{where}: has no login; its first line is USER:PASSWORD")
    return user, password
