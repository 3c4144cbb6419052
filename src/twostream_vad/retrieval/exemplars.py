"""What an alarm was nearest to: of each bucket the most central training snippet, as pictures and in words.

Exemplars are keyed by table and key, not by a bucket's place, so that tables may grow and be merged and still explain.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from ..errors import TsvadError
from ..storage import save_arrays
from ..video.views import Views
from .buckets import Floats
from .tables import HashTables

KIND = "exemplars"
MISSED = 0.01  # of keys may have no bucket: codes computed again may lie over 0.5 by rounding where they lay below
STRIP = 4  # pictures of a snippet
MOST_PICTURES = 8000  # kept in all, 5 kB each: of longer video, neighbouring snippets share theirs

Read = Callable[[str, int], bytes]  # a training video's name and a frame → a small JPEG of it


class ExemplarError(TsvadError):
    """Exemplars that cannot be used; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A normal event: where it was seen, and a strip of small JPEGs. ``frame`` is its first, counted from 0.

    By place ``crop`` is the place, counted through all crops.
    """

    video: str
    frame: int
    crop: int
    strip: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Place:
    """A place of a camera's picture: number ``index`` through all crops, ``side`` x ``side`` each, row by row."""

    index: int
    side: int
    views: Views

    def box(self, height: int, width: int) -> tuple[float, float, float, float]:
        """It and the eight beside it in a frame of height x width pixels: left, top, right, bottom, shares of it."""
        crop, cell = divmod(self.index, self.side * self.side)
        row, column = divmod(cell, self.side)
        x0, y0, x1, y1 = self.views.boxes(height, width)[crop]
        across, down = (x1 - x0) / self.side, (y1 - y0) / self.side
        left, right = x0 + max(column - 1, 0) * across, x0 + min(column + 2, self.side) * across
        top, bottom = y0 + max(row - 1, 0) * down, y0 + min(row + 2, self.side) * down
        return left / width, top / height, right / width, bottom / height


@dataclass(frozen=True, slots=True)
class Match:
    """The bucket nearest to a code."""

    table: int | None  # None where no table has one
    distance: float  # from the bucket's centre
    exemplar: Exemplar | None = None
    place: Place | None = None  # that spoke, where retrieval knows places


@dataclass(frozen=True)
class Exemplars:
    """An exemplar a bucket, sorted by table and key."""

    tables: NDArray[np.int64]  # (E,)
    keys: NDArray[np.uint64]  # (E,)
    distances: NDArray[np.float32]  # (E,) of the exemplar from the bucket's centre
    places: NDArray[np.int64]  # (E, 3): its video, first frame and crop
    videos: tuple[str, ...]
    pictures: NDArray[np.uint8]  # JPEGs, one after another
    ends: NDArray[np.int64]  # (P,): where each ends
    strips: NDArray[np.int64]  # (E, STRIP): which pictures show it; -1 where there is none

    @classmethod
    def build(
        cls, tables: HashTables, chunks: Iterable[Floats], places: NDArray[np.int64], videos: Sequence[str]
    ) -> "Exemplars":
        """The code nearest each centre; of two as near the one that came first. Without pictures yet.

        ``chunks`` are all codes, each (n, b, r), and ``places`` (codes, 3) a code's video, by its number in ``videos``,
        first frame and crop. Raises ExemplarError where the chunks are not codes of these tables, and as `query` does.
        """
        best = np.full(len(tables.keys), np.inf, np.float32)
        rows = np.full(len(best), -1, np.int64)
        seen, missed = 0, 0
        for chunk in chunks:
            buckets, near = tables.find(chunk)
            missed += int((buckets < 0).sum())
            code, table = np.nonzero(buckets >= 0)
            bucket, gap = buckets[code, table], near[code, table]
            order = np.lexsort((code, gap, bucket))
            touched, first = np.unique(bucket[order], return_index=True)
            nearest = order[first]
            better = gap[nearest] < best[touched]
            best[touched[better]], rows[touched[better]] = gap[nearest[better]], seen + code[nearest[better]]
            seen += len(chunk)
        if seen != len(places):
            raise ExemplarError(f"{len(places)} codes are known, but {seen} came: run `tsvad index RUN --redo`")
        if missed > MISSED * seen * tables.tables:
            raise ExemplarError(f"{missed} keys have no bucket: not the tables' codes; run `tsvad index RUN --redo`")
        held = np.flatnonzero(rows >= 0)
        of_table = np.repeat(np.arange(tables.tables), np.diff(tables.offsets))
        return cls._bare(of_table[held], tables.keys[held], best[held], places[rows[held]].reshape(-1, 3), videos)

    @classmethod
    def of_centres(cls, rows: NDArray[np.int64], places: NDArray[np.int64], videos: Sequence[str]) -> "Exemplars":
        """The first feature of each centre, of table 0 and keyed by its number, ``rows`` (E,). Without pictures yet.

        ``places`` (E, 3) are each one's video, by its number in ``videos``, first frame and place.
        """
        order = np.argsort(rows)
        near, keys = np.zeros(len(rows), np.float32), rows[order].astype(np.uint64)
        return cls._bare(np.zeros(len(rows), np.int64), keys, near, places[order], videos)

    @classmethod
    def _bare(
        cls,
        tables: NDArray[np.int64],
        keys: NDArray[np.uint64],
        distances: NDArray[np.float32],
        places: NDArray[np.int64],
        videos: Sequence[str],
    ) -> "Exemplars":
        strips = np.full((len(keys), STRIP), -1, np.int64)
        none = np.zeros(0, np.uint8), np.zeros(0, np.int64)
        return cls(tables, keys, distances, places, tuple(videos), *none, strips)

    def illustrated(self, read: Read, span: int, total: int) -> "Exemplars":
        """The same with a strip of pictures an exemplar; a picture that several share is kept once.

        ``span`` counts frames from a snippet's first to its last, ``total`` those of all training video: where they
        are many, only every so manieth is shown.
        """
        step = -(-total // MOST_PICTURES)
        offsets = np.round(np.linspace(0, span, STRIP)).astype(np.int64)
        frames = (self.places[:, 1:2] + offsets) // step * step
        wanted = np.stack([np.repeat(self.places[:, 0], STRIP), frames.ravel()], axis=1)
        unique, which = np.unique(wanted, axis=0, return_inverse=True)
        jpegs = [read(self.videos[video], frame) for video, frame in unique.tolist()]
        return replace(
            self,
            pictures=np.frombuffer(b"".join(jpegs), np.uint8),
            ends=np.cumsum([len(jpeg) for jpeg in jpegs], dtype=np.int64),
            strips=which.reshape(-1, STRIP).astype(np.int64),
        )

    def merge(self, other: "Exemplars") -> "Exemplars":
        """Those of both; of a bucket that both have, the one that was nearer its centre, this one where equal."""
        shift, pictures = len(self.videos), len(self.ends)
        tables, keys = np.concatenate([self.tables, other.tables]), np.concatenate([self.keys, other.keys])
        distances = np.concatenate([self.distances, other.distances])
        places = np.concatenate([self.places, other.places + np.array([shift, 0, 0])])
        strips = np.concatenate([self.strips, np.where(other.strips < 0, -1, other.strips + pictures)])
        order = np.lexsort((np.arange(len(keys)), distances, keys, tables))
        new = np.ones(len(order), np.bool_)
        new[1:] = (np.diff(tables[order]) != 0) | (keys[order][1:] != keys[order][:-1])
        kept = order[new]
        return Exemplars(
            tables[kept], keys[kept], distances[kept], places[kept], (*self.videos, *other.videos),
            np.concatenate([self.pictures, other.pictures]),
            np.concatenate([self.ends, other.ends + len(self.pictures)]), strips[kept],
        )  # fmt: skip

    def kept(self, rows: NDArray[np.int64]) -> "Exemplars":
        """Those of centres whose first feature has one of these numbers, with their own pictures and no others."""
        held = np.isin(self.keys, rows.astype(np.uint64))
        used, which = np.unique(self.strips[held], return_inverse=True)
        which = which.reshape(-1, STRIP) - (used < 0).sum()
        jpegs = [self._picture(picture) for picture in used.tolist() if picture >= 0]
        return Exemplars(
            self.tables[held], self.keys[held], self.distances[held], self.places[held], self.videos,
            np.frombuffer(b"".join(jpegs), np.uint8), np.cumsum([len(jpeg) for jpeg in jpegs], dtype=np.int64), which,
        )  # fmt: skip

    def of(self, table: int, key: int) -> Exemplar | None:
        """A bucket's exemplar; None where it has none."""
        first, last = np.searchsorted(self.tables, [table, table + 1])
        row = int(first + np.searchsorted(self.keys[first:last], np.uint64(key)))
        if row >= last or self.keys[row] != key:
            return None
        video, frame, crop = self.places[row].tolist()
        strip = (self._picture(picture) for picture in self.strips[row].tolist() if picture >= 0)
        return Exemplar(self.videos[video], frame, crop, tuple(strip))

    def nearest(self, tables: HashTables, codes: Floats) -> Match:
        """The nearest bucket to one crop's codes (b, r); its distance is the crop's score in `HashTables.scores`.

        Of tables that are as near, the lower. Where no bucket matched the distance is sqrt(r).
        """
        buckets, distances = tables.find(codes[None])
        table = int(distances[0].argmin())
        distance, bucket = float(distances[0, table]), int(buckets[0, table])
        if bucket < 0:  # a bucket's centre is never as far as sqrt(r): so no table has one
            return Match(None, distance)
        return Match(table, distance, self.of(table, int(tables.keys[bucket])))

    def farthest(self, tables: HashTables, codes: Floats) -> Match:
        """`nearest` of that crop, of all crops' codes (crops, b, r), which is farthest from normal."""
        return max((self.nearest(tables, code) for code in codes), key=lambda match: match.distance)

    def save(self, path: Path) -> None:
        """One safetensors file, written whole."""
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ARRAYS}
        save_arrays(path, arrays, {"kind": KIND, "videos": json.dumps(self.videos)})

    @classmethod
    def load(cls, path: Path) -> "Exemplars":
        """What ``save`` wrote; ExemplarError where there is no such file, or it is broken."""
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            videos = tuple(map(str, json.loads(metadata.get("videos", "null"))))
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            raise ExemplarError(f"{path}: not exemplars ({error}); run `tsvad index RUN --redo`") from None
        if metadata.get("kind") != KIND or {name: array.dtype.type for name, array in found.items()} != ARRAYS:
            raise ExemplarError(f"{path}: not exemplars of this version; run `tsvad index RUN --redo`")
        loaded = cls(**found, videos=videos)
        if fault := loaded._fault():
            raise ExemplarError(f"{path}: is altered ({fault}); run `tsvad index RUN --redo`")
        return loaded

    def _fault(self) -> str:
        """What is wrong with arrays read from a file; empty where nothing is."""
        count = len(self.keys)
        shapes = (self.tables.shape, self.distances.shape, self.places.shape, self.strips.shape)
        if shapes != ((count,), (count,), (count, 3), (count, STRIP)):
            return "array shapes do not fit each other"
        if count and not (self.places[:, 0].min() >= 0 and self.places[:, 0].max() < len(self.videos)):
            return "a video that is not named"
        if count and self.strips.max() >= len(self.ends):
            return "a picture that is not there"
        if len(self.ends) and (self.ends[-1] != len(self.pictures) or (np.diff(self.ends, prepend=0) < 0).any()):
            return "pictures do not end where they should"
        order = np.lexsort((self.keys, self.tables))
        return "" if (order == np.arange(count)).all() else "keys are not sorted"

    def _picture(self, index: int) -> bytes:
        first = int(self.ends[index - 1]) if index else 0
        return self.pictures[first : int(self.ends[index])].tobytes()


ARRAYS: dict[str, Any] = dict.fromkeys(("tables", "places", "ends", "strips"), np.int64)
ARRAYS |= {"keys": np.uint64, "distances": np.float32, "pictures": np.uint8}


def sentence(match: Match, span: int) -> str:
    """What was nearest, in words; ``span`` is that of retrieval's snippet."""
    by_place, seen = match.place is not None, match.exemplar
    if match.table is None:
        return f"{'nothing is known' if by_place else 'no bucket matched'}: nothing like this was seen in training"
    place = f"(distance {match.distance:.2f})" if by_place else f"(distance {match.distance:.2f}, table {match.table})"
    if seen is None:
        return f"nearest normal: a {'centre' if by_place else 'bucket'} without an exemplar {place}"
    frames = f"frames {seen.frame}–{seen.frame + span}" if span else f"frame {seen.frame}"
    if by_place:
        return f"nearest normal at that place: training {seen.video}, {frames} {place}"
    return f"nearest normal: training {seen.video}, {frames}, crop {seen.crop} {place}"
