"""What an image file says of itself before anything is decoded: a hundred bytes may claim 30 GB of pixels.

PNG: W3C PNG specification, 11.2.1. JPEG: ITU-T T.81, annex B. TIFF: Adobe TIFF 6.0 and libtiff's BigTIFF. BMP:
Microsoft's BITMAPCOREHEADER and BITMAPINFOHEADER.
"""

import re
import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # one that begins a segment, or ends the image
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF: precision and size
_SCAN, _END = 0xDA, 0xD9
_MOST_SCANS = 100  # a decoder works through all pixels for each; encoders make about ten
_MOST_MARKERS = 5000
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_WIDTH, _HEIGHT, _BITS, _ROWS, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT = 256, 257, 258, 278, 322, 323, 339  # TIFF tags
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF types
_MOST_VALUES = 16  # of a tag: one for each channel


class Header(NamedTuple):
    """An image's size in pixels, and the bits of one value as it is stored."""

    width: int
    height: int
    bits: int
    whole: bool = True  # False where the end that its kind must have is not there
    numbers: bool = True  # False where values are signed or floating-point


def read_header(data: bytes) -> Header | None:
    """Of a whole file's bytes; None where they are no PNG, JPEG, TIFF or BMP, or too damaged to tell.

    Nothing is decoded, and time is bounded by the file's length. A TIFF's tiles and strips count as its size where
    they are larger: the decoder makes room for one.
    """
    try:
        if data.startswith(_PNG) and data[12:16] == b"IHDR":
            return _png(data)
        if data.startswith(_JPEG):
            return _jpeg(data)
        if data.startswith(b"BM"):
            core = int.from_bytes(data[14:18], "little") == 12
            width, height = struct.unpack_from("<HH" if core else "<ii", data, 18)
            return Header(abs(width), abs(height), 8)
        return _tiff(data)
    except (struct.error, KeyError, OverflowError):  # what a header points to is not there
        return None


def without_extras(data: bytes) -> bytes:
    """Of a PNG nothing but size, palette and pixels; other bytes as they are.

    Chunks with a small first letter may be left out. OpenCV 5.0 crashes on damaged animations (fcTL, fdAT).
    """
    if not data.startswith(_PNG):
        return data
    return _PNG + b"".join(data[start:end] for kind, start, end in _chunks(data) if kind[:1].isupper())


def _png(data: bytes) -> Header:
    """Chunk by chunk: the decoder makes room for what a chunk claims to be long, up to 2 GB, before it reads it."""
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    ((last, _, end),) = deque(_chunks(data), maxlen=1)
    return Header(width, height, bits, last == b"IEND" and end <= len(data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """A PNG's chunks up to its end: the kind, where it begins and where the next does."""
    kind, at = b"", len(_PNG)
    while kind != b"IEND" and at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, at + 12 + length
        at += 12 + length


def _jpeg(data: bytes) -> Header | None:
    """Segments are passed over by their lengths: a thumbnail in one has a size and an end of its own."""
    found, at, scans = None, len(_JPEG), 0
    for _ in range(_MOST_MARKERS):
        if (match := _MARKER.search(data, at)) is None:
            return found._replace(whole=False) if found else None
        marker, at = match[1][0], match.end()
        if marker == _END:
            return found
        if marker in _FRAMES and found is None:
            bits, height, width = struct.unpack_from(">BHH", data, at + 2)
            found = Header(width, height, bits)
        scans += marker == _SCAN
        if scans > _MOST_SCANS:
            return None
        at += int.from_bytes(data[at : at + 2], "big")
    return None


def _tiff(data: bytes) -> Header | None:
    """By the tags of the first directory, which is the one that is decoded."""
    order = _TIFF.get(data[:4])
    if order is None:
        return None
    big = b"+" in data[:4]
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    at, size = at + (8 if big else 2), 20 if big else 12
    tags: dict[int, int] = {}
    for entry in range(at, at + size * min(count, 4096), size):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (_WIDTH, _HEIGHT, _BITS, _ROWS, _TILE_WIDTH, _TILE_HEIGHT, _FORMAT):
            (values,) = struct.unpack_from(order + ("Q" if big else "I"), data, entry + 4)
            form = f"{min(values, _MOST_VALUES)}{_INTEGERS[kind]}"
            place = entry + (12 if big else 8)
            if struct.calcsize(order + form) > (8 if big else 4):
                (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
            tags[tag] = max(tags.get(tag, 0), 0, *struct.unpack_from(order + form, data, place))
    width, height = tags[_WIDTH], tags[_HEIGHT]
    rows = tags.get(_ROWS, 0)
    height = max(height, tags.get(_TILE_HEIGHT, 0), rows if rows < 2**31 - 1 else 0)  # such a number means all rows
    return Header(
        max(width, tags.get(_TILE_WIDTH, 0)), height, tags.get(_BITS, 1), True, tags.get(_FORMAT, 1) in (1, 4)
    )
