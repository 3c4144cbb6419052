"""Says what is wrong with a dataset, and where: each video is decoded once, of each frame 1 KB is kept."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..datasets.dataset import Dataset
from ..datasets.errors import DatasetError
from ..progress import Progress, silent
from .checks import black_start, copies, dark, frame_total, header_count, mixed, repeats, short
from .findings import Finding
from .label_checks import check_labels
from .readings import Reading, read_video


@dataclass(frozen=True, slots=True)
class Split:
    """What was read of one: two copies of a dataset are the same, decoded by the same FFmpeg, where the hashes are."""

    videos: int
    frames: int
    sha256: str  # of all frames' hashes in order

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> "Split":
        """From its videos in order."""
        digests = [reading.prints.frames["digest"].astype(">u8").tobytes() for reading in readings]
        return cls(len(readings), sum(r.readable for r in readings), hashlib.sha256(b"".join(digests)).hexdigest())


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found, in the videos' order, what concerns the whole dataset first."""

    root: Path
    layout: str
    videos: int
    frames: int  # that were read
    seconds: float
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]  # worth knowing, no fault
    splits: dict[str, Split] = field(default_factory=dict)

    @property
    def affected(self) -> int:
        """Videos that have findings."""
        return len({finding.video for finding in self.findings if finding.video})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"root": str(self.root), "seconds": round(self.seconds, 3)}


def examine(dataset: Dataset, labels: Path | None = None, progress: Progress = silent) -> Report:
    """Reads every frame of the dataset and checks videos, labels, masks, and one split against the other.

    What is kept of a frame takes under 1 KB, so ShanghaiTech's 317,000 frames take 0.3 GB. Only a video file
    whose labels differ in number from its frames is decoded again, by OpenCV. Labels None are those in the dataset's
    usual places. ``progress`` is told videos read, videos in all, and the name of the one just read. DatasetError
    where the label file given is not there; faults of the dataset itself are findings.
    """
    if labels is not None and not labels.exists():
        raise DatasetError(f"label file {labels} does not exist; check the path")
    began = time.monotonic()
    readings: list[Reading] = []
    for split, video in dataset.videos:
        readings.append(read_video(video, split))
        progress(len(readings), len(dataset.videos), readings[-1].name)
    training, testing = readings[: len(dataset.training)], readings[len(dataset.training) :]
    said: list[Finding] = []
    for reading in readings:
        said += reading.findings
        for check in (header_count, black_start, dark, repeats, short):
            said += check(reading)
    said += (Finding.of("left-out", "warning", "", line) for line in dataset.left_out)
    for split, read in (("training", training), ("testing", testing)):
        said += frame_total(dataset.layout, split, read)
    said += mixed(readings)
    said += copies(training, testing)
    if testing:
        said += check_labels(dataset, {reading.video.name: reading for reading in testing}, labels)
    frames, seconds = sum(reading.readable for reading in readings), time.monotonic() - began
    splits = {"training": Split.of(training), "testing": Split.of(testing)}
    report = Report(dataset.root, dataset.layout, len(readings), frames, seconds, (), (), splits)
    return with_findings(report, dataset, said)


def with_findings(report: Report, dataset: Dataset, more: Iterable[Finding]) -> Report:
    """The dataset's report with more findings and notes, each put at its video's end."""
    order = {f"{split}/{video.name}": number for number, (split, video) in enumerate(dataset.videos, start=1)}
    order[""] = 0  # what is the whole dataset's
    said = sorted((*report.findings, *report.notes, *more), key=lambda said: order.get(said.video, len(order)))
    notes = tuple(finding for finding in said if finding.severity == "note")
    return replace(report, findings=tuple(finding for finding in said if finding.severity != "note"), notes=notes)
