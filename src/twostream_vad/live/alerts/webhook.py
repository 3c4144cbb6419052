"""A target that is told by HTTP."""

import hashlib
import hmac
import logging
import ssl
import time
from urllib.parse import quote, unquote, urlunsplit

from ...errors import TsvadError
from ..events import Message
from . import url as urls
from .target import Target, Undelivered, body

TIMEOUT = 10.0  # seconds to connect, and to wait for each part of an answer
OF_ALL = (401, 403, 408, 429)  # of 4xx, what any other message would be told as well


class Webhook(Target):
    """POSTs each message as JSON to a URL, http or https; user and password in it are sent as its basic login.

    With a ``key``, ``X-Tsvad-Signature`` is ``sha256=`` and the HMAC of ``X-Tsvad-Time``, a dot and the body.
    ``Idempotency-Key`` is the same whenever a message is. TsvadError where the URL is none.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        import httpx

        parts = urls.split(url)
        self.name, self._key = urls.shown(parts), key
        self._login = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
        self._url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
        try:
            httpx.URL(self._url)
        except httpx.InvalidURL:
            raise TsvadError(f"{self.name}: not an address; write http://HOST:PORT/PATH") from None
        self._trusted = ssl.create_default_context()
        logging.getLogger("httpx").setLevel(logging.WARNING)  # below that it tells whole addresses

    def deliver(self, message: Message) -> None:
        """Undelivered unless the answer is 2xx; redirects are not followed, nor proxies of the environment used.

        4xx but for what any message would be told, and 500, a receiver's own fault, are of this message only.
        """
        import httpx

        told, now = body(message), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": quote(f"{message.key}/{message.phase}"),
            "X-Tsvad-Time": now,
        }
        if self._key is not None:
            signature = hmac.new(self._key.encode(), f"{now}.".encode() + told, hashlib.sha256).hexdigest()
            headers["X-Tsvad-Signature"] = f"sha256={signature}"
        try:
            with httpx.stream(  # an answer's body may be long, and is not read
                "POST", self._url, content=told, headers=headers, auth=self._login,
                timeout=TIMEOUT, follow_redirects=False, trust_env=False, verify=self._trusted,
            ) as answer:  # fmt: skip
                code = answer.status_code
        except httpx.TimeoutException:
            raise Undelivered(f"no answer for {TIMEOUT:.0f} s") from None
        except httpx.TransportError as error:
            raise Undelivered(f"no answer: {error or type(error).__name__}") from None
        if not 200 <= code < 300:
            raise Undelivered(f"the answer is {code}", message_only=400 <= code <= 500 and code not in OF_ALL)
