"""Numbers for Prometheus and a word on health, over HTTP on loopback."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ..errors import TsvadError
from .alerts.courier import Courier
from .guard import Guard
from .monitor import LATENCIES
from .recorder import Recorder

COUNTERS = {
    "frames_read": "Frames that came.",
    "frames_lost": "Frames that were damaged, or came before a key frame.",
    "frames_left_out": "Frames left out since scoring had fallen behind.",
    "openings": "Times that the camera was opened.",
}
GAUGES = {
    "queue": "Frames that wait for their scores.",
    "last_frame_seconds": "Seconds since the last score.",
    "fine": "1 where frames come as they should.",
    "held": "1 while no anomaly is announced: trouble, or outside of the schedule.",
}


class Collector:
    """Looks at everything when it is asked."""

    def __init__(self, guard: Guard, recorder: Recorder, couriers: Callable[[], Sequence[Courier]]) -> None:
        self.guard, self.recorder, self.couriers = guard, recorder, couriers

    def collect(self) -> Iterator[Metric]:
        """Every metric, a sample a camera."""
        counters = {
            name: CounterMetricFamily(f"tsvad_{name}", about, labels=["camera"]) for name, about in COUNTERS.items()
        }
        gauges = {name: GaugeMetricFamily(f"tsvad_{name}", about, labels=["camera"]) for name, about in GAUGES.items()}
        latency = HistogramMetricFamily(
            "tsvad_latency_seconds", "From a frame's arrival to its score.", labels=["camera"]
        )
        for name, post in list(self.guard.posts.items()):
            camera, pace = post.monitor.camera, post.monitor.pace
            counts = camera.counts
            values: dict[str, float] = {
                "frames_read": counts.read,
                "frames_lost": counts.lost,
                "frames_left_out": counts.left_out,
                "openings": counts.openings,
            }
            for key, value in values.items():
                counters[key].add_metric([name], value)
            now: dict[str, float] = {
                "queue": camera.queued,
                "last_frame_seconds": time.monotonic() - pace.last if pace.last else float("nan"),
                "fine": camera.health.state == "fine",
                "held": bool(pace.held),
            }
            for key, value in now.items():
                gauges[key].add_metric([name], float(value))
            limits = ["+Inf" if limit == math.inf else str(limit) for limit in LATENCIES]
            latency.add_metric([name], list(zip(limits, pace.within, strict=True)), sum_value=pace.latency)
        yield latency
        yield from counters.values()
        yield from gauges.values()
        yield GaugeMetricFamily("tsvad_recorder_waiting", "What is to be written.", value=self.recorder.waiting)
        sent = CounterMetricFamily("tsvad_alerts", "Tries to deliver an alert.", labels=["target", "delivered"])
        for courier in self.couriers():
            sent.add_metric([courier.target.name, "yes"], courier.delivered)
            sent.add_metric([courier.target.name, "no"], courier.failed)
        yield sent

    @property
    def ill(self) -> str:
        """What is wrong with this process, not with cameras; empty where nothing is."""
        if stuck := self.guard.stuck:
            return f"no decisions are made of {', '.join(stuck)}"
        return self.recorder.held_up


class Metrics:
    """``/metrics`` and ``/healthz`` (503 and a line where something is wrong) on 127.0.0.1; ``port`` 0 is any."""

    def __init__(self, collector: Collector, port: int) -> None:
        registry = CollectorRegistry()
        registry.register(collector)

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif self.path == "/healthz":
                    ill = collector.ill
                    self._answer(503 if ill else 200, "text/plain; charset=utf-8", (ill or "well").encode() + b"\n")
                else:
                    self._answer(404, "text/plain", b"there are /metrics and /healthz\n")

            def _answer(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except (OSError, OverflowError) as error:
            raise TsvadError(f"--metrics {port}: {error}; give another port") from None
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
