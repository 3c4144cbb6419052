"""``prepared.json``: which videos lie ready as frames, and what each was extracted from."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..storage import write_text
from .layouts import PREPARED, Dataset, DatasetError, Video


@dataclass(frozen=True, slots=True)
class Prepared:
    """A video whose frames lie ready: how many, by decoding, and how large."""

    name: str
    split: str
    frames: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Source:
    """What a video was extracted from and how. Where any of it changes, the video is extracted again."""

    path: str
    bytes: int
    modified: int  # ns
    skip: int
    suffix: str | None  # None: a folder of images, left where it is


@dataclass(frozen=True, slots=True)
class Record:
    """A video's line in the manifest.

    Attributes:
        folder: where its frames are; relative to the manifest where they were extracted.
        left: first frames of that folder still to be skipped.
    """

    prepared: Prepared
    source: Source
    folder: str
    rate: float
    left: int


class Manifest:
    """The records by split and name, and their file, which is written whole and by one process only."""

    def __init__(self, out: Path, dataset: Dataset) -> None:
        self.out = out
        self.records = _read(out / PREPARED)
        self._dataset = dataset

    def put(self, record: Record) -> None:
        self.records[record.prepared.split, record.prepared.name] = record
        self.write(complete=False)

    def write(self, *, complete: bool) -> None:
        value = {
            "complete": complete,
            "layout": self._dataset.layout,
            "root": str(self._dataset.root.resolve()),
            "videos": [asdict(record) for record in self.records.values()],
        }
        write_text(self.out / PREPARED, json.dumps(value, indent=1) + "\n")

    def dataset(self) -> Dataset:
        """The dataset over the frames; its root stays, since labels and masks lie there."""
        videos: dict[str, list[Video]] = {"training": [], "testing": []}
        for (split, name), record in self.records.items():
            videos[split].append(Video(name, self.out / record.folder, record.left, record.rate))
        source = self._dataset
        return Dataset(source.root, source.layout, tuple(videos["training"]), tuple(videos["testing"]))


def _read(file: Path) -> dict[tuple[str, str], Record]:
    if not file.exists():
        return {}
    try:
        records = [
            Record(**{**line, "prepared": Prepared(**line["prepared"]), "source": Source(**line["source"])})
            for line in json.loads(file.read_text(encoding="utf-8"))["videos"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is damaged ({error!r}); delete {file.parent} and prepare it again") from None
    return {(record.prepared.split, record.prepared.name): record for record in records}
