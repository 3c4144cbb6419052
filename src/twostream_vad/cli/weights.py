"""`tsvad weights`: other people's weight files into safetensors, executing nothing that a pickle names."""

from pathlib import Path

from cyclopts import App

from ..errors import TsvadError
from ..storage import typed
from .common import Bar, console


def register(app: App) -> None:
    """Adds the commands."""
    group = App(name="weights", help="Import, inspect and download weights. No pickle is executed.")
    group.command(import_file, name="import")
    group.command(inspect)
    group.command(download)
    app.command(group)


def import_file(file: Path, *, out: Path) -> None:
    """Read a Kinetics I3D (Caffe2 .pkl, PyTorchVideo .pyth, pickled PySlowFast module) or the authors' checkpoint.

    Parameters
    ----------
    file
        The weights, gzipped or not.
    out
        The .safetensors file to write.
    """
    from ..weights.foreign import import_weights

    imported = import_weights(file, out)
    print(
        f"{imported.path}: {imported.kind} from {imported.form}, {imported.tensors} tensors, "
        f"{imported.parameters / 1e6:.1f} M parameters"
    )
    for warning in imported.warnings:
        console().print(f"warning: {warning}")


def inspect(file: Path, *, tensors: bool = False) -> None:
    """Say what a weight file holds, whether or not it would import.

    Parameters
    ----------
    file
        Any weight file.
    tensors
        List every tensor with its statistics.
    """
    from rich.table import Table

    from ..weights.foreign import inspect_weights
    from .tables import print_table

    summary = inspect_weights(file)
    bad = sum(tensor.not_finite for tensor in summary.tensors)
    print(
        f"{file}: {summary.kind or 'unknown net'}, {summary.form}, {len(summary.tensors)} tensors, "
        f"{summary.parameters / 1e6:.1f} M parameters, {bad} values not finite"
    )
    for key, value in summary.metadata.items():
        print(f"  {key}: {value}")
    if tensors:
        table = Table("tensor", "shape", "dtype", "mean", "std", "min", "max")
        for row in summary.tensors:
            numbers = (f"{value:.4g}" for value in (row.mean, row.std, row.min, row.max))
            table.add_row(row.name, "×".join(map(str, row.shape)), row.dtype, *numbers)
        print_table(table, "")


def download(name: str, *, out: Path | None = None, url: str | None = None, sha256: str | None = None) -> None:
    """Fetch weights from their publisher; an interrupted download goes on, and the hash is recorded.

    Parameters
    ----------
    name
        i3d-r50-8x8: the Kinetics-400 I3D ResNet-50 of PySlowFast's model zoo.
    out
        The file to write; the publisher's name unless given.
    url
        Another address of the same file.
    sha256
        What its hash must be.
    """
    from ..weights.download import SOURCES
    from ..weights.download import download as fetch

    if name not in SOURCES:
        raise TsvadError(f"no weights {name!r}; known: {', '.join(SOURCES)}")
    address = url or SOURCES[name]
    target = out or Path(address.rpartition("/")[2])
    with Bar(target.name) as bar:
        digest = fetch(address, target, sha256=sha256, progress=lambda done, total: bar(done, total or 0))
    imported = target.with_suffix(".safetensors")
    print(f"{target}: sha256 {digest}\nnext: tsvad weights import {typed(target)} --out {typed(imported)}")
