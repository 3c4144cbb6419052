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
from types import SimpleNamespace
from typing import IO, cast

import torch
from safetensors import safe_open

from .pickles import load_pickle
from .stored import Storage, StorageType, StoredTensor, UnsafePickleError, WeightsError, broken

MAX_UNZIPPED = 4 << 30
"""Bytes; an authors' STUNet checkpoint with its optimizer has 1.3 GB."""
LEGACY_START = b"\x80\x02\x8a\x0a" + torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")


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
        WeightsError: no such file, an unknown form, or broken.
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
            return _read_safetensors(path)
        if data[:1] in (b"\x80", b"(", b"}"):
            return Archive("pickle", load_pickle(cast(IO[bytes], data)))
    raise WeightsError("neither a torch file, a pickle nor safetensors; a .pth, .pkl, .pyth or .safetensors would do")


def _read_safetensors(path: Path) -> Archive:
    with safe_open(path, framework="pt") as file:
        tensors = {name: StoredTensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        return Archive("safetensors", tensors, file.metadata() or {})


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
        folders = [
            name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(folders) != 1:
            raise WeightsError("a zip, but not one that torch.save wrote: it has no data.pkl")
        folder, loaded = folders[0], dict[str, bytearray]()
        if folder + "byteorder" in entries and archive.read(folder + "byteorder") != b"little":
            raise WeightsError("saved on a big-endian machine; save it again on a little-endian one")

        def storage(pid: object) -> Storage:
            kind, key, elements = _storage_id(pid)
            if f"{folder}data/{key}" not in entries:
                raise WeightsError(f"the file lacks its storage {key!r}")
            if key not in loaded:
                loaded[key] = bytearray(archive.read(f"{folder}data/{key}"))
            if len(loaded[key]) != elements * kind.dtype.itemsize:
                raise WeightsError(f"a storage of {elements} {kind.dtype} has {len(loaded[key])} bytes")
            return Storage(
                torch.frombuffer(loaded[key], dtype=kind.dtype) if elements else torch.empty(0, dtype=kind.dtype)
            )

        return load_pickle(io.BytesIO(archive.read(folder + "data.pkl")), storage)


def _storage_id(pid: object) -> tuple[StorageType, str, int]:
    """Type, key and elements of ("storage", type, key, location, elements[, view])."""
    match pid:
        case ("storage", StorageType() as kind, str() as key, _, int() as elements, *_) if elements >= 0:
            return kind, key, elements
    raise WeightsError(f"the pickle refers to something that is no storage: {str(pid)[:100]}")


def _is_within(pid: object, elements: int) -> bool:
    """Whether the view (key, first, elements) that ends a legacy storage's id, if any, lies in its storage."""
    match pid:
        case (_, _, _, _, _, (str(), int() as first, int() as count)):
            return first >= 0 and count >= 0 and first + count <= elements
        case (_, _, _, _, _, None):
            return True
    return False


def _read_legacy(data: mmap.mmap) -> object:
    """torch.save before 1.6: pickles (magic, protocol, system, object, storage keys), then raw storages.

    torch.load reads the storages. It believes their sizes, makes what lacks bytes of the file out of whatever the
    memory held, ignores the byte order, and would unpack a tar if ``data`` had a ``fileno``.
    """
    sizes: dict[str, int] = {}
    pickles: list[object] = []

    class Unpickler:
        persistent_load: Callable[[object], torch.storage.TypedStorage]

        def __init__(self, file: IO[bytes], **_options: object) -> None:
            self._file, self._claimed = file, 0

        def load(self) -> object:
            return load_pickle(self._file, self._storage)

        def _storage(self, pid: object) -> object:
            if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
                return pid[1]  # a network's class, with its source code, which is not looked at
            kind, key, elements = _storage_id(pid)
            size = elements * kind.dtype.itemsize
            if key not in sizes:
                sizes[key], self._claimed = size, self._claimed + size
            if self._claimed > len(data):
                raise WeightsError("the file ends in the middle of a storage; was it downloaded whole?")
            if size > sizes[key] or not _is_within(pid, elements):
                raise WeightsError(f"a view of storage {key!r} leads out of it")
            return Storage(torch.empty(0, dtype=kind.dtype).set_(self.persistent_load(pid)._untyped_storage))

    def load(file: IO[bytes], **_options: object) -> object:
        pickles.append(load_pickle(file))
        return pickles[-1]

    reader = SimpleNamespace(__name__="inert", Unpickler=Unpickler, load=load)
    root: object = torch.load(cast(IO[bytes], data), "cpu", pickle_module=reader, weights_only=False)
    _, _, system, keys = pickles
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("a torch file of another byte order; save it again with a current torch")
    if not isinstance(keys, list) or sorted(keys) != sorted(sizes):
        raise WeightsError("the storages in the file are not those that its pickle names")
    return root
