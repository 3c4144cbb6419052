"""Hash tables that grow after a fit: normal video added to a detector, detectors of the same nets merged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from ..retrieval.exemplars import Exemplars
from ..retrieval.stream import RetrievalStream
from ..retrieval.tables import HashTables
from ..scores.stream import clip_batches
from ..storage import load_tensors
from ..video.pictures import thumbnail
from ..video.source import FrameSource, VideoError
from ..video.ticks import at_ticks
from .bundle import DESCRIPTION, ENCODER, EXEMPLARS, HASHNET, TABLES, Bundle, BundleError, write_bundle


@dataclass(frozen=True)
class NormalVideo:
    """A normal video of ``ticks`` ticks as codes (snippets · crops, b, r), and a small JPEG of ``every``-th tick."""

    name: str
    codes: NDArray[np.float32]
    crops: int
    span: int
    pictures: dict[int, bytes]
    every: int
    ticks: int

    def exemplars(self, tables: HashTables) -> Exemplars:
        """Exemplars of the buckets of ``tables`` that the video's codes fell into, with pictures."""
        frame, crop = np.divmod(np.arange(len(self.codes)), self.crops)
        places = np.stack([np.zeros_like(frame), frame, crop], axis=1)
        bare = Exemplars.build(tables, [self.codes], places, [self.name])
        return bare.illustrated(lambda _, tick: self.pictures[tick // self.every * self.every], self.span, self.ticks)


def codes_of(stream: RetrievalStream, source: FrameSource, rate: float, progress: Callable[[int], None]) -> NormalVideo:
    """Codes of all snippets of a normal video, resampled to ``rate`` ticks a second.

    Memory holds the codes, 1 kB a snippet and crop, and a picture of every few frames, 5 kB each. VideoError where the
    video breaks or has a gap.
    """
    ticks, crops, every = 0, 1, max(1, stream.snippet.span // 3)
    codes: list[NDArray[np.float32]] = []
    pictures: dict[int, bytes] = {}

    def look() -> Iterator[torch.Tensor]:
        nonlocal ticks
        for frame in at_ticks(source, rate):
            if frame.lost:
                raise VideoError(f"{source.path}: frame {frame.index} is missing or damaged; cut the video there")
            if ticks % every == 0:
                pictures[ticks] = thumbnail(frame.image)
            ticks += 1
            progress(ticks)
            yield stream.views.scored(frame.image)

    for clips in clip_batches(look(), stream.snippet, batch=1):
        crops = clips.shape[1]
        codes.append(stream.hasher(stream.encoding.encode(clips)[0]))
    shape = (0, stream.tables.tables, stream.tables.bits)
    found = np.concatenate(codes) if codes else np.zeros(shape, np.float32)
    return NormalVideo(source.name, found, crops, stream.snippet.span, pictures, every, ticks)


def refuse_taken(bundle: Bundle, out: Path) -> None:
    """Raises BundleError where a grown bundle cannot go to ``out``: it is the bundle's own, or holds something else."""
    if out.exists() and (out.resolve() == bundle.folder.resolve() or not (out / DESCRIPTION).exists()):
        raise BundleError(f"{out} is there already; choose another --out")


def refuse_other_nets(bundle: Bundle, other: Bundle) -> None:
    """Raises BundleError where two detectors do not share encoder and hash net: their codes mean different things."""
    for name in (ENCODER, HASHNET):
        ours, theirs = (load_tensors(each.path(name))[0] for each in (bundle, other))
        if ours.keys() != theirs.keys() or not all(torch.equal(ours[key], theirs[key]) for key in ours):
            raise BundleError(
                f"{other.folder}: its {name} is another than that of {bundle.folder}, so their codes do not compare; "
                "merge detectors of one fit, or fit once on all the video"
            )


def rewrite(bundle: Bundle, tables: HashTables, exemplars: Exemplars, out: Path) -> None:
    """The bundle with other tables and exemplars, in another folder, which `refuse_taken` has looked at."""
    with TemporaryDirectory() as temporary:
        grown = {TABLES: Path(temporary) / "tables", EXEMPLARS: Path(temporary) / "exemplars"}
        tables.save(grown[TABLES])
        exemplars.save(grown[EXEMPLARS])
        files = {name: grown.get(name, bundle.path(name)) for name in bundle.hashes if name != DESCRIPTION}
        write_bundle(out, bundle.description, files)
