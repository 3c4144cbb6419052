"""Cameras watched for a long time while everything around them fails: memory, queues, latency, and no event lost.

    python bench/soak.py DETECTOR FILM.mp4 [FILM.mp4 ...] --work FOLDER [--minutes 120] [--cameras 4] [--engine auto]

Serves the films (H.264) by GStreamer's RTSP server (`bench/rtsp.py`), one a camera, again from the start when one ends,
and runs `tsvad watch` on them with a webhook on this machine. In the meantime the RTSP server is killed and started
``--server-kills`` times, and the watching process killed (SIGKILL) ``--kills`` times, at moments drawn with ``--seed``;
it is started again at once. With ``--faults SCRIPT`` a further camera misbehaves, in each of ``--modes`` in turn.

Printed: resident memory of the process and its decoders, every minute; frames read, lost and left out, the longest
queue; latency from a frame's arrival to its score; and of events, how many are in the store and how many messages were
not told, or told twice. Exit code 1 where an event was not told, memory grew by more than --growth MB after a third of
the time (at most ten minutes), or a queue did not empty.
"""

import argparse
import collections
import http.server
import json
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from twostream_vad.live.store import Store

HERE = Path(__file__).resolve().parent
SETTLED = 30.0  # seconds from a start to what is counted as its memory
SAMPLE = re.compile(r"^tsvad_(\w+?)(?:_total)?\{([^}]*)\} (\S+)$", re.MULTILINE)


class Hook:
    """Counts what a webhook is told."""

    def __init__(self) -> None:
        self.told: collections.Counter[tuple[str, str]] = collections.Counter()
        self.delays: list[float] = []  # seconds from an event's start to here
        self.begun: dict[str, float] = {}  # when each event was first told, seconds since the epoch
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.told[told["key"], told["phase"]] += 1
                if told["phase"] == "begun" and told["event"]["kind"] == "anomaly":
                    hook.delays.append(time.time() - told["event"]["start"])
                    hook.begun.setdefault(told["key"], time.time())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Watched:
    """`tsvad watch` in a process, its counts over all restarts."""

    def __init__(self, plan: Path, out: Path, engine: str) -> None:
        self.port = free_port()
        words = ["watch", str(plan), "--out", str(out), "--metrics", str(self.port), "--json", "--engine", engine]
        self.words = [sys.executable, "-c", "from twostream_vad.cli import main; main()", *words]
        self.log = (out.parent / "watch.log").open("ab")
        self.totals: collections.Counter[str] = collections.Counter()
        self.now: collections.Counter[str] = collections.Counter()
        self.latency: collections.Counter[str] = collections.Counter()
        self._latency: collections.Counter[str] = collections.Counter()
        self.queue = 0.0
        self.start()

    def start(self) -> None:
        """Starts it; what was counted before stays."""
        self.totals += self.now
        self.latency += self._latency
        self.now, self._latency = collections.Counter(), collections.Counter()
        self.process, self.began = subprocess.Popen(self.words, stdout=self.log, stderr=self.log), time.monotonic()

    def look(self) -> None:
        """Takes its numbers."""
        try:
            text = urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5).read().decode()
        except (URLError, OSError):
            return
        self.now, self._latency, queues = collections.Counter(), collections.Counter(), [0.0]
        for name, labels, value in SAMPLE.findall(text):
            if name == "latency_seconds_bucket":
                self._latency[re.findall(r'le="([^"]+)"', labels)[0]] += int(float(value))
            elif name.startswith("frames") or name == "openings":
                self.now[name] += int(float(value))
            elif name == "queue":
                queues.append(float(value))
        self.queue = max(queues)

    @property
    def memory(self) -> float:
        """MB of it and its decoders."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            pids = [str(self.process.pid), *children.read_text().split()]
            return sum(resident(pid) for pid in pids)
        except OSError:
            return 0.0

    def quantile(self, share: float) -> str:
        """Seconds within which so large a share of the frames was scored."""
        counts = self.latency + self._latency
        found = sorted((float(limit), count) for limit, count in counts.items())
        return next((f"{limit:g}" for limit, count in found if count >= share * found[-1][1]), "?")


def main() -> None:
    """Runs it and prints what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--server-kills", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--faults", type=Path, nargs=2, help="a camera that misbehaves, run as SCRIPT PORT MODE FILE")
    parser.add_argument("--modes", nargs="*", default=[])
    parser.add_argument("--growth", type=float, default=20, help="MB")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    draw, port, hook = random.Random(options.seed), free_port(), Hook()
    names = [f"camera{number + 1}" for number in range(options.cameras)]
    films = [options.films[number % len(options.films)].resolve() for number in range(options.cameras)]
    places = [f"  {name}: {{address: 'rtsp://127.0.0.1:{port}/{name}'}}" for name in names]
    bad_port = free_port()
    if options.faults:
        places.append(f"  bad: {{address: 'rtsp://127.0.0.1:{bad_port}/'}}")
    plan = options.work / "cameras.yaml"
    hook_address = f"http://127.0.0.1:{hook.server.server_port}/"
    shared = [f"detector: {options.detector.resolve()}", f"alerts: ['{hook_address}']", "cameras:"]
    plan.write_text("\n".join([*shared, *places]) + "\n")
    serve = ["/usr/bin/python3", str(HERE / "rtsp.py"), str(port)]
    serve += [f"{name}={film}" for name, film in zip(names, films, strict=True)]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watched = Watched(plan, options.work / "out", options.engine)
    began, last = time.monotonic(), 60 * options.minutes
    events = sorted(
        [(draw.uniform(60, last - 60), "server") for _ in range(options.server_kills)]
        + [(draw.uniform(60, last - 60), "watch") for _ in range(options.kills)]
        + [(last * (place + 0.5) / (len(options.modes) + 1), mode) for place, mode in enumerate(options.modes)]
    )
    bad: subprocess.Popen[bytes] | None = None
    rows: list[tuple[float, float, float]] = []
    try:
        while (now := time.monotonic() - began) < last:
            while events and events[0][0] <= now:
                _, what = events.pop(0)
                print(f"{now / 60:.1f} min: {what}", flush=True)
                if what == "server":
                    server.kill()
                    server.wait()
                    time.sleep(draw.uniform(0, 5))
                    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                elif what == "watch":
                    watched.look()
                    watched.process.kill()
                    watched.process.wait()
                    watched.start()
                else:
                    if bad is not None:
                        bad.kill()
                    script, film = options.faults
                    bad = subprocess.Popen([sys.executable, str(script), str(bad_port), what, str(film)])
            if watched.process.poll() is not None:
                sys.exit(f"the process ended by itself ({watched.process.returncode}): {options.work / 'watch.log'}")
            watched.look()
            if time.monotonic() - watched.began > SETTLED:
                rows.append((now, watched.memory, watched.queue))
            if len(rows) % 12 == 11:
                print(f"{now / 60:.1f} min: {rows[-1][1]:.0f} MB, queue {watched.queue:.0f}", flush=True)
            time.sleep(5)
    finally:
        for process in (server, bad):
            if process is not None:
                process.kill()
    watched.look()
    watched.process.send_signal(signal.SIGTERM)
    watched.process.wait(timeout=10)
    sys.exit(report(options, watched, hook, rows))


def report(options: argparse.Namespace, watched: Watched, hook: Hook, rows: list[tuple[float, float, float]]) -> int:
    """Prints the result; the exit code."""
    with Store(options.work / "out") as store:
        kept = store.events(most=100_000)
        left = store.waiting
    wanted = {(event.key, phase) for event in kept for phase in ("begun", "ended")}
    lost = {each for each in wanted if not hook.told[each]}
    twice = {each for each, count in hook.told.items() if count > 1}
    counts = watched.totals + watched.now
    settled = min(600.0, 20 * options.minutes)
    steady = [memory for now, memory, _ in rows if now > settled and memory] or [0.0]
    third = max(1, len(steady) // 3)
    growth = sum(steady[-third:]) / third - sum(steady[:third]) / third
    print(f"\n{options.minutes:g} minutes, {options.cameras} cameras, engine {options.engine}")
    print(f"frames: {counts['frames_read']} read, {counts['frames_lost']} lost, {counts['frames_left_out']} left out")
    print(
        f"openings: {counts['openings']}; queue at the end {rows[-1][2]:.0f}, longest {max(row[2] for row in rows):.0f}"
    )
    print(f"latency: half within {watched.quantile(0.5)} s, 99 % within {watched.quantile(0.99)} s")
    print(f"memory with decoders: {min(steady):.0f} to {max(steady):.0f} MB, growth {growth:+.1f} MB")
    print(
        f"events: {len(kept)} in the store; {len(lost)} messages not told ({left} still wait), {len(twice)} told twice"
    )
    if hook.delays:
        late = sum(delay > 3 for delay in hook.delays)
        print(f"told {statistics.median(hook.delays):.2f} s after an event's start (median); {late} later than 3 s")
    return int(bool(lost) or growth > options.growth or rows[-1][2] >= 20)


def resident(pid: str) -> float:
    """Resident MB of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return 0.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
