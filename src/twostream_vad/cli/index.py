"""`tsvad index show|add|merge`: look at the hash tables of normal events, and let them grow."""

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from ..errors import TsvadError
from .common import Bar, console, packed
from .process import set_up_process
from .stages import group

if TYPE_CHECKING:
    from ..detector.bundle import Bundle
    from ..retrieval.exemplars import Exemplars
    from ..retrieval.tables import HashTables


def register(app: App) -> None:
    """Adds the commands."""
    index = group(app, "index")
    index.command(show)
    index.command(add)
    index.command(merge)


def show(detector: Path, *, show: int = 3) -> None:
    """Print each table's buckets, the fullest and the emptiest.

    Parameters
    ----------
    detector
        A detector, or the folder of a fitted run.
    show
        Buckets shown of either kind.
    """
    from rich.console import Console
    from rich.table import Table

    from ..detector.bundle import TABLES, Bundle
    from ..retrieval.tables import HashTables

    tables = HashTables.load(Bundle(packed(detector)).path(TABLES))
    table = Table("table", "buckets", "codes", "fullest (bits: codes)", "emptiest (bits: codes)")
    for number, summary in enumerate(tables.summary(show)):
        kinds = [
            "\n".join(f"{bucket.key:0{tables.bits}b}: {bucket.count}" for bucket in side)
            for side in (summary.fullest, summary.emptiest)
        ]
        table.add_row(str(number), str(summary.buckets), str(tables.codes), *kinds)
    Console().print(table)


def add(detector: Path, videos: Path, /, *others: Path, out: Path) -> None:
    """Let a detector know more normal video: its codes go into the hash tables, without any training.

    Scales and threshold stay as they are; what retrieval has now seen is no longer unusual to it.

    Parameters
    ----------
    detector
        A detector, or the folder of a fitted run.
    videos
        Normal video of the same camera: a file, or a folder of numbered images.
    others
        More of it.
    out
        The new detector.
    """
    from ..detector.bundle import EXEMPLARS, TABLES, Bundle
    from ..detector.grow import codes_of
    from ..detector.loading import retrieval_stream
    from ..retrieval.exemplars import Exemplars
    from ..retrieval.tables import HashTables
    from ..video.frames import open_source

    bundle = Bundle(packed(detector))
    set_up_process(None)
    stream, rate = retrieval_stream(bundle), bundle.description.pictures.rate
    tables, exemplars = HashTables.load(bundle.path(TABLES)), Exemplars.load(bundle.path(EXEMPLARS))
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
    console().print(f"{tables.codes - before} codes of normal video added to {before}", soft_wrap=True)


def merge(detector: Path, other: Path, /, *others: Path, out: Path) -> None:
    """One detector that knows the normal events of several, which share their nets: several days of one camera.

    Everything but the hash tables and their exemplars is the first one's.

    Parameters
    ----------
    detector
        A detector, or the folder of a fitted run.
    other
        Another, with the same encoder and hash net.
    others
        More of them.
    out
        The new detector.
    """
    from ..detector.bundle import EXEMPLARS, TABLES, Bundle
    from ..detector.grow import refuse_other_nets
    from ..retrieval.exemplars import Exemplars
    from ..retrieval.tables import HashTables

    bundle = Bundle(packed(detector))
    tables, exemplars = HashTables.load(bundle.path(TABLES)), Exemplars.load(bundle.path(EXEMPLARS))
    for folder in (other, *others):
        second = Bundle(packed(folder))
        refuse_other_nets(bundle, second)
        tables = tables.merge(HashTables.load(second.path(TABLES)))
        exemplars = exemplars.merge(Exemplars.load(second.path(EXEMPLARS)))
    _write(bundle, tables, exemplars, out)


def _write(bundle: "Bundle", tables: "HashTables", exemplars: "Exemplars", out: Path) -> None:
    from ..detector.grow import rewrite

    rewrite(bundle, tables, exemplars, out)
    print(f"{out}: {tables.codes} codes in {len(tables.keys)} buckets of {tables.tables} tables")
