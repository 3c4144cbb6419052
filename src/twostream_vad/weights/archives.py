"""Files of tensors: torch's zip and legacy forms, a bare pickle (Caffe2), safetensors; each maybe gzipped."""

import gzip
import io
import mmap
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import torch
from safetensors import safe_open

from .pickles import load_pickle
from .stored import Sealed, UnsafePickleError, WeightsError, broken

MAX_UNZIPPED = 4 << 30
"""Bytes; an authors' STUNet checkpoint with its optimizer has 1.3 GB."""
LEGACY_START = b"\x80\x02\x8a\x0a" + torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")
CUT = "the file ends in the middle of a storage; was it downloaded whole?"


@dataclass(frozen=True)
class Archive:
    """What a file holds. Its tensors can be read while the archive is open."""

    form: str
    """As shown to people: "torch zip", "torch legacy", "pickle" or "safetensors", maybe ", gzipped"."""
    root: object
    """The object saved: dicts, lists, numbers, stored tensors and records."""
    metadata: dict[str, str] = field(default_factory=dict)
    """A safetensors file's own."""


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The file's object; nothing that a pickle in it names is imported or called.

    Raises:
        UnsafePickleError: its pickle names something that no weight file needs.
        WeightsError: no such file, an unknown form, or broken; also one raised in the block. All name the file.
    """
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            with broken("the file"):
                plain, zipped = _unzipped(path, Path(folder) / "unzipped")
                archive = _read(plain)
            yield Archive(archive.form + zipped, archive.root, archive.metadata)
    except WeightsError as error:
        fault = " ".join(str(error).splitlines())  # what a pickle holds may be of many lines
        raise type(error)(fault if str(path) in fault else f"{path}: {fault}") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}; give a file that exists, and whole") from error


def _unzipped(path: Path, target: Path) -> tuple[Path, str]:
    """The file itself, or what it unzips to, written to ``target``; and what to say of its form."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path, ""
        file.seek(0)
        with gzip.open(file) as stream, target.open("wb") as unzipped:
            while chunk := stream.read(1 << 20):
                unzipped.write(chunk)
                if unzipped.tell() > MAX_UNZIPPED:
                    raise UnsafePickleError(f"unzips to more than {MAX_UNZIPPED >> 30} GB")
    return target, ", gzipped"


def _read(path: Path) -> Archive:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] == b"PK\x03\x04":
            return Archive("torch zip", _read_zip(file, len(data)))
        if data[: len(LEGACY_START)] == LEGACY_START:
            return Archive("torch legacy", _read_legacy(data))
        if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
            with safe_open(path, framework="pt") as tensors:
                root = {name: Sealed(tensors.get_tensor(name)) for name in tensors.keys()}  # noqa: SIM118
                return Archive("safetensors", root, tensors.metadata() or {})
        if data[:1] in (b"\x80", b"(", b"}"):
            return Archive("pickle", load_pickle(data))
    raise WeightsError("neither a torch file, a pickle nor safetensors; a .pth, .pkl, .pyth or .safetensors would do")


def _storages(make: Callable[[str, int, int], bytearray]) -> Callable[[object], Sealed]:
    """What turns a pickle's ("storage", type, key, location, elements[, view]) into that storage's values.

    Args:
        make: a storage's memory from its key, elements and bytes of each; called once a key.
    """
    made: dict[str, bytearray] = {}

    def storage(pid: object) -> Sealed:
        match pid:
            case ("storage", Sealed(value=torch.dtype() as dtype), str() as key, _, int() as elements, *view):
                if key not in made:
                    made[key] = make(key, elements, dtype.itemsize)
                if len(made[key]) != elements * dtype.itemsize:
                    raise WeightsError(f"storage {key!r} of {elements} {dtype} has {len(made[key])} bytes")
            case _:
                raise WeightsError("the pickle refers to something that is no storage")
        first, count = 0, elements
        match view:
            case [] | [None]:
                pass
            case [(str(), int() as first, int() as count)] if first >= 0 and 0 <= count <= elements - first:
                pass
            case _:
                raise WeightsError(f"a view of storage {key!r} leads out of it")
        if not count:
            return Sealed(torch.empty(0, dtype=dtype))
        return Sealed(torch.frombuffer(made[key], dtype=dtype, count=count, offset=first * dtype.itemsize))

    return storage


def _read_zip(file: IO[bytes], size: int) -> object:
    """torch.save since 1.6: a folder with ``data.pkl`` and the storages ``data/0``, …, uncompressed.

    Not by torch.load: it runs a TorchScript file, unzips what is compressed and, in older versions, believes a pickle
    that claims more than a storage has.
    """
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise WeightsError(f"{entry.filename[:100]} is compressed; torch.save does not: unzip the outer zip")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise WeightsError("the zip's entries are larger than the file; was it downloaded whole?")
        pickles = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise WeightsError("a zip, but not one that torch.save wrote: it has no data.pkl")
        folder = pickles[0].removesuffix("data.pkl")
        if folder + "byteorder" in entries and archive.read(folder + "byteorder") != b"little":
            raise WeightsError("saved on a big-endian machine; save it again on a little-endian one")
        storages = _storages(lambda key, *_: bytearray(archive.read(f"{folder}data/{key}")))
        return load_pickle(io.BytesIO(archive.read(pickles[0])), storages)


def _read_legacy(data: mmap.mmap) -> object:
    """torch.save before 1.6: pickles (magic, protocol, system, object, storage keys), then raw storages.

    Not by torch.load: it believes the sizes, makes what lacks bytes of the file out of whatever the memory held,
    ignores the byte order and unpacks a tar.
    """
    waiting: dict[str, tuple[bytearray, int]] = {}
    room = len(data)

    def make(key: str, elements: int, width: int) -> bytearray:
        nonlocal room
        if not 0 <= elements * width <= room:
            raise WeightsError(CUT)
        room -= elements * width
        waiting[key] = bytearray(elements * width), elements
        return waiting[key][0]

    def persistent(pid: object) -> object:
        match pid:
            case ("module", network, _, _):
                return network  # a class, with its source code, which is not looked at
        return storages(pid)

    storages = _storages(make)
    _, _, system = (load_pickle(data) for _ in range(3))
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("a torch file of another byte order; save it again with a current torch")
    root, keys = load_pickle(data, persistent), load_pickle(data)
    if not isinstance(keys, list) or len(keys) != len(waiting):
        raise WeightsError("the storages in the file are not those that its pickle names")
    for key in keys:
        memory, elements = waiting.pop(key)
        count, values = data.read(8), data.read(len(memory))
        if len(count) != 8 or len(values) != len(memory):
            raise WeightsError(CUT)
        if int.from_bytes(count, "little") != elements:
            raise WeightsError(f"storage {key!r} has the wrong byte size: its pickle says {elements} elements")
        memory[:] = values
    return root
