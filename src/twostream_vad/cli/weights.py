"""`tsvad weights`: other people's weight files into safetensors, executing nothing that a pickle names."""

from pathlib import Path

from ..errors import TsvadError
from ..storage import typed
from ..weights.download import SOURCES
from ..weights.download import download as fetch
from .common import Bar, say
from .tables import print_table


def import_(file: Path, *, out: Path) -> None:
    """Read a Kinetics I3D (Caffe2 .pkl, PyTorchVideo .pyth, pickled PySlowFast module) or the authors' checkpoint.

    Args:
        file: The weights, gzipped or not.
        out: The .safetensors file to write.
    """
    from ..weights.foreign import import_weights

    found = import_weights(file, out)
    holds = f"{found.tensors} tensors, {found.parameters / 1e6:.1f} M parameters"
    print(f"{found.path}: {found.kind} from {found.form}, {holds}")
    for warning in found.warnings:
        say(f"warning: {warning}")


def inspect(file: Path, *, tensors: bool = False) -> None:
    """Say what a weight file holds, whether or not it would import.

    Args:
        file: Any weight file.
        tensors: List every tensor with its statistics.
    """
    from ..weights.foreign import inspect_weights

    found = inspect_weights(file)
    bad = sum(tensor.not_finite for tensor in found.tensors)
    holds = f"{len(found.tensors)} tensors, {found.parameters / 1e6:.1f} M parameters, {bad} values not finite"
    print(f"{file}: {found.kind or 'unknown net'}, {found.form}, {holds}")
    for key, value in found.metadata.items():
        print(f"  {key}: {value}")
    if tensors:
        rows = []
        for row in found.tensors:
            numbers = (f"{value:.4g}" for value in (row.mean, row.std, row.min, row.max))
            rows.append((row.name, "×".join(map(str, row.shape)), row.dtype, *numbers))
        print_table("", ("tensor", "shape", "dtype", "mean", "std", "min", "max"), rows)


def download(name: str, *, out: Path | None = None, url: str | None = None, sha256: str | None = None) -> None:
    """Fetch weights from their publisher; an interrupted download goes on, and the hash is recorded.

    Args:
        name: i3d-r50-8x8: the Kinetics-400 I3D ResNet-50 of PySlowFast's model zoo.
        out: The file to write; the publisher's name unless given.
        url: Another address of the same file.
        sha256: What its hash must be.
    """
    if name not in SOURCES:
        raise TsvadError(f"no weights {name!r}; known: {', '.join(SOURCES)}")
    address = url or SOURCES[name]
    target = out or Path(address.rpartition("/")[2])
    with Bar(target.name) as bar:
        digest = fetch(address, target, sha256=sha256, progress=lambda done, total: bar(done, total or 0))
    imported = target.with_suffix(".safetensors")
    print(f"{target}: sha256 {digest}\nnext: tsvad weights import {typed(target)} --out {typed(imported)}")
