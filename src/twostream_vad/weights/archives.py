"""Files of tensors: torch's zip and legacy forms, a bare pickle (Caffe2), safetensors; each maybe gzipped."""

import gzip
import io
import mmap
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from safetensors import safe_open

from .pickles import load_pickle
from .stored import Sealed, UnsafePickleError, WeightsError, broken

MAX_UNZIPPED = 4 << 30  # bytes; an authors' STUNet checkpoint with its optimizer has 1.3 GB
LEGACY_START = b"\x80\x02\x8a\x0a" + torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")


@dataclass(frozen=True)
class Archive:
    """What a file holds. Its tensors can be read while the archive is open."""

    form: str  # for people: "torch zip", "torch legacy", "pickle" or "safetensors", maybe ", gzipped"
    root: object  # what was saved: dicts, lists, numbers, sealed tensors and records
    metadata: dict[str, str]  # a safetensors file's own


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The file's object; nothing that a pickle in it names is imported or called.

    UnsafePickleError where its pickle names what no weight file needs; WeightsError for no such file, an unknown
    form, a broken file, or where the block raises it. All name the file.
    """
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            with broken("the file"):
                plain = _unzipped(path, Path(folder) / "unzipped")
                form, root, metadata = _read(plain)
            yield Archive(form if plain == path else f"{form}, gzipped", root, metadata)
    except WeightsError as error:
        fault = " ".join(str(error).splitlines())  # what a pickle holds may be of many lines
        raise type(error)(fault if str(path) in fault else f"{path}: {fault}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}; give a file that exists, and whole") from error


def _unzipped(path: Path, target: Path) -> Path:
    """The file itself, or ``target`` with what it unzips to."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path
    with gzip.open(path) as stream, target.open("wb") as unzipped:
        while chunk := stream.read(1 << 20):
            if unzipped.tell() + unzipped.write(chunk) > MAX_UNZIPPED:
                raise UnsafePickleError(f"unzips to more than {MAX_UNZIPPED >> 30} GB")
    return target


def _read(path: Path) -> tuple[str, object, dict[str, str]]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] == b"PK\x03\x04":
            return "torch zip", _read_zip(file, len(data)), {}
        if data[: len(LEGACY_START)] == LEGACY_START:
            return "torch legacy", _read_legacy(data), {}
        if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
            with safe_open(path, framework="pt") as tensors:
                root = {name: Sealed(tensors.get_tensor(name)) for name in tensors.keys()}  # noqa: SIM118
                return "safetensors", root, tensors.metadata() or {}
        if data[:1] in (b"\x80", b"(", b"}"):
            return "pickle", load_pickle(data), {}
    raise WeightsError("neither a torch file, a pickle nor safetensors; a .pth, .pkl, .pyth or .safetensors would do")


class _Storages:
    """The storages that a pickle names: zeros while it is read, then filled. All fit in a file of ``room`` bytes."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.empty: dict[str, tuple[bytearray, int]] = {}  # key → memory and number of elements

    def find(self, pid: object) -> object:
        """The values of ("storage", type, key, location, elements[, None]), a tensor of one dimension."""
        match pid:
            case ("module", network, _, _):
                return network  # a class, with its source code, which is not looked at
            case ("storage", Sealed(value=torch.dtype() as dtype), str() as key, _, int() as elements, *view):
                size = elements * dtype.itemsize
                if view not in ([], [None]):  # only torch before 0.4 wrote them
                    raise WeightsError(f"a view of storage {key!r}; save the file again with a current torch")
            case _:
                raise WeightsError("the pickle refers to something that is no storage")
        if key not in self.empty:
            if not 0 <= size <= self._room:
                raise WeightsError("the file ends in the middle of a storage; was it downloaded whole?")
            self._room -= size
            self.empty[key] = bytearray(size), elements
        if size != len(self.empty[key][0]):
            raise WeightsError(f"storage {key!r} has two sizes")
        return Sealed(torch.frombuffer(self.empty[key][0], dtype=dtype) if size else torch.empty(0, dtype=dtype))

    def fill(self, key: str, values: bytes, elements: int | None = None) -> None:
        """Once, with what lies in the file; ``elements`` as the file counts them, if it does."""
        memory, claimed = self.empty.pop(key)
        if len(values) != len(memory) or elements not in (None, claimed):
            raise WeightsError(f"storage {key!r} of {len(memory)} bytes has the wrong byte size: {len(values)} bytes")
        memory[:] = values


def _read_zip(file: IO[bytes], size: int) -> object:
    """torch.save since 1.6: a folder with ``data.pkl`` and the storages ``data/0``, …, uncompressed."""
    # Not by torch.load: it runs TorchScript, unzips, and in older versions believes claims of more than a storage has.
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        packed = [name for name, entry in entries.items() if entry.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise WeightsError(f"{packed[0][:100]} is compressed; torch.save does not: unzip the outer zip")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise WeightsError("the zip's entries are larger than the file; was it downloaded whole?")
        pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise WeightsError("a zip, but not one that torch.save wrote: it has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        if folder + "byteorder" in entries and archive.read(folder + "byteorder") != b"little":
            raise WeightsError("saved on a big-endian machine; save it again on a little-endian one")
        storages = _Storages(size)
        root = load_pickle(io.BytesIO(archive.read(pickles[0])), storages.find)
        for key in list(storages.empty):
            storages.fill(key, archive.read(f"{folder}data/{key}"))
        return root


def _read_legacy(data: mmap.mmap) -> object:
    """torch.save before 1.6: pickles (magic, protocol, system, object, storage keys), then raw storages."""
    # Not by torch.load: it believes sizes, fills up from whatever the memory held, ignores byte order, unpacks a tar.
    _, _, system = (load_pickle(data) for _ in range(3))
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("a torch file of another byte order; save it again with a current torch")
    storages = _Storages(len(data))
    root, keys = load_pickle(data, storages.find), load_pickle(data)
    if not isinstance(keys, list) or len(keys) != len(storages.empty):
        raise WeightsError("the storages in the file are not those that its pickle names")
    for key in keys:
        elements = int.from_bytes(data.read(8), "little")
        storages.fill(key, data.read(len(storages.empty[key][0])), elements)
    return root
