"""Files of tensors: torch's zip and legacy forms, a bare pickle (Caffe2), safetensors; each maybe gzipped."""

import gzip
import json
import math
import mmap
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch

from .pickles import Bytes, load_pickle
from .stored import Blob, Storage, StorageType, StoredTensor, UnsafePickleError, WeightsError, counts

MAX_UNZIPPED = 4 << 30
"""Bytes; an authors' STUNet checkpoint with its optimizer has 1.3 GB."""
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
LEGACY_PROTOCOL = 1001
SAFETENSORS_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


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
        with _mapped(path) as (data, gzipped):
            archive = _read(data)
            yield Archive(archive.form + (", gzipped" if gzipped else ""), archive.root, archive.metadata)
    except WeightsError as error:
        raise type(error)(error.args[0] if str(path) in str(error) else f"{path}: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise WeightsError(f"{path} cannot be read: {error}; give a file that exists, and whole") from error


def _read(data: mmap.mmap) -> Archive:
    if data[:4] == b"PK\x03\x04":
        return Archive("torch zip", _read_zip(data))
    if data[: len(LEGACY_START)] == LEGACY_START:
        return Archive("torch legacy", _read_legacy(data))
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= len(data) - 8:
        return _read_safetensors(data)
    if data[:1] in (b"\x80", b"(", b"}"):
        return Archive("pickle", load_pickle(data)[0])
    raise WeightsError("neither a torch file, a pickle nor safetensors; a .pth, .pkl, .pyth or .safetensors would do")


@contextmanager
def _mapped(path: Path) -> Iterator[tuple[mmap.mmap, bool]]:
    """The file's bytes, unzipped to a temporary file where gzipped, and whether they were."""
    with path.open("rb") as plain, tempfile.TemporaryFile() as unzipped:
        gzipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if gzipped:
            _unzip(plain, unzipped)
        file: IO[bytes] = unzipped if gzipped else plain
        if file.seek(0, 2) == 0:
            raise WeightsError("the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data, gzipped


def _unzip(source: IO[bytes], target: IO[bytes]) -> None:
    with gzip.open(source) as stream:
        while chunk := stream.read(1 << 20):
            target.write(chunk)
            if target.tell() > MAX_UNZIPPED:
                raise UnsafePickleError(f"unzips to more than {MAX_UNZIPPED >> 30} GB")
    target.flush()


def _read_zip(data: mmap.mmap) -> object:
    """torch.save since 1.6: a folder with ``data.pkl`` and the storages ``data/0``, …, uncompressed."""
    try:
        with zipfile.ZipFile(Bytes(data, 0)) as archive:
            places = {info.filename: _place(data, info) for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(f"the zip is broken: {error}; was it downloaded whole?") from error
    pickles = [name for name in places if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise WeightsError("a zip, but not one that torch.save wrote: it has no data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    order = places.get(folder + "byteorder")
    if order is not None and data[order.start : order.start + order.size] != b"little":
        raise WeightsError("saved on a big-endian machine; save it again on a little-endian one")

    def storage(pid: object) -> Storage:
        dtype, key, elements, _ = _storage_id(pid)
        blob = places.get(f"{folder}data/{key}")
        if blob is None:
            raise WeightsError(f"the file lacks its storage {key!r}")
        return Storage(blob, dtype, elements)

    pickled = places[pickles[0]]
    return load_pickle(data[pickled.start : pickled.start + pickled.size], persistent=storage)[0]


def _place(data: mmap.mmap, info: zipfile.ZipInfo) -> Blob:
    if info.compress_type != zipfile.ZIP_STORED:
        raise WeightsError(f"{info.filename[:100]} is compressed; torch.save does not compress: unzip the outer zip")
    header = data[info.header_offset : info.header_offset + 30]
    if header[:4] != b"PK\x03\x04" or len(header) < 30:
        raise WeightsError("the zip's directory points at no file")
    start = info.header_offset + 30 + sum(int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
    if start + info.file_size > len(data):
        raise WeightsError("the zip ends in the middle of a storage; was it downloaded whole?")
    return Blob(data, start, info.file_size)


def _storage_id(pid: object) -> tuple[torch.dtype, str, int, object]:
    """Type, key, elements and view of ("storage", type, key, location, elements[, view])."""
    if (
        isinstance(pid, tuple)
        and len(pid) in (5, 6)
        and pid[0] == "storage"
        and isinstance(pid[1], StorageType)
        and isinstance(pid[2], str)
        and type(pid[4]) is int
        and pid[4] >= 0
    ):
        return pid[1].dtype, pid[2], pid[4], pid[5] if len(pid) == 6 else None
    raise WeightsError(f"the pickle refers to something that is no storage: {str(pid)[:100]}")


def _read_legacy(data: mmap.mmap) -> object:
    """torch.save before 1.6: pickles (magic, protocol, system, object, storage keys), then raw storages."""
    _, position = load_pickle(data)
    protocol, position = load_pickle(data, position)
    system, position = load_pickle(data, position)
    if protocol != LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError("a torch file of another protocol or byte order; save it again with a current torch")
    blobs: dict[str, Blob] = {}
    lengths: dict[str, int] = {}

    def storage(pid: object) -> object:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # a network's class, with its source code, which is not looked at
        dtype, key, elements, view = _storage_id(pid)
        # Where the bytes lie is known after the pickle, so that only the sizes can be checked here.
        blob = blobs.setdefault(key, Blob(data, 0, elements * dtype.itemsize))
        lengths.setdefault(key, elements)
        if view is None:
            return Storage(blob, dtype, elements)
        if not (isinstance(view, tuple) and len(view) == 3 and all(type(n) is int and n >= 0 for n in view[1:])):
            raise WeightsError(f"a view of storage {key!r} is of unknown form")
        return Storage(blob, dtype, view[2], first=view[1])

    root, position = load_pickle(data, position, storage)
    keys, position = load_pickle(data, position)
    if not isinstance(keys, list) or len(keys) != len(blobs) or set(keys) != set(blobs):
        raise WeightsError("the storages in the file are not those that its pickle names")
    for key in keys:
        elements = int.from_bytes(data[position : position + 8], "little")
        if elements != lengths[key]:
            raise WeightsError(f"storage {key!r} has {elements} elements, but {lengths[key]} in the pickle")
        blobs[key].start = position + 8
        position += 8 + blobs[key].size
        if position > len(data):
            raise WeightsError(f"the file ends in the middle of storage {key!r}; was it downloaded whole?")
    return root


def _read_safetensors(data: mmap.mmap) -> Archive:
    """Eight bytes of header length, a JSON header, then the tensors' bytes (Hugging Face's format)."""
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:start])
        metadata = header.pop("__metadata__", {})
        tensors = {name: _safetensor(data, start, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"the safetensors header is broken ({type(error).__name__}: {error})") from error
    return Archive("safetensors", tensors, {str(key): str(value) for key, value in metadata.items()})


def _safetensor(data: mmap.mmap, start: int, entry: dict[str, Any]) -> StoredTensor:
    dtype, shape = SAFETENSORS_TYPES[entry["dtype"]], counts(entry["shape"], "size")
    begin, end = entry["data_offsets"]
    if type(begin) is not int or end != begin + math.prod(shape) * dtype.itemsize or begin < 0:
        raise WeightsError(f"a tensor of size {shape} and type {dtype} lies at bytes {begin} to {end}")
    if start + end > len(data):
        raise WeightsError("the file ends in the middle of a tensor; was it downloaded whole?")
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return StoredTensor(Storage(Blob(data, start + begin, end - begin), dtype, math.prod(shape)), 0, shape, strides)
