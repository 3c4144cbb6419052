"""Whether a live stream has the scores of the file: to the bit, frame by frame.

    python bench/live.py DETECTOR FILM.mp4 [--frames 2000] [--transport tcp] [--engine auto]

The film (H.264), at the detector's own rate, is played by GStreamer's RTSP server (`bench/rtsp.py`) in real time and
scored as `tsvad watch` does, one camera in a group; then the file's frames are scored as `tsvad score` does. It ends
with the first frame that is lost or left out. Exit code 1 where a score differs.
"""

import argparse
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from twostream_vad.cli.process import set_up_process, with_cores
from twostream_vad.detector.bundle import Bundle
from twostream_vad.detector.detector import Detector
from twostream_vad.detector.engines.engine import Engine
from twostream_vad.detector.group import Group
from twostream_vad.detector.loading import beside
from twostream_vad.live.address import Address
from twostream_vad.live.camera import Camera
from twostream_vad.video.frames import open_source

SERVER = Path(__file__).resolve().parent / "rtsp.py"


def main() -> None:
    """Prints what was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("film", type=Path)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--transport", choices=["tcp", "udp"], default="tcp")
    parser.add_argument("--engine", choices=["auto", "torch", "openvino"], default="auto")
    options = parser.parse_args()
    set_up_process(None)
    bundle = Bundle(options.detector)
    detector = Detector.load(bundle, replace(with_cores(Engine(options.engine)), kept=beside(bundle)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["/usr/bin/python3", str(SERVER), str(port), f"film={options.film.resolve()}"]
    scores: list[float] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        server.stdout.readline()
        address = Address.parse(f"rtsp://127.0.0.1:{port}/film")
        with Camera(address, transport=options.transport) as camera, Group(detector) as group:
            member = None
            while len(scores) < options.frames and (frame := camera.take(20)) is not None and frame.opened == 1:
                member = member or group.watch(camera.rate)
                if frame.image is None or frame.left_out:
                    print(f"frame {len(scores)}: {'lost' if frame.image is None else 'some were left out'}")
                    break
                scores.append(member.push(frame.image, frame.time).result().fused)
            counts = camera.counts
        server.kill()
    images = (frame.image for frame, _ in zip(open_source(options.film), scores, strict=False))
    known = detector.score(images).fused
    same = np.array_equal(known, np.array(scores), equal_nan=True)
    scored = int(np.count_nonzero(~np.isnan(known)))
    where = np.flatnonzero(~((known == scores) | (np.isnan(known) & np.isnan(scores))))
    print(f"{counts.read} frames read, {counts.lost} lost, {counts.left_out} left out")
    print(f"{len(scores)} compared, {scored} of them scored")
    print("the same to the bit" if same else f"{len(where)} differ, the first at frame {where[0]}")
    sys.exit(0 if same and scored else 1)


if __name__ == "__main__":
    main()
