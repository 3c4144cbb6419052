"""Downloads from a server on this machine: whole, cut off, changed, refused."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from twostream_vad.weights import download as module
from twostream_vad.weights.download import SOURCES, DownloadError, download

CONTENT = np.random.Generator(np.random.PCG64(1)).bytes(300_000)
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``content`` at any path; what it does wrong is set by the test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"1"'
        self.ranges = True
        self.if_range = True
        self.cuts = 0
        """How many answers break off half-way."""
        self.statuses: list[int] = []
        """Sent instead of the file, one a request."""
        self.location = ""
        self.asked: list[str | None] = []
        """The Range of every request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pkl"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        served = self.server
        wanted = self.headers.get("Range")
        served.asked.append(wanted)
        if served.statuses:
            self.send_response(served.statuses.pop(0))
            self.send_header("Content-Length", "0")
            if served.location:
                self.send_header("Location", served.location)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and served.ranges else 0
        if served.if_range and self.headers.get("If-Range") != served.etag:
            start = 0
        self.send_response(206 if start else 200)
        body = served.content[start:]
        if start:
            whole = len(served.content)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if served.etag:
            self.send_header("ETag", served.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if served.cuts:
            served.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "BACKOFF", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No second try: a cut-off transfer stays cut off."""
    monkeypatch.setattr(module, "TRIES", 1)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_arrives_whole_with_its_hash_beside_it(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "new" / "weights.pkl"
    seen: list[tuple[int, int | None]] = []
    assert download(server.url, out, progress=lambda done, total: seen.append((done, total))) == HASH
    assert out.read_bytes() == CONTENT
    assert (tmp_path / "new" / "weights.pkl.sha256").read_text() == f"{HASH}  weights.pkl\n"
    assert names(out.parent) == {"weights.pkl", "weights.pkl.sha256"}
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_cut_off_transfer_is_tried_again_from_where_it_was(server: Server, tmp_path: Path) -> None:
    server.cuts = 2
    assert download(server.url, tmp_path / "a") == HASH
    assert server.asked == [None, "bytes=150000-", "bytes=225000-"]


@pytest.mark.usefixtures("once")
def test_another_call_resumes(server: Server, tmp_path: Path) -> None:
    server.cuts = 1
    with pytest.raises(DownloadError, match=r"broke off after 150000 of 300000 bytes.*run the command again"):
        download(server.url, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert download(server.url, tmp_path / "a", sha256=HASH.upper()) == HASH
    assert server.asked == [None, "bytes=150000-"]
    assert names(tmp_path) == {"a", "a.sha256"}


@pytest.mark.usefixtures("once")
def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = 1, False
    with pytest.raises(DownloadError):
        download(server.url, tmp_path / "a")
    assert download(server.url, tmp_path / "a") == HASH
    assert server.asked[1] == "bytes=150000-"


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_has_changed_is_fetched_anew(
    if_range: bool, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIES", 1)
    server.cuts, server.if_range = 1, if_range
    with pytest.raises(DownloadError):
        download(server.url, tmp_path / "a")
    monkeypatch.setattr(module, "TRIES", 2)
    server.content, server.etag = CONTENT[::-1], '"2"'
    download(server.url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_validator_nothing_is_joined(etag: str | None, server: Server, tmp_path: Path) -> None:
    server.cuts, server.etag, server.if_range = 1, etag, False
    assert download(server.url, tmp_path / "a") == HASH
    assert server.asked == [None, None]


@pytest.mark.usefixtures("once")
def test_the_part_of_another_address_is_not_joined(server: Server, tmp_path: Path) -> None:
    server.cuts = 1
    with pytest.raises(DownloadError):
        download(server.url + "?other", tmp_path / "a")
    assert download(server.url, tmp_path / "a") == HASH
    assert server.asked == [None, None]


def test_a_passing_fault_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 500]
    assert download(server.url, tmp_path / "a") == HASH


def test_a_part_that_the_server_does_not_know_is_dropped(server: Server, tmp_path: Path) -> None:
    server.statuses = [416]
    assert download(server.url, tmp_path / "a") == HASH


@pytest.mark.parametrize("status", [404, 403])
def test_an_answer_that_stays_is_not_tried_again(status: int, server: Server, tmp_path: Path) -> None:
    server.statuses = [status] * 9
    with pytest.raises(DownloadError, match=f"answers {status}.*check the address"):
        download(server.url, tmp_path / "a")
    assert len(server.asked) == 1
    assert names(tmp_path) == set()


def test_a_file_of_another_hash_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"{HASH}, not {'0' * 64}; nothing was kept"):
        download(server.url, tmp_path / "a", sha256="0" * 64)
    assert names(tmp_path) == set()


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    download(server.url, tmp_path / "a")
    assert download(server.url, tmp_path / "a") == HASH
    assert len(server.asked) == 1
    (tmp_path / "a").write_bytes(b"spoiled")
    assert download(server.url, tmp_path / "a") == HASH
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_no_server_says_what_to_do(server: Server, tmp_path: Path) -> None:
    server.server_close()
    with pytest.raises(DownloadError, match=r"in 5 tries: .*refused.*check the network"):
        download(server.url, tmp_path / "a")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "weights.pkl", "http:///a", "data:,a", ""])
def test_only_http_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="only http"):
        download(url, tmp_path / "a")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/a"])
def test_a_server_cannot_lead_elsewhere_than_to_http(location: str, server: Server, tmp_path: Path) -> None:
    server.statuses, server.location = [302], location
    with pytest.raises(DownloadError, match=r"not (followed|allowed)"):
        download(server.url, tmp_path / "a")


def test_a_redirect_to_http_is_followed(server: Server, tmp_path: Path) -> None:
    server.statuses, server.location = [302], server.url
    assert download(server.url, tmp_path / "a") == HASH


def test_a_hash_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="64 hexadecimal digits"):
        download("http://127.0.0.1/a", tmp_path / "a", sha256="abc")


def test_the_named_sources_are_fetched_over_https() -> None:
    assert SOURCES["i3d-r50-8x8"].endswith("/I3D_8x8_R50.pkl")
    assert all(url.startswith("https://") for url in SOURCES.values())
