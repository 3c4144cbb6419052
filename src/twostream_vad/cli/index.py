"""`tsvad index show|add|merge`: look at the hash tables of normal events, and let them grow."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TsvadError
from ..retrieval.exemplars import Exemplars
from ..retrieval.tables import HashTables
from .common import Bar, DetectorFolder, packed, say
from .process import set_up_process
from .tables import print_table

if TYPE_CHECKING:
    from ..detector.bundle import Bundle


def show(detector: DetectorFolder, *, show: int = 3) -> None:
    """Print each table's buckets, the fullest and the emptiest.

    Args:
        show: Buckets shown of either kind.
    """
    tables = _open(detector)[1]
    rows = []
    for number, summary in enumerate(tables.summary(show)):
        kinds = [
            "\n".join(f"{bucket.key:0{tables.bits}b}: {bucket.count}" for bucket in side)
            for side in (summary.fullest, summary.emptiest)
        ]
        rows.append((str(number), str(summary.buckets), str(tables.codes), *kinds))
    print_table("", ("table", "buckets", "codes", "fullest (bits: codes)", "emptiest (bits: codes)"), rows)


def add(detector: DetectorFolder, videos: Path, /, *others: Path, out: Path) -> None:
    """Let a detector know more normal video: its codes go into the hash tables, without any training.

    Scales and threshold stay as they are; what retrieval has now seen is no longer unusual to it.

    Args:
        videos: Normal video of the same camera: a file, or a folder of numbered images.
        others: More of it.
        out: The new detector.
    """
    from ..detector.grow import codes_of, refuse_taken
    from ..detector.loading import retrieval_stream
    from ..video.frames import open_source

    bundle, tables, exemplars = _open(detector)
    refuse_taken(bundle, out)
    set_up_process(None)
    stream, rate = retrieval_stream(bundle), bundle.description.pictures.rate
    before = tables.codes
    for path in (videos, *others):
        source = open_source(path, rate=rate if path.is_dir() else None)
        with Bar(f"add {source.name}") as bar:
            found = codes_of(stream, source, rate, lambda frames: bar(frames, 0))
        if len(found.codes) == 0:
            raise TsvadError(f"{path}: too short for a snippet of {stream.snippet.span + 1} frames; give longer video")
        tables.add(found.codes)
        exemplars = exemplars.merge(found.exemplars(tables))
    _write(bundle, tables, exemplars, out)
    say(f"{tables.codes - before} codes of normal video added to {before}")


def merge(detector: DetectorFolder, other: Path, /, *others: Path, out: Path) -> None:
    """One detector that knows the normal events of several, which share their nets: several days of one camera.

    Everything but the hash tables and their exemplars is the first one's.

    Args:
        other: Another, with the same encoder and hash net.
        others: More of them.
        out: The new detector.
    """
    from ..detector.grow import refuse_other_nets, refuse_taken

    bundle, tables, exemplars = _open(detector)
    refuse_taken(bundle, out)
    for folder in (other, *others):
        second, its_tables, its_exemplars = _open(folder)
        refuse_other_nets(bundle, second)
        tables, exemplars = tables.merge(its_tables), exemplars.merge(its_exemplars)
    _write(bundle, tables, exemplars, out)


def _open(detector: Path) -> tuple["Bundle", HashTables, Exemplars]:
    from ..detector.bundle import EXEMPLARS, TABLES, Bundle

    bundle = Bundle(packed(detector))
    return bundle, HashTables.load(bundle.path(TABLES)), Exemplars.load(bundle.path(EXEMPLARS))


def _write(bundle: "Bundle", tables: HashTables, exemplars: Exemplars, out: Path) -> None:
    from ..detector.grow import rewrite

    rewrite(bundle, tables, exemplars, out)
    print(f"{out}: {tables.codes} codes in {len(tables.keys)} buckets of {tables.tables} tables")
