"""`tsvad index show|add|merge`: look at the index of normal events, and let it grow."""

from pathlib import Path
from typing import TYPE_CHECKING

from .common import Bar, DetectorFolder, packed, say
from .process import set_up_process
from .tables import print_table

if TYPE_CHECKING:
    from ..detector.bundle import Bundle
    from ..detector.grow import Index


def show(detector: DetectorFolder, *, show: int = 3) -> None:
    """Print each table's buckets, the fullest and the emptiest; by place how many normal events are known, how finely.

    Args:
        show: Buckets shown of either kind.
    """
    print_table("", *_open(detector)[1].overview(show))


def add(detector: DetectorFolder, videos: Path, /, *others: Path, out: Path) -> None:
    """Let a detector know more normal video: its events go into the index, without any training.

    Scales and threshold stay as they are; what retrieval has now seen is no longer unusual to it.

    Args:
        videos: Normal video of the same camera: a file, or a folder of numbered images.
        others: More of it.
        out: The new detector.
    """
    from ..detector.grow import refuse_taken
    from ..detector.loading import retrieval_stream
    from ..video.frames import open_source

    bundle, index = _open(detector)
    refuse_taken(bundle, out)
    set_up_process(None)
    stream, rate, before = retrieval_stream(bundle), bundle.description.pictures.rate, index.added
    for path in (videos, *others):
        source = open_source(path, rate=rate if path.is_dir() else None)
        with Bar(f"add {source.name}") as bar:
            index.learn(stream, source, rate, lambda frames: bar(frames, 0))
    _write(bundle, index, out)
    say(f"{index.added - before} {index.unit} of normal video added to {before}")


def merge(detector: DetectorFolder, other: Path, /, *others: Path, out: Path) -> None:
    """One detector that knows the normal events of several, which share their nets: several days of one camera.

    Everything but the index and its exemplars is the first one's.

    Args:
        other: Another of the same fit: with the same encoder and hash net, or keys.
        others: More of them.
        out: The new detector.
    """
    from ..detector.grow import refuse_other_nets, refuse_taken

    bundle, index = _open(detector)
    refuse_taken(bundle, out)
    for folder in (other, *others):
        second, its = _open(folder)
        refuse_other_nets(bundle, second)
        index.merge(its)
    _write(bundle, index, out)


def _open(detector: Path) -> "tuple[Bundle, Index]":
    from ..detector.bundle import Bundle
    from ..detector.grow import open_index

    bundle = Bundle(packed(detector))
    return bundle, open_index(bundle)


def _write(bundle: "Bundle", index: "Index", out: Path) -> None:
    from ..detector.grow import rewrite

    rewrite(bundle, index, out)
    print(f"{out}: {index}")
