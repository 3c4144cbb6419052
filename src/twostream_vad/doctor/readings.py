"""One pass over a video for the doctor: fingerprints of its frames, and whatever keeps it from being read."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..datasets.layouts import Video
from ..video.folders import digits_of
from ..video.frames import VideoError, VideoFile, is_image, read_image
from .findings import Finding, Ranges, Severity, counted, in_words, ranges
from .fingerprints import Fingerprints


@dataclass(slots=True)
class Reading:
    """What is left of a video when it has been read: under 1 KB a frame."""

    name: str  # ``training/01``
    video: Video
    findings: list[Finding] = field(default_factory=list)
    prints: Fingerprints = field(default_factory=Fingerprints)
    missing: int = 0  # frames that the numbering leaves out
    rate: float | None = None  # frames a second by the video itself; None for images
    declared: int = 0  # frames by the container's header; 0 where it does not say

    def say(self, kind: str, what: str, remedy: str, frames: Ranges = (), severity: Severity = "error") -> None:
        """Adds a finding."""
        self.findings.append(Finding(kind, severity, self.name, what, remedy, frames))

    @property
    def whole(self) -> bool:
        """Whether the number of frames is sure: nothing broke off, no number is ambiguous."""
        return not any(finding.kind in ("unreadable-video", "frame-number") for finding in self.findings)

    @property
    def frames(self) -> int:
        return len(self.prints)

    @property
    def readable(self) -> int:
        return int(np.count_nonzero(self.prints.frames["digest"]))

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of most frames; None where none can be read."""
        sizes = Counter((height, width) for height, width in self.prints.frames["size"].tolist() if height)
        return sizes.most_common(1)[0][0] if sizes else None


def read_video(video: Video, split: str) -> Reading:
    """Decodes a video once. Never raises for a fault of the video: ``findings`` and ``whole`` say it."""
    reading = Reading(f"{split}/{video.name}", video)
    try:
        (_read_folder if video.path.is_dir() else _read_file)(reading)
    except (VideoError, OSError) as error:
        told = str(error)
        if isinstance(error, OSError):
            told = f"{video.path} cannot be read: {error.strerror}; check that it is there and that you may read it"
        reading.findings.append(Finding.of("unreadable-video", "error", reading.name, told))
    return reading


def _read_file(reading: Reading) -> None:
    source = reading.video.open()
    reading.rate, reading.declared = source.rate, source.declared if isinstance(source, VideoFile) else 0
    for frame in source:
        reading.prints.add(frame.image)


def _read_folder(reading: Reading) -> None:
    """Goes on after an image that cannot be read, unlike the source for training, to name all of them."""
    files = _images(reading)[reading.video.skip :]
    if not files:
        reading.video.open()  # says what is wrong
        raise VideoError(f"{reading.video.path} holds no numbered images; name frames by number (000.jpg)")
    broken: dict[str, list[tuple[int, str]]] = {"empty-frame": [], "unreadable-frame": []}
    for index, file in enumerate(files):
        image = None
        try:
            image = read_image(file)
        except VideoError as error:
            empty = file.is_file() and file.stat().st_size == 0
            broken["empty-frame" if empty else "unreadable-frame"].append((index, str(error)))
        reading.prints.add(image)
    for kind, faults in broken.items():
        if faults:
            frames = ranges(index for index, _ in faults)
            what, _, remedy = faults[0][1].partition("; ")
            also = f"; so are {len(faults) - 1} more: {in_words(frames)}" if len(faults) > 1 else ""
            what = f"frame {faults[0][0]}: {what}{also}"
            reading.say(kind, what, remedy, frames)
    sizes = reading.prints.frames["size"]
    odd = np.flatnonzero((sizes != (reading.size or (0, 0))).any(axis=1) & (sizes[:, 0] > 0))
    if len(odd) and reading.size:
        frames = ranges(odd.tolist())
        (height, width), (usual_height, usual_width) = sizes[odd[0]], reading.size
        what = f"{in_words(frames)}: {width} x {height} pixels, the others {usual_width} x {usual_height}"
        remedy = "extract these frames again, or put each size into a folder of its own"
        reading.say("frame-size", what, remedy, frames)


def _images(reading: Reading) -> list[Path]:
    """The folder's numbered images in order; faults of names and numbering become findings."""
    inside = sorted(path for path in reading.video.path.iterdir() if not path.name.startswith("."))
    images = [path for path in inside if is_image(path) and path.is_file()]
    digits = {path: number for path in images if (number := digits_of(path))}
    files = sorted(digits, key=lambda path: (int(digits[path]), path))
    if strays := [path for path in inside if path not in images]:
        what = f"{_listed(strays)} {'is no image' if len(strays) == 1 else 'are no images'}, and passed over"
        reading.say("stray-file", what, "move it elsewhere, or convert it where it is a frame", severity="warning")
    if unnumbered := [path for path in images if path not in digits]:
        what = f"{_listed(unnumbered)} {'has' if len(unnumbered) == 1 else 'have'} no number in the name"
        reading.say("frame-number", what, "name frames by number (000.jpg), or remove what is no frame")
    if files:
        _say_numbering(reading, files, [int(digits[path]) for path in files])
        _say_padding(reading, {path: digits[path] for path in files})
    return files


def _say_numbering(reading: Reading, files: list[Path], numbers: list[int]) -> None:
    steps = list(enumerate(pairwise(numbers)))
    twice = [index for index, (a, b) in steps if a == b]
    gaps = [(index, b - a - 1) for index, (a, b) in steps if b > a + 1]
    reading.missing = numbers[-1] - numbers[0] + 1 - len(files)
    if twice:
        first, second = files[twice[0]].name, files[twice[0] + 1].name
        more = f", and {len(twice) - 1} more such pairs" if len(twice) > 1 else ""
        what = f"{first} and {second} are both frame {numbers[twice[0]]}{more}"
        reading.say("frame-number", what, "remove one, or give each video a folder of its own")
    if gaps:
        places = [f"{count} between {files[index].name} and {files[index + 1].name}" for index, count in gaps[:5]]
        more = f", and so at {len(gaps) - 5} more places" if len(gaps) > 5 else ""
        what = f"{counted(sum(count for _, count in gaps), 'frame')} missing: {', '.join(places)}{more}"
        skip = reading.video.skip
        frames = tuple((max(index - skip, 0), max(index + 1 - skip, 0)) for index, _ in gaps)
        reading.say("frame-gap", what, "extract the video again, or renumber the frames if none was lost", frames)


def _say_padding(reading: Reading, digits: dict[Path, str]) -> None:
    """1, 2, ..., 10 is in order and so is 001, ..., 1000; 1, 02, 003 is not: files of two extractions?"""
    widths = sorted({len(text) for text in digits.values()})
    odd = ([file for file, text in digits.items() if text != f"{int(text):0{width}d}"] for width in widths)
    if fewest := min(odd, key=len):
        usual = next(file for file in digits if file not in fewest)
        what = f"numbers are padded differently: {_listed(fewest)}, but {usual.name}"
        remedy = "check that these frames are of one extraction, and rename them alike"
        reading.say("mixed-padding", what, remedy, severity="warning")


def _listed(paths: list[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(path.name for path in paths[:3]) + more
