"""Webhooks: against an HTTP server on loopback that does what it is told."""

import base64
import hashlib
import hmac
import http.server
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.live.alerts.courier import Courier
from twostream_vad.live.alerts.target import Undelivered
from twostream_vad.live.alerts.webhook import Webhook

from .conftest import Memory, message, until


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Answers with ``codes``, one a request, then with 204; every redirect leads to itself."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.requests: list[Request] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append(Request(self.path, dict(self.headers.items()), body))
                self.send_response(receiver.codes.pop(0) if receiver.codes else 204)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def keys(self) -> list[str]:
        return [request.headers["Idempotency-Key"] for request in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.close()


def test_a_message_is_posted_as_json(receiver: Receiver) -> None:
    told = message(7, "ended")
    Webhook(receiver.url).deliver(told)
    (request,) = receiver.requests
    assert request.path == "/hook"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {"key": "gate-7", "phase": "ended", "event": told.event}


def test_the_signature_is_the_hmac_of_time_and_body(receiver: Receiver) -> None:
    Webhook(receiver.url, "geheim").deliver(message())
    (request,) = receiver.requests
    stamp = request.headers["X-Tsvad-Time"]
    assert abs(int(stamp) - time.time()) < 60
    meant = hmac.digest(b"geheim", stamp.encode() + b"." + request.body, hashlib.sha256).hex()
    assert request.headers["X-Tsvad-Signature"] == f"sha256={meant}"


def test_without_a_key_nothing_is_signed(receiver: Receiver) -> None:
    Webhook(receiver.url).deliver(message())
    assert "X-Tsvad-Signature" not in receiver.requests[0].headers


def test_a_message_has_the_same_idempotency_key_whenever_it_is_sent(receiver: Receiver) -> None:
    hook = Webhook(receiver.url)
    for each in (message(1), message(1), message(1, "ended"), message(2, camera="küche")):
        hook.deliver(each)
    assert receiver.keys() == ["gate-1/begun", "gate-1/begun", "gate-1/ended", "k%C3%BCche-2/begun"]


@pytest.mark.parametrize(
    ("code", "message_only"),
    [
        *[(code, False) for code in (301, 307, 401, 403, 408, 429, 502, 503)],
        *[(code, True) for code in (400, 404, 410, 413, 422, 500)],
    ],
)
def test_other_answers_than_2xx_are_refusals_of_all_messages_or_of_one(
    receiver: Receiver, code: int, message_only: bool
) -> None:
    receiver.codes = [code]
    with pytest.raises(Undelivered, match=f"^the answer is {code}$") as refused:
        Webhook(receiver.url).deliver(message())
    assert refused.value.message_only is message_only
    assert len(receiver.requests) == 1  # no redirect was followed


def test_nobody_there_is_a_refusal_of_all_messages() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Undelivered, match=r"^no answer: .*refused") as refused:
            Webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/").deliver(message())
    assert not refused.value.message_only


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twostream_vad.live.alerts.webhook.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Undelivered, match=r"^no answer for"):
        Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/").deliver(message())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    Webhook(receiver.url).deliver(message())
    assert len(receiver.requests) == 1


def test_the_login_of_the_url_is_sent_and_never_told(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook = Webhook(f"http://guard:ge%3Aheim@{receiver.host}/hook?token=verborgen")
    receiver.codes = [204, 503]
    hook.deliver(message())
    with pytest.raises(Undelivered) as refused:
        hook.deliver(message())
    assert receiver.requests[0].headers["Authorization"] == f"Basic {base64.b64encode(b'guard:ge:heim').decode()}"
    assert receiver.requests[0].path == "/hook?token=verborgen"
    told = f"{hook.name} {refused.value} {caplog.text}"
    assert hook.name == f"http://{receiver.host}/hook?…"
    assert not [secret for secret in ("guard", "heim", "verborgen") if secret in told]


def test_a_key_in_the_path_is_not_told() -> None:
    assert Webhook("https://Home.example/api/webhook/a1b2c3d4e5f6a7b8c9d0e1f2").name == (
        "https://home.example/api/webhook/a1b2…"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:guard:geheim@host",
        "http://guard:ge/heim@host/",
        "http://guard:8/geheim@host/",
        "http://guard:geheim@host:port/",
        "http://guard:geheim@host:99999/",
        "http://guard:geheim@a..b/",
        "http://guard:geheim@[::1/",
        "http://guard:geheim@host/a b",
        "http://guard:geheim@host/a\nb",
    ],
)
def test_what_is_no_address_is_one_line_without_secrets(url: str) -> None:
    with pytest.raises(TsvadError, match=r"^http.*: not an address") as wrong:
        Webhook(url)
    assert "guard" not in str(wrong.value)
    assert "heim" not in str(wrong.value)


@pytest.mark.usefixtures("hasty")
def test_a_courier_delivers_in_order_to_a_server_that_fails_at_first(receiver: Receiver) -> None:
    receiver.codes = [503, 429, 502]
    outbox = Memory(message(1), message(2, "ended", key="gate-1"), message(3))
    courier = Courier(Webhook(receiver.url), outbox)
    until(lambda: outbox.empty)
    courier.close()
    assert receiver.keys() == [*["gate-1/begun"] * 4, "gate-1/ended", "gate-3/begun"]
    assert outbox.whys == ["the answer is 503", "the answer is 429", "the answer is 502"]


@pytest.mark.usefixtures("hasty")
def test_what_is_not_delivered_by_the_end_is_delivered_after_the_next_start(receiver: Receiver) -> None:
    outbox = Memory(message(1), message(2))
    receiver.codes = [503] * 100_000
    first = Courier(Webhook(receiver.url), outbox)
    until(lambda: first.failed)
    first.close()
    receiver.codes = []
    tried = len(receiver.requests)
    second = Courier(Webhook(receiver.url), outbox)
    until(lambda: outbox.empty)
    second.close()
    assert first.delivered == 0
    assert receiver.keys()[tried:] == ["gate-1/begun", "gate-2/begun"]
