"""``prepared.json``: which videos lie ready as frames, and what each was extracted from."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..storage import write_text
from ..video.ranges import Ranges
from .errors import DatasetError

PREPARED = "prepared.json"  # ``prepare`` leaves it in the folder it fills; it is read in preference to looking around


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
    rate: float | None = None  # frames a second that it was resampled to


@dataclass(frozen=True, slots=True)
class Entry:
    """A video in the manifest."""

    prepared: Prepared
    source: Source
    folder: str  # where its frames are; relative to the manifest where they were extracted
    rate: float
    left: int  # first frames of that folder still to be skipped
    times: str | None = None  # each frame's seconds, .npy, where they do not follow from the rate
    lost: Ranges = ()  # frames that were missing or damaged, in whose place a neighbour's picture lies
    notes: tuple[str, ...] = ()  # what was done to the video that its owner should know
    depth: int | None = None  # bits in use of a value in images that were left where they are


@dataclass(slots=True)
class Manifest:
    """The file's content; it is written whole, and by one process only."""

    root: Path  # the source dataset's, where labels and masks lie
    layout: str
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)  # by split and name
    complete: bool = False  # whether every video of the dataset lies ready

    def by_split(self) -> dict[str, dict[str, Prepared]]:
        """Frame count and size of every video, by split and name."""
        found: dict[str, dict[str, Prepared]] = {"training": {}, "testing": {}}
        for (split, name), entry in self.entries.items():
            found[split][name] = entry.prepared
        return found

    def put(self, entry: Entry) -> None:
        """Adds or replaces a video."""
        self.entries[entry.prepared.split, entry.prepared.name] = entry

    def write(self, folder: Path) -> None:
        """Writes ``folder/prepared.json``."""
        value = {
            "complete": self.complete,
            "layout": self.layout,
            "root": str(self.root.resolve()),
            "videos": [asdict(entry) for entry in self.entries.values()],
        }
        write_text(folder / PREPARED, json.dumps(value, indent=1) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """What ``folder/prepared.json`` says; DatasetError where it is damaged or not there."""
    file = folder / PREPARED
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        manifest = Manifest(Path(value["root"]), str(value["layout"]), complete=bool(value["complete"]))
        for line in value["videos"]:
            parts: dict[str, Any] = {"prepared": Prepared(**line["prepared"]), "source": Source(**line["source"])}
            parts["lost"] = tuple((int(first), int(last)) for first, last in line.get("lost", ()))
            parts["notes"] = tuple(line.get("notes", ()))
            manifest.put(Entry(**line | parts))
        return manifest
    except FileNotFoundError:
        raise DatasetError(f"{file} is not there; run prepare again") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is damaged ({error!r}); delete {folder} and prepare it again") from None
