"""A detector's index of normal events, which grows after a fit: by more normal video, or by another detector's."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import TsvadError
from ..retrieval.centres import Centres
from ..retrieval.exemplars import MOST_PICTURES, Exemplars
from ..retrieval.keys import Keys
from ..retrieval.placed import PlacedStream
from ..retrieval.stream import RetrievalStream
from ..retrieval.tables import HashTables
from ..scores.stream import Stream, clip_batches
from ..storage import load_tensors
from ..video.pictures import thumbnail
from ..video.source import FrameSource, VideoError
from ..video.ticks import at_ticks
from .bundle import CENTRES, DESCRIPTION, EDGE, ENCODER, EXEMPLARS, HASHNET, TABLES, Bundle, BundleError, write_bundle

CLIPS = 64  # whose features are held until they are added
Progress = Callable[[int], None]  # takes how many ticks have come


class NormalVideo:
    """A normal video at ``rate`` ticks a second: its clips, and a small JPEG of every few of the ticks that have come.

    With ``most`` no more pictures than that are held, and long video has them farther apart.
    """

    def __init__(
        self, stream: Stream, source: FrameSource, rate: float, progress: Progress, most: float = np.inf
    ) -> None:
        self.stream, self.source, self.rate, self.ticks = stream, source, rate, 0
        self._progress, self._most, self._every = progress, most, max(1, stream.snippet.span // 3)
        self._pictures: dict[int, bytes] = {}

    def clips(self) -> Iterator[torch.Tensor]:
        """One at a time, (1, crops, 3, T, S, S).

        Raises:
            VideoError: the video breaks or has a gap.
            TsvadError: it has no clip.
        """
        snippet = self.stream.snippet
        yield from clip_batches(self._views(), snippet, batch=1)
        if snippet.count(self.ticks) == 0:
            wanted = f"a snippet of {snippet.span + 1} frames"
            raise TsvadError(f"{self.source.path}: too short for {wanted}; give longer video")

    def picture(self, _: str, tick: int) -> bytes:
        """The picture nearest before a tick."""
        return self._pictures[tick // self._every * self._every]

    def _views(self) -> Iterator[torch.Tensor]:
        for frame in at_ticks(self.source, self.rate):
            if frame.lost:
                raise VideoError(f"{self.source.path}: frame {frame.index} is missing or damaged; cut the video there")
            if self.ticks % self._every == 0:
                self._pictures[self.ticks] = thumbnail(frame.image)
            if len(self._pictures) > self._most:
                self._every *= 2
                self._pictures = {tick: seen for tick, seen in self._pictures.items() if tick % self._every == 0}
            self.ticks += 1
            self._progress(self.ticks)
            yield self.stream.views.scored(frame.image)


class Index(ABC):
    """What a detector knows of normal events, with their pictures. A refused video leaves it half grown: drop it."""

    unit: str  # what is added, in the plural
    exemplars: Exemplars

    @property
    @abstractmethod
    def added(self) -> int:
        """How many units, in all."""

    @abstractmethod
    def learn(self, stream: Stream, source: FrameSource, rate: float, progress: Progress) -> None:
        """Adds all of a normal video, which `NormalVideo` may refuse; ``stream`` is the detector's."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Adds what another knows, of a detector that `refuse_other_nets` has passed."""

    @abstractmethod
    def save(self, folder: Path) -> dict[str, Path]:
        """Writes its files; gives their names in a bundle and where they are."""

    @abstractmethod
    def overview(self, show: int, /) -> tuple[Sequence[str], list[tuple[str, ...]]]:
        """A table of what it holds, heads and rows; ``show`` buckets of either kind."""


class HashIndex(Index):
    """Hash tables, as in the paper."""

    unit = "codes"

    def __init__(self, bundle: Bundle) -> None:
        self.tables = HashTables.load(bundle.path(TABLES))
        self.exemplars = Exemplars.load(bundle.path(EXEMPLARS))

    def __str__(self) -> str:
        return f"{self.added} codes in {len(self.tables.keys)} buckets of {self.tables.tables} tables"

    @property
    def added(self) -> int:
        return self.tables.codes

    def learn(self, stream: Stream, source: FrameSource, rate: float, progress: Progress) -> None:
        """As `Index.learn`; memory holds the codes, 1 kB a snippet and crop, and a 5 kB picture of every few frames."""
        assert isinstance(stream, RetrievalStream)
        video = NormalVideo(stream, source, rate, progress)
        by_clip = [stream.hasher(stream.encoding.encode(clip)[0]) for clip in video.clips()]
        codes = np.concatenate(by_clip)
        self.tables.add(codes)
        places = _places(np.arange(len(codes)), len(by_clip[0]))
        bare = Exemplars.build(self.tables, [codes], places, [source.name])
        self.exemplars = self.exemplars.merge(bare.illustrated(video.picture, stream.snippet.span, video.ticks))

    def merge(self, other: Self) -> None:
        self.tables, self.exemplars = self.tables.merge(other.tables), self.exemplars.merge(other.exemplars)

    def save(self, folder: Path) -> dict[str, Path]:
        files = {TABLES: folder / "tables", EXEMPLARS: folder / "exemplars"}
        self.tables.save(files[TABLES])
        self.exemplars.save(files[EXEMPLARS])
        return files

    def overview(self, show: int, /) -> tuple[Sequence[str], list[tuple[str, ...]]]:
        rows = []
        for number, summary in enumerate(self.tables.summary(show)):
            kinds = [
                "\n".join(f"{bucket.key:0{self.tables.bits}b}: {bucket.count}" for bucket in side)
                for side in (summary.fullest, summary.emptiest)
            ]
            rows.append((str(number), str(summary.buckets), str(self.added), *kinds))
        return ("table", "buckets", "codes", "fullest (bits: codes)", "emptiest (bits: codes)"), rows


class PlaceIndex(Index):
    """Centres of every place."""

    unit = "features"

    def __init__(self, bundle: Bundle) -> None:
        self.centres = Centres.load(bundle.path(CENTRES))
        self.exemplars = Exemplars.load(bundle.path(EXEMPLARS))

    def __str__(self) -> str:
        return f"{self.added} features in {len(self.centres)} centres of {len(self._by_place())} places"

    @property
    def added(self) -> int:
        return self.centres.added

    def learn(self, stream: Stream, source: FrameSource, rate: float, progress: Progress) -> None:
        """As `Index.learn`; memory holds the features of CLIPS clips and MOST_PICTURES pictures, however long it is."""
        assert isinstance(stream, PlacedStream)
        video, before, places = (
            NormalVideo(stream, source, rate, progress, MOST_PICTURES),
            self.added,
            stream.centres.keys.places,
        )
        features = (stream.encoding.encode(clip)[0] for clip in video.clips())
        while part := list(islice(features, CLIPS)):
            stream.refuse_other_shape(part[0])
            self.centres.add(np.concatenate(part), np.arange(len(part) * places) % places)
        new = self.centres.rows[self.centres.rows >= before]
        bare = Exemplars.of_centres(new, _places(new - before, places), [source.name])
        grown = self.exemplars.merge(bare.illustrated(video.picture, stream.snippet.span, video.ticks))
        self.exemplars = grown.kept(self.centres.rows)

    def merge(self, other: Self) -> None:
        theirs = replace(other.exemplars, keys=other.exemplars.keys + np.uint64(self.added))
        self.centres = self.centres.merge(other.centres)
        self.exemplars = self.exemplars.merge(theirs).kept(self.centres.rows)

    def save(self, folder: Path) -> dict[str, Path]:
        files = {CENTRES: folder / "centres", EXEMPLARS: folder / "exemplars"}
        self.centres.save(files[CENTRES])
        self.exemplars.save(files[EXEMPLARS])
        return files

    def overview(self, _: int, /) -> tuple[Sequence[str], list[tuple[str, ...]]]:
        held, own = self.centres, self._by_place()
        coarse = f"{held.radius:.3g} of a place's spread" if held.radius else "every feature is a centre"
        spread = " / ".join(f"{count:g}" for count in (own.min(), np.median(own), own.max()))
        heads = "places", "features added", "centres", "at most", "centres a place (least / median / most)", "radius"
        return heads, [(str(len(own)), str(self.added), str(len(held)), str(held.limit), spread, coarse)]

    def _by_place(self) -> NDArray[np.int64]:
        return np.bincount(self.centres.places, minlength=self.centres.keys.places)


def open_index(bundle: Bundle) -> Index:
    """The index of a detector in either form; TableError or ExemplarError for a broken file."""
    return PlaceIndex(bundle) if bundle.description.retrieval.by_place else HashIndex(bundle)


def refuse_taken(bundle: Bundle, out: Path) -> None:
    """Raises BundleError where a grown bundle cannot go to ``out``: it is the bundle's own, or holds something else."""
    if out.exists() and (out.resolve() == bundle.folder.resolve() or not (out / DESCRIPTION).exists()):
        raise BundleError(f"{out} is there already; choose another --out")


def refuse_other_nets(bundle: Bundle, other: Bundle) -> None:
    """Raises BundleError where two detectors do not share encoder and hash net, or keys: they mean different things."""
    by_place, its = (each.description.retrieval.by_place for each in (bundle, other))
    remedy = "merge detectors of one fit, or fit once on all the video"
    if by_place != its:
        forms = ("by place", "in hash tables") if its else ("in hash tables", "by place")
        raise BundleError(
            f"{other.folder}: it knows normal events {forms[0]}, {bundle.folder} knows them {forms[1]}; {remedy}"
        )
    keys = {field.name for field in fields(Keys)}
    ours_edge, its_edge = (EDGE in each.hashes for each in (bundle, other))
    if ours_edge != its_edge:
        raise BundleError(f"{other.folder}: of it and {bundle.folder} one has an EdgeNet, the other not; {remedy}")
    for name, wanted in ((EDGE if ours_edge else ENCODER, None), (CENTRES, keys) if by_place else (HASHNET, None)):
        ours, theirs = (
            {key: tensor for key, tensor in load_tensors(each.path(name))[0].items() if wanted is None or key in wanted}
            for each in (bundle, other)
        )
        if ours.keys() != theirs.keys() or not all(torch.equal(ours[key], theirs[key]) for key in ours):
            what = f"its {name} {'is another' if wanted is None else 'has other keys'} than that of {bundle.folder}"
            raise BundleError(f"{other.folder}: {what}, so their codes do not compare; {remedy}")


def rewrite(bundle: Bundle, index: Index, out: Path) -> None:
    """The bundle with another index, in another folder, which `refuse_taken` has looked at."""
    with TemporaryDirectory() as temporary:
        grown = index.save(Path(temporary))
        files = {name: grown.get(name, bundle.path(name)) for name in bundle.hashes if name != DESCRIPTION}
        write_bundle(out, bundle.description, files)


def _places(numbers: NDArray[np.int64], places: int) -> NDArray[np.int64]:
    """Of a video's features, in the order snippet, place: its number 0, first frame and place, (N, 3)."""
    frame, place = np.divmod(numbers, places)
    return np.stack([np.zeros_like(frame), frame, place], axis=1)
