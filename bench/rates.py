"""Video of another rate than the detector's: are there the same alarms, and is the AUC the same?

    python bench/rates.py RUN --videos 10

Encodes test videos of a fitted run as they are, at half and at twice their rate, with a variable rate (each frame kept
with a chance of 0.6, with its own time stamp), and as transport streams whose clock wraps around (33 bits) and jumps
a day. Scores each with the run's detector, as it is and, beside it, frame by frame as if time did not matter. Prints
the macro-AUC of the causal score, and of the alarms how many seconds are the same as in the original.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from twostream_vad.detector.detector import Detector, VideoScores
from twostream_vad.evaluation.auc import macro_auc
from twostream_vad.runs.evaluate import labels_of
from twostream_vad.runs.run import Run
from twostream_vad.scores.causal import cold_start
from twostream_vad.video.frames import open_source

CLOCK = 90_000
Kept = Callable[[int], NDArray[np.int64]]
"""Frames of a video → those that are shown, some of them twice."""


def main() -> None:
    """Prints a line a variant; exit code 1 where a macro-AUC is more than two points off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--videos", type=int, default=10)
    parser.add_argument("--only", nargs="+", help="variants, such as 'half the rate'; the original comes first anyway")
    options = parser.parse_args()
    run, detector = Run.open(options.run), Detector.load(options.run / "detector")
    labels, videos = labels_of(run), run.dataset.testing[: options.videos]
    heads = f"{'':24}{'macro-AUC':>10}{'frame by frame':>16}{'alarm seconds':>15}{'alike':>7}{'heard':>7}"
    print(f"{heads}{'new':>5}{'far':>5}", flush=True)
    good, first = True, 0.0
    original: dict[str, NDArray[np.bool_]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kept, shift, suffix in variants():
            if options.only and name not in ("original", *options.only):
                continue
            found: dict[bool, dict[str, VideoScores]] = {True: {}, False: {}}
            shown = {}
            for video in videos:
                images = [frame.image for frame in video.open()]
                shown[video.name] = kept(len(images))
                path = Path(folder) / f"{video.name}{suffix}"
                encode(path, images, shown[video.name], detector.rate, name, shift)
                for by_time in found if by_frame_differs(name) else (True,):
                    source = open_source(path) if by_time else open_source(path, rate=detector.rate)
                    found[by_time][video.name] = detector.score(source)
                path.unlink()
            aucs = [auc(found[by_time] or found[True], labels, shown) for by_time in (True, False)]
            seconds = {key: loud(scores) for key, scores in found[True].items()}
            if not original:
                original, first = seconds, aucs[0]
            alike, heard, new, far = compare(original, seconds)
            good &= abs(aucs[0] - first) <= 0.02
            total = sum(int(line.sum()) for line in seconds.values())
            print(
                f"{name:24}{100 * aucs[0]:10.2f}{100 * aucs[1]:16.2f}{total:15}{alike:7.2f}{heard:7.2f}{new:5}{far:5}",
                flush=True,
            )
    sys.exit(0 if good else 1)


def variants() -> Sequence[tuple[str, Kept, Callable[[NDArray[np.float64]], NDArray[np.float64]], str]]:
    """Name, frames shown, what becomes of their time stamps, and the container."""

    def same(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return times

    def sometimes(count: int) -> NDArray[np.int64]:
        picked = np.flatnonzero(np.random.default_rng(count).random(count) < 0.6)
        return np.union1d(picked, [0, count - 1])

    return (
        ("original", np.arange, same, ".mkv"),
        ("half the rate", lambda count: np.arange(0, count, 2), same, ".mkv"),
        ("twice the rate", lambda count: np.repeat(np.arange(count), 2), same, ".mkv"),
        ("variable rate", sometimes, same, ".mkv"),
        ("clock wraps", np.arange, lambda times: times + 2**33 / CLOCK - times[-1] / 2, ".ts"),
        ("clock jumps a day", np.arange, lambda times: times + 86400 * (times > times[-1] / 2), ".ts"),
    )


def by_frame_differs(name: str) -> bool:
    """Whether a variant has other frames than the original: else its scores frame by frame are the same."""
    return "rate" in name


def encode(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    shown: NDArray[np.int64],
    rate: float,
    name: str,
    shift: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    """Lossless H.264 with a time stamp a frame."""
    times = np.arange(len(shown)) / (2 * rate) if name == "twice the rate" else shown / rate
    stamps = np.round(shift(times) * CLOCK).astype(np.int64)
    with av.open(str(path), "w", options={"mpegts_flags": "resend_headers"} if path.suffix == ".ts" else {}) as out:
        stream: Any = out.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000), options={"crf": "0"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = "yuv444p", Fraction(1, CLOCK)
        stream.codec_context.options = {"crf": "0", "bf": "0", "preset": "ultrafast", "g": "12"}
        packets = []
        for place, index in enumerate(shown.tolist()):
            frame = av.VideoFrame.from_ndarray(images[index], format="rgb24")
            frame.pts, frame.time_base = place * 100, Fraction(1, CLOCK)
            packets += stream.encode(frame)
        packets += stream.encode()
        for packet, stamp in zip(packets, stamps.tolist(), strict=True):
            packet.pts = packet.dts = stamp
            packet.time_base = Fraction(1, CLOCK)
            out.mux(packet)


def auc(found: dict[str, VideoScores], labels: Any, shown: dict[str, NDArray[np.int64]]) -> float:
    """Macro-AUC of the causal score at the original's frames, each with the score of the last frame shown before it."""
    lines = {}
    for name, scores in found.items():
        last = np.searchsorted(shown[name], np.arange(len(labels[name])), side="right") - 1
        lines[name] = cold_start(scores.fused)[last]
    return macro_auc(lines, {name: labels[name] for name in found})


def loud(scores: VideoScores) -> NDArray[np.bool_]:
    """Which seconds of the video raise an alarm."""
    seconds = np.floor(scores.times).astype(int)
    line = np.zeros(seconds[-1] + 1, np.bool_)
    line[seconds[scores.fused >= scores.threshold]] = True
    return line


def compare(original: dict[str, NDArray[np.bool_]], now: dict[str, NDArray[np.bool_]]) -> tuple[float, float, int, int]:
    """Share of all seconds that agree, of the original's alarm seconds that are heard again; new ones, and those of
    them that are not beside an old one: an alarm that begins or ends a moment earlier or later moves to another second.
    """
    alike = heard = new = far = count = wanted = 0
    for name, first in original.items():
        second = np.resize(np.pad(now[name], (0, max(0, len(first) - len(now[name])))), len(first))
        alike, count = alike + int((first == second).sum()), count + len(first)
        heard, wanted = heard + int((first & second).sum()), wanted + int(first.sum())
        new += int((second & ~first).sum())
        far += int((second & ~np.convolve(first, np.ones(3), "same").astype(np.bool_)).sum())
    return alike / count, heard / max(1, wanted), new, far


if __name__ == "__main__":
    main()
