"""Camera trouble and changes of the whole picture, rendered over video: what is said of each, and how soon.

    python bench/trouble.py --videos road_a.avi room.mp4 vtest.avi --plaza FOLDER [--hours 8] [--half choose|report]

Every kind is rendered over every video, by several draws of its strength, place and seed, for as long as it needs after
20 seconds of plain video (which is played forwards and backwards; a look each 0.3 s). A table: a row for what was
rendered, a column for what was said of it: trouble at its end, otherwise the first change. Then plain video for so many
hours, that of the plaza under a light that goes through a day an hour: each trouble there is a false one.

The thresholds of `twostream_vad.live.trouble` were chosen by the half ``choose``: every second video, and
even seeds of what is drawn. The half ``report`` is the other videos, and odd seeds.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from twostream_vad.errors import TsvadError
from twostream_vad.live.trouble import KINDS, LOOK, Trouble
from twostream_vad.video.frames import open_source

Image = NDArray[np.uint8]
Filter = Callable[[Image, float], Image]  # a picture, and seconds since the trouble began


class Given(NamedTuple):
    """What a trouble is drawn by: a strength of 0 to 1, and pictures of the view, or of another one."""

    rng: np.random.Generator
    strength: float
    images: list[Image]


Draw = Callable[[Given], Filter]

WIDTH = 480  # of what is kept of a video, at most
LONGEST = 150  # seconds of a video that are played
BEFORE, AFTER = 20.0, 10.0  # seconds of plain video
SAID = (*KINDS, "light", "colour", "picture", "none")


def whole(values: NDArray[Any]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def noisy(image: Image, seconds: float, size: float = 1.5) -> Image:
    (y, x), (height, width) = np.random.default_rng(round(seconds * 1e3)).integers(0, 64, 2), image.shape[:2]
    return whole(image + size * noise(height + 64, width + 64)[y : y + height, x : x + width])


@cache
def noise(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 1, (height, width, 3)).astype(np.float32)


def texture(rng: np.random.Generator, image: Image, grain: float) -> NDArray[np.float64]:
    """Soft noise of one deviation, of so many pixels a grain."""
    values = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]), (0, 0), grain)
    return np.asarray(values / values.std(), np.float64)


def covered(deviation: float) -> Draw:
    def draw(given: Given) -> Filter:
        colour = given.rng.uniform(25, 230) * given.rng.uniform(0.7, 1, 3)
        patch = texture(given.rng, given.images[0], 6 + 14 * given.strength)[..., None] * deviation + colour

        def over(image: Image, seconds: float) -> Image:
            return noisy(whole(cv2.resize(patch, image.shape[1::-1])), seconds)

        return over

    return draw


def sprayed(given: Given) -> Filter:
    share, colour = 0.42 + 0.18 * given.strength, given.rng.uniform(20, 230, 3)
    blobs = texture(given.rng, given.images[0], given.images[0].shape[1] / 10)
    mask = cv2.GaussianBlur((blobs > np.quantile(blobs, 1 - share)).astype(np.float32), (0, 0), 2)[..., None]

    def over(image: Image, seconds: float) -> Image:
        shown = cv2.resize(mask, image.shape[1::-1])[..., None]
        return noisy(whole(image * (1 - shown) + colour * shown), seconds, 1)

    return over


def warped(turn: float, shift: float) -> Draw:
    """Degrees and shares of the width at full strength; the rest of the picture is mirrored."""

    def draw(given: Given) -> Filter:
        height, width = given.images[0].shape[:2]
        share, way = 0.35 + 0.65 * given.strength, given.rng.uniform(0, 2 * np.pi)
        warp = cv2.getRotationMatrix2D((width / 2, height / 2), float(turn * share * given.rng.choice([-1, 1])), 1.0)
        warp[:, 2] += shift * share * width * np.array([np.cos(way), np.sin(way)])
        return lambda image, _: np.asarray(
            cv2.warpAffine(image, warp, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8
        )

    return draw


def elsewhere(given: Given) -> Filter:
    return lambda image, seconds: np.asarray(
        cv2.resize(given.images[round(seconds / LOOK) % len(given.images)], image.shape[1::-1]), np.uint8
    )


def defocused(given: Given) -> Filter:
    sigma = (0.005 + 0.02 * given.strength) * given.images[0].shape[1]
    return lambda image, seconds: noisy(np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8), seconds, 1)


def frozen(given: Given) -> Filter:
    held: list[Image] = []

    def over(image: Image, seconds: float) -> Image:
        held.append(image)
        shown, place = held[0].copy(), (5, image.shape[0] - 8)
        cv2.putText(
            shown,
            f"2026-11-29 12:00:{seconds:05.2f}",
            place,
            0,
            image.shape[1] * (1 + given.strength) / 1200,
            (255, 255, 255),
            1,
        )
        return shown

    return over


def dark(given: Given) -> Filter:
    level, rest = given.rng.uniform(0, 12), 0.01 * given.strength
    return lambda image, seconds: noisy(whole(image * rest + level), seconds)


def toned(gain: tuple[float, float], power: tuple[float, float]) -> Draw:
    """Exposure: a gain and a power of the brightness, or their inverse."""

    def draw(given: Given) -> Filter:
        low = given.rng.random() < 0.5
        by, raised = (float(np.interp(given.strength, (0, 1), ends)) for ends in (gain, power))
        by, raised = (1 / by, raised) if low else (by, 1 / raised)
        return lambda image, seconds: noisy(whole(255 * by * (image / 255.0) ** raised), seconds, 0.7)

    return draw


def lights(given: Given) -> Filter:
    """One lamp less or more: brightest at one side."""
    height, width = given.images[0].shape[:2]
    y, x = np.mgrid[:height, :width] / width
    spread = np.hypot(x - given.rng.uniform(0, 1), y - given.rng.uniform(0, 0.6))
    gain = (1 + (0.3 + 0.7 * given.strength) * np.exp(-spread))[..., None] ** given.rng.choice([-1, 1])
    return lambda image, seconds: noisy(whole(image * gain), seconds, 0.7)


def infrared(given: Given) -> Filter:
    mix, power = given.rng.dirichlet([1, 1, 1]), 0.6 + 0.9 * given.strength

    def over(image: Image, seconds: float) -> Image:
        gray = 255 * ((image @ mix) / 255) ** power * 0.9
        return np.repeat(noisy(whole(np.repeat(gray[..., None], 3, axis=2)), seconds, 2)[..., :1], 3, axis=2)

    return over


def rain(given: Given) -> Filter:
    return lambda image, seconds: fallen(image, seconds, 0.012 + 0.02 * given.strength, (2, 26))


def snow(given: Given) -> Filter:
    return lambda image, seconds: fallen(image, seconds, 0.012 + 0.02 * given.strength, (8, 8))


def fallen(image: Image, seconds: float, share: float, size: tuple[int, int]) -> Image:
    """Streaks or flakes, new in every picture, for 3 seconds."""
    if seconds > 3:
        return image
    rng, scale = np.random.default_rng(round(seconds * 1e3)), image.shape[1] / WIDTH
    shape = np.ones((max(1, round(size[1] * scale)), max(1, round(size[0] * scale))), np.uint8)
    drops = cv2.dilate((rng.random(image.shape[:2]) < share / 4 / scale / scale).astype(np.uint8), shape)
    soft = cv2.GaussianBlur(drops.astype(np.float32), (0, 0), 1)[..., None] * 0.7
    return whole(image * (1 - soft) + 225 * soft)


def garbage(given: Given) -> Filter:
    """Lost packets: macroblocks from elsewhere for a second or two, over most of the picture."""

    def over(image: Image, seconds: float) -> Image:
        if seconds > 1 + given.strength:
            return image
        one = np.random.default_rng(round(seconds * 1e3))
        shown, (height, width) = image.copy(), image.shape[:2]
        for top in range(0, height - 16, 16):
            for left in range(0, width - 16, 16):
                if one.random() < 0.85:
                    y, x = one.integers(height - 16), one.integers(width - 16)
                    shown[top : top + 16, left : left + 16] = image[y : y + 16, x : x + 16] // 2 + one.integers(128)
        return shown

    return over


def bus(given: Given) -> Filter:
    """It fills 40 % of the picture, for 5 seconds at a stop."""
    colour, first = given.rng.uniform(20, 230, 3), given.rng.uniform(0, 0.3)

    def over(image: Image, seconds: float) -> Image:
        height, width = image.shape[:2]
        left = width * (first + 0.1 + (max(0.0, 1.5 - seconds) - max(0.0, seconds - 6.5)) / 1.5)
        top, right = round(0.25 * height), left + 0.53 * width
        shown, (start, end) = image.copy(), (round(np.clip(ends, 0, width)) for ends in (left, right))
        shown[top:, start:end] = colour
        shown[round(0.35 * height) : round(0.5 * height), start:end][:, :: max(2, width // 60)] = 30
        return shown

    return over


def crowd(given: Given) -> Filter:
    """Some thirty people close by who walk through each given.images for 40 seconds."""
    starts, speeds = given.rng.uniform(0, 1, 30), given.rng.uniform(0.05, 0.15, 30) * given.rng.choice([-1, 1], 30)
    tops, colours = given.rng.uniform(0.15, 0.7, 30), given.rng.uniform(10, 230, (30, 3))

    def over(image: Image, seconds: float) -> Image:
        shown, (height, width) = image.copy(), image.shape[:2]
        for start, speed, top, colour in zip(starts, speeds, tops, colours, strict=True):
            x, y = round((start + speed * seconds) % 1 * width), round(top * height)
            size = round(width * 0.035), round(height * 0.2)
            cv2.ellipse(shown, (x, y), size, 0, 0, 360, colour.tolist(), -1)
        return shown

    return over


RENDERED: dict[str, tuple[Draw, float]] = {  # and for how many seconds
    "covered, flat": (covered(0), 25),
    "covered, textured": (covered(18), 25),
    "sprayed": (sprayed, 45),
    "moved, shifted": (warped(0, 0.15), 25),
    "moved, turned": (warped(15, 0.03), 25),
    "moved, elsewhere": (elsewhere, 25),
    "defocused": (defocused, 25),
    "frozen": (frozen, 25),
    "dark": (dark, 25),
    "exposure": (toned((1.2, 1.6), (1, 1.3)), 25),
    "lights": (lights, 25),
    "infrared": (infrared, 25),
    "rain": (rain, 10),
    "snow": (snow, 10),
    "garbage": (garbage, 10),
    "bus": (bus, 10),
    "crowd": (crowd, 40),
}


RIGHT = (
    dict.fromkeys(("exposure", "lights"), "light") | {"infrared": "colour"} | dict.fromkeys(("bus", "crowd"), "none")
)
RIGHT |= dict.fromkeys(("rain", "snow", "garbage"), "picture")


def kept(path: Path) -> list[Image]:
    """What is played of a video, a picture each look."""
    found: list[Image] = []
    source = open_source(path)
    step = LOOK * (source.rate or 25)
    for place, frame in enumerate(source):
        if frame.image is not None and place >= len(found) * step:
            found.append(small(frame.image))
        if len(found) * LOOK >= LONGEST:
            break
    return found


def small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = round(width * scale), round(height * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def played(images: list[Image]) -> Iterator[Image]:
    """Forwards and backwards for ever."""
    return cycle([*images, *images[-2:0:-1]])


def judged(images: list[Image], over: Filter, length: float) -> tuple[str, float, bool]:
    """What is said, after how many seconds, and whether it has ended after plain video again."""
    trouble, said, late, kind = Trouble(), "none", np.nan, None
    looks = round((BEFORE + length + AFTER) / LOOK)
    for place, image in enumerate(islice(played(images), looks)):
        now = place * (LOOK + 1e-6)
        if BEFORE <= now < BEFORE + length:
            seen = trouble.push(now, over(image, now - BEFORE))
            kind = seen.kind or kind
            if (seen.kind is not None and said not in KINDS) or (seen.change is not None and said == "none"):
                said, late = str(seen.kind or seen.change), now - BEFORE
        else:
            seen = trouble.push(now, image)
    return kind or said, late, seen.kind is None


def day(image: Image, seconds: float) -> Image:
    """A day's light within an hour: from dusk to noon and back, warmer and cooler."""
    turn = np.sin(2 * np.pi * seconds / 3600)
    gain = np.array([0.7 + 0.45 * turn, 0.7 + 0.42 * turn, 0.72 + 0.36 * turn])
    return whole(image * gain)


def false_troubles(images: list[Image], hours: float, *, light: bool) -> tuple[Counter[str], float]:
    """Troubles and changes of plain video, and the share of time that anomalies are held."""
    trouble, found, held, before = Trouble(), Counter[str](), 0, None
    looks = round(hours * 3600 / LOOK)
    for place, image in enumerate(islice(played(images), looks)):
        now = place * (LOOK + 1e-6)
        seen = trouble.push(now, day(image, now) if light else image)
        if before is not None:
            found.update([seen.kind] if seen.kind not in (None, before.kind) else [])
            found.update([seen.change] if seen.change not in (None, before.change) else [])
        held, before = held + bool(seen.why), seen
    return found, held / looks


def main() -> None:
    """Prints the table, and what plain video gives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--plaza", type=Path, required=True, help="a folder that tsvad's plaza was rendered to")
    parser.add_argument("--hours", type=float, default=0.5, help="of the plaza; a tenth of it of each video")
    parser.add_argument("--half", choices=("choose", "report"), default="report")
    parser.add_argument("--draws", type=int, default=2, help="of each kind and video")
    options = parser.parse_args()
    odd = options.half == "report"
    try:
        videos = {path.stem: kept(path) for path in options.videos}
        folders = sorted((options.plaza / "training" / "frames").iterdir())
        plaza = [image for folder in folders for image in kept(folder)]
    except (TsvadError, OSError) as error:
        sys.exit(f"trouble: {error}")
    videos["plaza"] = plaza
    names = [name for place, name in enumerate(videos) if place % 2 == odd]
    print(f"{options.half}: {', '.join(names)}; {options.draws} draws\n")
    table(videos, names, options.draws, odd=odd)
    for name, images in videos.items():
        hours, began = options.hours * (1 if name == "plaza" else 0.1), time.perf_counter()
        found, held = false_troubles(images, hours, light=name == "plaza")
        each = (time.perf_counter() - began) / (hours * 3600 / LOOK)
        told = ", ".join(f"{count} {kind}" for kind, count in found.items()) or "nothing"
        print(f"{name}: {hours:.2f} h of plain video: {told}; held {100 * held:.1f} %; {1e3 * each:.1f} ms a look")


def table(videos: dict[str, list[Image]], names: list[str], draws: int, *, odd: bool) -> None:
    print(
        f"{'':18}"
        + "".join(f"{said:>10}" for said in SAID)
        + "   seconds  not ended  wrong: video, strength, what was said"
    )
    for row, (kind, (draw, length)) in enumerate(RENDERED.items()):
        said, late, stays, wrong = Counter[str](), [], 0, []
        for place, name in enumerate(names):
            for turn in range(draws):
                seed = 2 * (turn + draws * place) + odd
                rng = np.random.default_rng([row, seed])
                strength = float(rng.uniform())
                other = videos[rng.choice([other for other in videos if other != name])]
                over = draw(Given(rng, strength, other if kind == "moved, elsewhere" else videos[name]))
                what, seconds, ended = judged(videos[name], over, length)
                said[what] += 1
                late.append(seconds)
                stays += not ended
                if what != RIGHT.get(kind, kind.partition(",")[0]):
                    wrong.append(f"{name} {strength:.2f} {what}")
        known = [seconds for seconds in late if np.isfinite(seconds)]
        soon = f"{np.median(known):.1f}–{max(known):.1f}" if known else "–"
        cells = "".join(f"{said[column] or '·':>10}" for column in SAID)
        print(f"{kind:18}{cells}{soon:>10}{stays:>11}  {'; '.join(wrong)}", flush=True)


if __name__ == "__main__":
    main()
