"""From nothing to alerts: a camera is learned from, watched, and its anomalies told. Seconds from picture to message.

    python bench/alerts.py --work FOLDER [--minutes 5] [--films 10] [--seed 5] [--engine auto]

Renders a plaza, plays it by GStreamer's RTSP server (`bench/rtsp.py`) in real time, runs `tsvad learn` on that camera
for so many minutes of normal video, then `tsvad watch` with what was learned, a webhook and an MQTT broker (mosquitto),
while the server plays test videos, each opened anew, with an anomaly each. Late is a message's arrival after the first
picture that shows something of the anomaly (the plaza's labels), as the camera gave it: the first frame's arrival and
the film's rate. Where nothing was told until the anomaly was over, it counts as missed; what is told before, or in no
anomaly, as false.

Then the first event's clip: ffprobe's words on it, and what Chromium shows of it, as `clip.png` in FOLDER. Needs
Debian's packages mosquitto, ffmpeg, chromium, chromium-driver and those of `bench/rtsp.py`; paho-mqtt, selenium.
"""

import argparse
import contextlib
import json
import math
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from soak import HERE, Hook, free_port

from twostream_vad.plaza.plaza import PlazaSettings, render_frames

TSVAD = [sys.executable, "-c", "from twostream_vad.cli import main; main()"]
RATE = 12.5
LONG = 260  # frames of a test video
SETTLE = 8.0  # seconds from a film's end until its event's clip is whole


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--films", type=int, default=10)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    normal, films = rendered(work, options.minutes, options.films, options.seed)
    port = free_port()
    address = f"rtsp://127.0.0.1:{port}/gate"
    if not (work / "gate/run/detector").exists():
        with served(port, normal):
            words = ["learn", address, work / "gate", "--hours", options.minutes / 60]
            began = time.monotonic()
            subprocess.run([*TSVAD, *map(str, words)], check=True)
            print(f"learned in {(time.monotonic() - began) / 60:.1f} minutes, recording included", flush=True)
    hook, broker = Hook(), free_port()
    conf = work / "mosquitto.conf"
    conf.write_text(f"listener {broker} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n")
    mosquitto = subprocess.Popen([shutil.which("mosquitto", path="/usr/sbin:/usr/bin") or "mosquitto", "-c", str(conf)])
    shutil.rmtree(work / "watch", ignore_errors=True)
    watch = [*TSVAD, "watch", str(work / "gate/run"), f"gate={address}", "--out", str(work / "watch"), "--json"]
    watch += ["--alert", f"http://127.0.0.1:{hook.server.server_port}/", "--alert", f"mqtt://127.0.0.1:{broker}"]
    watch += ["--engine", options.engine]
    try:
        heard = listening(broker)
        with subprocess.Popen(watch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as watched:
            opened = opening(watched)
            rows = [one(port, film, start, end, hook, heard, opened) for film, start, end in films]
            time.sleep(SETTLE)
            watched.send_signal(signal.SIGTERM)
    finally:
        mosquitto.kill()
    report(rows)
    show(next(iter(sorted((work / "watch").glob("*.mp4"))), None), work / "clip.png")


def rendered(work: Path, minutes: float, count: int, seed: int) -> tuple[Path, list[tuple[Path, int, int]]]:
    """A film of normal video, and test films with the first and last frame that show something of their anomaly."""
    plain = PlazaSettings(training_videos=1, frames=int(60 * minutes * RATE) + 200, seed=seed)
    normal = film(work / "normal.mp4", [plain, "training", 0])
    spoilt, films = PlazaSettings(testing_videos=count, frames=LONG, seed=seed), []
    for number in range(count):
        path, labels = work / f"test{number + 1:02d}.mp4", work / f"test{number + 1:02d}.npy"
        film(path, [spoilt, "testing", number], labels)
        shown = np.flatnonzero(np.load(labels))
        first = int(shown[0])
        whole = np.flatnonzero(np.diff(shown) > 1)
        films.append((path, first, int(shown[whole[0]] if len(whole) else shown[-1])))
    return normal, films


def film(path: Path, what: list[Any], labels: Path | None = None) -> Path:
    """A rendered video as H.264 with a key frame a second, and its frames' labels."""
    if path.exists():
        return path
    settings, found, part = what[0], [], path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as out:
        stream = out.add_stream("libx264", rate=Fraction(25, 2), options={"g": "12", "bf": "0", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = settings.width, settings.height, "yuv420p"
        for frame in render_frames(*what):
            found.append(bool(frame.mask.any()))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")))
        out.mux(stream.encode(None))
    if labels is not None:
        np.save(labels, np.array(found))
    part.rename(path)
    return path


@contextlib.contextmanager
def served(port: int, film: Path) -> Iterator[None]:
    """The server at work."""
    words = ["/usr/bin/python3", str(HERE / "rtsp.py"), str(port), f"gate={film.resolve()}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield
        finally:
            server.kill()


def listening(port: int) -> dict[str, float]:
    """Hears all events at the broker: when each one's first message came, seconds since the epoch."""
    told, client = dict[str, float](), Client(CallbackAPIVersion.VERSION2)

    def hear(_client: Client, _data: object, message: Any) -> None:
        event = json.loads(message.payload)
        if event["phase"] == "begun" and event["kind"] == "anomaly":
            told.setdefault(event["key"], time.time())

    client.on_message = hear
    for _ in range(50):
        try:
            client.connect("127.0.0.1", port)
            break
        except OSError:
            time.sleep(0.1)
    client.subscribe("tsvad/gate/event", qos=1)
    client.loop_start()
    return told


def opening(watched: "subprocess.Popen[str]") -> list[float]:
    """When the camera was found to be fine, each time; what the process says is read."""
    moments: list[float] = []

    def read() -> None:
        assert watched.stdout is not None
        for line in watched.stdout:
            told = json.loads(line) if line.startswith("{") else {"kind": "words"}
            if told["kind"] == "state" and told["state"] == "fine":
                moments.append(time.time())
            elif told["kind"] != "state":
                print(line.rstrip()[:160], flush=True)

    threading.Thread(target=read, daemon=True).start()
    return moments


def one(
    port: int, film: Path, first: int, last: int, hook: Hook, heard: dict[str, float], opened: list[float]
) -> tuple[str, float, float, int]:
    """Plays a film; its name, seconds until the webhook and until MQTT had its event, and how many were false."""
    known = len(opened)
    with served(port, film):
        while len(opened) == known:
            time.sleep(0.01)
        start = opened[-1] + first / RATE
        time.sleep(max(0.0, opened[-1] + LONG / RATE + 2 - time.time()))
    end, found = start + (last - first) / RATE + 3, []
    for told in (hook.begun, heard):
        own = sorted(moment for moment in told.values() if moment > opened[-1])
        inside = [moment for moment in own if start <= moment <= end]
        found.append(inside[0] - start if inside else math.inf)
        false = sum(moment < start or moment > end for moment in own)
    return film.stem, found[0], found[1], false


def report(rows: list[tuple[str, float, float, int]]) -> None:
    """A table, and medians."""
    print("| film | webhook, s | MQTT, s | false |\n|---|---|---|---|")
    for name, webhook, mqtt, false in rows:
        print(f"| {name} | {webhook:.2f} | {mqtt:.2f} | {false} |")
    medians = [statistics.median(row[1] for row in rows), statistics.median(row[2] for row in rows)]
    missed = sum(math.isinf(row[1]) for row in rows)
    print(f"median {medians[0]:.2f} and {medians[1]:.2f} s; {missed} of {len(rows)} missed")


def show(clip: Path | None, picture: Path) -> None:
    """What ffprobe and Chromium make of a clip."""
    if clip is None:
        sys.exit("no clip was kept")
    words = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height,nb_frames:format=duration"]
    print(subprocess.run([*words, "-of", "compact", str(clip)], check=True, capture_output=True, text=True).stdout)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in ("--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"):
        options.add_argument(switch)
    page = picture.with_suffix(".html")
    page.write_text(f'<body style="margin:0"><video src="{clip.resolve().as_uri()}" muted autoplay></video>')
    with Chrome(options=options, service=Service(shutil.which("chromedriver"))) as browser:
        browser.get(page.resolve().as_uri())
        time.sleep(6)
        told = browser.execute_script(
            "const v = document.querySelector('video');"
            "return [v.currentTime, v.duration, v.videoWidth, v.videoHeight, v.error && v.error.message]"
        )
        browser.save_screenshot(str(picture))
    print(f"Chromium: at {told[0]:.1f} of {told[1]:.1f} s, {told[2]} x {told[3]}, error {told[4]}; {picture}")
    sys.exit(0 if told[0] > 2 and told[4] is None else 1)


if __name__ == "__main__":
    main()
