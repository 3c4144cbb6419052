"""The bundle: a folder with all that scoring needs and nothing else. It points at nothing outside itself.

``detector.json`` describes it, ``SHA256SUMS`` (as `sha256sum -c` reads it) has the hash of every file. An altered, a
missing or a newer file is refused in words.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import TsvadError
from ..scores.calibration import Scale
from ..scores.promise import NormalEvents
from ..settings import Resolved
from ..storage import sha256_of, write_text
from ..video.snippets import Snippet
from ..video.views import Region, Views

FORMAT = 3  # since what normal video reaches lies in it; 2 had EdgeNets too, 1 none
DESCRIPTION, SUMS = "detector.json", "SHA256SUMS"
PREDICTOR = "recovery/net.safetensors"
NORMAL = "recovery/normal.safetensors"
ENCODER = "retrieval/encoder.safetensors"
HASHNET = "retrieval/hashnet.safetensors"
TABLES = "retrieval/tables.safetensors"
CENTRES = "retrieval/centres.safetensors"
EDGE = "edge/net.safetensors"
EXEMPLARS = "retrieval/exemplars.safetensors"
CHUNK = 1 << 20


class BundleError(TsvadError):
    """A bundle that cannot be used; the message names the file and what would do."""


# What no detector goes beyond: a description is believed in what it takes room for.
Side = Annotated[int, Field(ge=1, le=1 << 14)]
Count = Annotated[int, Field(ge=1, le=1 << 16)]
Rate = Annotated[float, Field(gt=0, le=1e6)]
Width = Annotated[float, Field(gt=0, le=16)]  # of a net, times the paper's


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pictures(_Part):
    """What the pictures were that the detector has learned from.

    ``size`` is the side of a crop in pixels, ``regions`` are (x, y, width, height), none for the whole frame, which is
    ``height`` x ``width`` and gives ``crops`` crops; ``mean`` and ``deviation`` are of every channel, of values in
    [0, 1]; ``fewest``: see `Views`; ``rate`` is frames a second; ``gray`` says whether the channels were alike.
    """

    size: Side
    regions: tuple[tuple[int, int, int, int], ...]
    crops: Count
    mean: float
    deviation: float
    fewest: bool = False
    rate: Rate
    height: Side
    width: Side
    gray: bool


class Recovery(_Part):
    """The context recovery stream; ``how`` leaves nothing to be selected."""

    length: Count
    interval: Count
    width: Width
    residual: bool
    stride: Count
    how: Resolved


class Retrieval(_Part):
    """The knowledge retrieval stream; ``values`` of a feature, of type ``dtype``; ``by_place`` one for every place."""

    length: Count
    interval: Count
    width: Width
    cells: Count
    by_place: bool = False
    values: Annotated[int, Field(ge=1, le=1 << 24)]
    dtype: Literal["float16", "float32"]
    tables: Count
    bits: Annotated[int, Field(ge=1, le=64)]


class Edge(_Part):
    """An EdgeNet, which predicts and encodes in place of both streams' nets."""

    width: Width
    values: Annotated[int, Field(ge=1, le=1 << 16)]


class Calibration(_Part):
    """What normal video, held out of training, scores: each stream's scale, and the threshold of the fused score.

    ``heat`` is the scale of the hottest place of a stream's heat; a stream that does not know where has none.
    ``normal`` is how often that video is loud, None where it was not held out, or too short.
    """

    scales: dict[str, Scale]
    heat: dict[str, Scale]
    threshold: float
    videos: tuple[str, ...]
    normal: NormalEvents | None = None

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """What the stage wrote; TsvadError where there is no such file, or a broken one."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise TsvadError(f"{path}: nothing is calibrated yet; run `tsvad calibrate` first") from None
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            raise TsvadError(f"{path}: not a calibration ({message}); run `tsvad calibrate` again") from None


class Description(_Part):
    """``detector.json``; ``made_by`` is the program's version, ``weights`` are the streams' in the fusion."""

    format: int
    made_by: str
    recipe: str
    pictures: Pictures
    recovery: Recovery
    retrieval: Retrieval
    edge: Edge | None = None
    calibration: Calibration
    weights: dict[str, float]


class Bundle:
    """A bundle that was opened, in ``folder`` or in the ``detector/`` of a run folder: checked file by file.

    Raises BundleError where there is none, or a file is missing, altered, or of a newer version.
    """

    def __init__(self, folder: Path) -> None:
        folder = Path(folder)
        self.folder = folder if (folder / DESCRIPTION).exists() or (folder / SUMS).exists() else folder / "detector"
        if not (self.folder / SUMS).is_file():
            raise BundleError(
                f"{folder} is no detector: it has no {SUMS}; give the folder that `tsvad pack RUN --out FOLDER` wrote"
            )
        self.hashes = _check(self.folder)
        self.description = _describe(self.folder / DESCRIPTION)

    @property
    def identity(self) -> str:
        """A hash of the whole bundle: of its sums."""
        return hashlib.sha256("".join(sorted(self.hashes.values())).encode()).hexdigest()

    def path(self, name: str) -> Path:
        """One of its files."""
        return self.folder / name

    @cached_property
    def snippets(self) -> dict[str, Snippet]:
        """Stream → its frames."""
        recovery, retrieval = self.description.recovery, self.description.retrieval
        return {
            "recovery": Snippet.predicting(recovery.length, recovery.interval),
            "retrieval": Snippet.centred(retrieval.length, retrieval.interval),
        }

    @cached_property
    def views(self) -> Views:
        """What the nets see of a frame."""
        pictures = self.description.pictures
        return Views(pictures.size, tuple(Region(*region) for region in pictures.regions), pictures.fewest)

    @cached_property
    def has_one_encoder(self) -> bool:
        """Whether both streams see the same frames by encoders of the same weights: then one computes for both."""
        import torch

        from ..nets.i3d import load_encoder

        told = self.description
        if told.edge is not None or not told.retrieval.by_place or told.recovery.interval != told.retrieval.interval:
            return False
        own, other = load_encoder(self.path(PREDICTOR)), load_encoder(self.path(ENCODER))
        return own.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in own.items())


def write_bundle(folder: Path, description: Description, files: Mapping[str, Path]) -> None:
    """Writes a bundle, whole or not at all, over one that is there; ``files`` are copied under their names in it."""
    with whole_folder(folder, files) as partial:
        write_text(partial / DESCRIPTION, description.model_dump_json(indent=1, exclude_none=True) + "\n")
        names = sorted((*files, DESCRIPTION))
        write_text(partial / SUMS, "".join(f"{sha256_of(partial / name)}  {name}\n" for name in names))


def copy_bundle(bundle: Bundle, folder: Path) -> None:
    """The same bundle in another folder, byte for byte; BundleError where something else lies there."""
    if folder.exists() and any(folder.iterdir()) and not (folder / DESCRIPTION).exists():
        raise BundleError(f"{folder} is not empty and no detector; choose another --out")
    with whole_folder(folder, {name: bundle.path(name) for name in (*bundle.hashes, SUMS)}):
        pass


def _check(folder: Path) -> dict[str, str]:
    """Name → hash of every file, all as `SHA256SUMS` says."""
    hashes = {}
    *lines, end = (folder / SUMS).read_bytes().decode("utf-8", errors="replace").split("\n")
    for line in [*lines, end] if end else lines:
        digest, gap, name = line[:64], line[64:66], line[66:]
        plain = Path(name).parts
        if gap != "  " or len(digest) != 64 or not plain or ".." in plain or Path(name).is_absolute():
            raise BundleError(f"{folder / SUMS} is altered or cut short; copy the detector again")
        hashes[name] = digest
    if DESCRIPTION not in hashes:
        raise BundleError(f"{folder / SUMS} is altered: it does not name {DESCRIPTION}; copy the detector again")
    for name, digest in hashes.items():
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}, which {SUMS} names, is missing; copy the detector again, whole")
        if sha256_of(folder / name) != digest:
            raise BundleError(f"{folder / name} is not what {SUMS} says: one of the two is altered; copy it again")
    return hashes


def _describe(path: Path) -> Description:
    try:
        values: Any = json.loads(path.read_text("utf-8"))
        found = values.get("format")
        if isinstance(found, int) and found > FORMAT:
            raise BundleError(
                f"{path}: a detector of format {found}, made by twostream-vad {values.get('made_by')}; this program "
                f"reads format {FORMAT}: upgrade it"
            )
        return Description.model_validate(values)
    except (ValueError, AttributeError) as error:
        if isinstance(error, BundleError):
            raise
        message = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise BundleError(f"{path}: not a detector's description ({message}); pack the run again") from None


@contextlib.contextmanager
def whole_folder(folder: Path, files: Mapping[str, Path]) -> Iterator[Path]:
    """A folder beside ``folder`` with copies of these files, which takes its name when the block ends well."""
    partial, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("part", "old"))
    for left in (partial, old):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for name, source in files.items():
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
