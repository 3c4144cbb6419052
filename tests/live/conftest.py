"""A camera for tests: a stream over HTTP that does what it is told, and files."""

import http.server
import io
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

RATE = 25


def encoded(path: "Path | io.BytesIO", frames: int, *, kind: str, width: int = 64) -> None:
    """A video of a square that moves, with a key frame every 5 frames."""
    with av.open(path, "w", format=kind) as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "5", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        for index in range(frames):
            image = np.full((48, width, 3), 90, np.uint8)
            image[10:20, index % 40 : index % 40 + 10] = 220
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


class Served:
    """An HTTP server on loopback whose streams are the bytes given, one a connection, the last one again and again.

    ``stalls``: after its bytes it says nothing more, where it else hangs up.
    """

    def __init__(self, *bodies: bytes, stalls: bool = False) -> None:
        self.asked, self.over = 0, threading.Event()
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = bodies[min(served.asked, len(bodies) - 1)]
                served.asked += 1
                self.send_response(200)
                self.send_header("Content-Type", "video/mp2t")
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
                if stalls:
                    served.over.wait(30)

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://guard:geheim@127.0.0.1:{self._server.server_port}/live"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    """Starts servers, as `Served` says, and closes them."""
    servers: list[Served] = []

    def start(*bodies: bytes, stalls: bool = False) -> Served:
        servers.append(Served(*bodies, stalls=stalls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="session")
def stream() -> Callable[..., bytes]:
    """A transport stream of so many frames."""

    def made(frames: int, *, width: int = 64) -> bytes:
        file = io.BytesIO()
        encoded(file, frames, kind="mpegts", width=width)
        return file.getvalue()

    return made


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 40 frames."""
    path = tmp_path_factory.mktemp("recording") / "a.mkv"
    encoded(path, 40, kind="matroska")
    return path


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something to become true; fails where it does not."""

    def wait(told: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not told():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.02)

    return wait
