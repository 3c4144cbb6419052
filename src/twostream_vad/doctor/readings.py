"""One pass over a video for the doctor: fingerprints of its frames, and whatever keeps it from being read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..datasets.dataset import Video
from ..video.folders import A_COPY, find_depth
from ..video.frames import VideoError, VideoFile, is_image, read_image
from ..video.numbering import Numbering, number_images
from ..video.ranges import Ranges, in_words, ranges
from ..video.remarks import remarks
from .findings import Finding, Severity, counted
from .fingerprints import Fingerprints

SEVERITY: dict[str, Severity] = {
    "time-gap": "error",
    "clock-set": "warning",
    "variable-rate": "warning",
    "several-streams": "warning",
    "interlaced": "note",
    "unfinished": "warning",
}
"""Of what is remarked of a video file."""


@dataclass(slots=True)
class Reading:
    """What is left of a video when it has been read: under 1 KB a frame."""

    name: str  # ``training/01``
    video: Video
    findings: list[Finding] = field(default_factory=list)
    prints: Fingerprints = field(default_factory=Fingerprints)
    missing: int = 0  # frames that the numbering leaves out
    rate: float | None = None  # frames a second by the video itself; None for images, and where it does not say
    source: VideoFile | None = None  # of a file, read to its end

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
    assert isinstance(source, VideoFile), "a file is no folder"
    reading.source, reading.rate = source, source.known_rate
    if source.known_rate is None:
        what, remedy = "it does not say how many frames it has a second", "say so: `tsvad fit --set rate=`"
        reading.say("no-rate", what, remedy)
    for frame in source:
        reading.prints.add(None if frame.lost else frame.image)
    for remark in remarks(source):
        frames = source.lost if remark.kind == "time-gap" else ()
        reading.say(remark.kind, remark.what, remark.remedy, frames, SEVERITY[remark.kind])


def _read_folder(reading: Reading) -> None:
    """Goes on after an image that cannot be read, unlike the source for training, to name all of them."""
    files = _images(reading)[reading.video.skip :]
    if not files:
        reading.video.open()  # says what is wrong
        raise VideoError(f"{reading.video.path} holds no numbered images; name frames by number (000.jpg)")
    depth = reading.video.depth or find_depth(files)
    if depth > 8:
        what = f"values of {depth} bits in 16-bit files: scaled to 8"
        reading.say("depth", what, "that is no fault; frames of one folder are all scaled alike", severity="note")
    broken: dict[str, list[tuple[int, str]]] = {"empty-frame": [], "unreadable-frame": []}
    for index, file in enumerate(files):
        image = None
        try:
            image = read_image(file, depth)
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


def _images(reading: Reading) -> tuple[Path, ...]:
    """The folder's numbered images in order; faults of names and numbering become findings."""
    inside = sorted(path for path in reading.video.path.iterdir() if not path.name.startswith("."))
    images = {path for path in inside if is_image(path) and path.is_file()}
    found = number_images(images)
    if strays := [path for path in inside if path not in images]:
        what = f"{_listed(strays)} {'is no image' if len(strays) == 1 else 'are no images'}, and passed over"
        reading.say("stray-file", what, "move it elsewhere, or convert it where it is a frame", severity="warning")
    if found.unnumbered:
        what = f"{_listed(found.unnumbered)} {'has' if len(found.unnumbered) == 1 else 'have'} no number in the name"
        reading.say("frame-number", what, "name frames by number (000.jpg), or remove what is no frame")
    if found.copies:
        copy, original = found.copies[0]
        more = f", and there are {len(found.copies) - 1} more" if len(found.copies) > 1 else ""
        reading.say("frame-number", f"{copy.name} is {A_COPY} of {original.name}{more}", "remove it")
    if found.files:
        _say_numbering(reading, found)
        _say_order(reading, found)
    if found.files and not found.named:
        _say_padding(reading, dict(zip(found.files, found.digits, strict=True)))
    return found.files


def _say_numbering(reading: Reading, found: Numbering) -> None:
    files, twice, gaps = found.files, found.doubled, found.gaps
    number = f" ({found.number})" if found.number else ""
    reading.missing = (found.numbers[-1] - found.numbers[0]) // found.step + 1 - len(files)
    if twice:
        first, second = files[twice[0]].name, files[twice[0] + 1].name
        more = f", and {len(twice) - 1} more such pairs" if len(twice) > 1 else ""
        what = f"{first} and {second} are both frame {found.numbers[twice[0]]}{number}{more}"
        reading.say("frame-number", what, "remove one, or give each video a folder of its own")
    if gaps:
        places = [f"{count} between {files[place].name} and {files[place + 1].name}" for place, count in gaps[:5]]
        more = f", and so at {len(gaps) - 5} more places" if len(gaps) > 5 else ""
        what = f"{counted(sum(count for _, count in gaps), 'frame')} missing{number}: {', '.join(places)}{more}"
        skip = reading.video.skip
        frames = tuple((max(place - skip, 0), max(place + 1 - skip, 0)) for place, _ in gaps)
        reading.say("frame-gap", what, "extract the video again, or renumber the frames if none was lost", frames)


def _say_order(reading: Reading, found: Numbering) -> None:
    """What was taken for the order, where it is not plain."""
    between = f"{found.files[0].name} to {found.files[-1].name}"
    if found.step > 1:
        what = f"numbers rise by {found.step}{f' ({found.number})' if found.number else ''}, {between}"
        remedy = "no frame is missing; set `rate` to the images a second that are left"
        reading.say("numbering-step", what, remedy, severity="note")
    if found.stamped:
        what, remedy = f"names are times and give the order, {between}", "whether one is missing cannot be told"
        reading.say("numbering-name", what, remedy, severity="note")
    elif found.named:
        what = f"several numbers in the names differ, so that names give the order: {between}"
        remedy = "if these are several videos or cameras, give each a folder of its own; else number the frames"
        reading.say("numbering-name", what, remedy, severity="warning")


def _say_padding(reading: Reading, digits: dict[Path, str]) -> None:
    """1, 2, ..., 10 is in order and so is 001, ..., 1000; 1, 02, 003 is not: files of two extractions?"""
    widths = sorted({len(text) for text in digits.values()})
    odd = ([file for file, text in digits.items() if text != f"{int(text):0{width}d}"] for width in widths)
    if fewest := min(odd, key=len):
        usual = next(file for file in digits if file not in fewest)
        what = f"numbers are padded differently: {_listed(fewest)}, but {usual.name}"
        remedy = "check that these frames are of one extraction, and rename them alike"
        reading.say("mixed-padding", what, remedy, severity="warning")


def _listed(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(path.name for path in paths[:3]) + more
