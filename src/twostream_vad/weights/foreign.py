"""Weight files of others: read, checked tensor by tensor, renamed, and written as safetensors."""

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from ..storage import whole_file
from .contents import Contents, open_contents
from .names import IGNORED, Dialect, Kind, expected
from .stored import ReadableTensor, UnsafePickleError, WeightsError

__all__ = [
    "Foreign",
    "Imported",
    "Summary",
    "TensorSummary",
    "UnsafePickleError",
    "WeightsError",
    "import_weights",
    "inspect_weights",
    "read_foreign",
]

LISTED = 10
"""Tensors named in an error before the rest is only counted."""


@dataclass(frozen=True)
class Foreign:
    """A net's tensors out of somebody's file, under our names."""

    kind: Kind
    form: str
    """For people: container, content and whose names, such as "torch zip, module object, PySlowFast"."""
    tensors: dict[str, Tensor]
    """All tensors of the paper's net, in its order; floats as in the file (16, 32 or 64 bits)."""
    ignored: list[str]
    """Names that are known and not needed: the classification head, an optimizer's blobs."""
    epoch: int | None
    """Of a training checkpoint."""


@dataclass(frozen=True)
class Imported:
    """What ``import_weights`` wrote."""

    path: Path
    kind: Kind
    form: str
    tensors: int
    parameters: int
    ignored: list[str]
    sha256: str
    """Of the source file."""
    warnings: list[str]


@dataclass(frozen=True)
class TensorSummary:
    """One line of ``inspect_weights``; statistics over the finite values, NaN where there are none."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    mean: float
    std: float
    min: float
    max: float
    not_finite: int


@dataclass(frozen=True)
class Summary:
    """What a weight file holds, under the file's own names."""

    kind: Kind | None
    """None where the names are of no net that we know."""
    form: str
    tensors: list[TensorSummary]
    metadata: dict[str, str]

    @property
    def parameters(self) -> int:
        """Values in all tensors, running statistics included."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def not_finite(self) -> int:
        """NaN and infinite values."""
        return sum(tensor.not_finite for tensor in self.tensors)


def read_foreign(path: Path) -> Foreign:
    """The net in a file of PySlowFast, PyTorchVideo, Caffe2, the authors or ourselves, gzipped or not.

    Runs nothing that a pickle names.

    Raises:
        UnsafePickleError: its pickle names something that no weight file needs.
        WeightsError: of an unknown form; or tensors missing, unknown or of another shape, which are listed.
    """
    with open_contents(path) as contents:
        dialect = contents.dialect
        if dialect is None:
            raise WeightsError(f"holds no I3D, STUNet or HashNet; its tensors: {_listed(contents.tensors)}")
        wanted = expected(dialect.kind)
        stored, ignored, unknown = _renamed(contents, dialect, wanted)
        # Caffe2 has no such counter, and a net that is not trained further does not look at it.
        zeros = [n for n in wanted if n.endswith(".num_batches_tracked")] if dialect.owner == "Caffe2" else []
        problems = _problems(wanted, stored, zeros)
        if unknown:
            problems.append(f"unknown: {_listed(unknown)}")
        if problems:
            raise WeightsError(
                f"not the tensors of the paper's {dialect.kind}: {'; '.join(problems)}. Give a file of that very net"
            )
        tensors = {n: stored[n].read() if n in stored else torch.zeros((), dtype=torch.int64) for n in wanted}
        form = f"{contents.form}, names of {dialect.owner}"
        return Foreign(dialect.kind, form, tensors, ignored, contents.epoch)


def import_weights(path: Path, out: Path) -> Imported:
    """Write a foreign file's net to safetensors ``out``, whole or not at all; floats become float32.

    The metadata says kind, form, source (its name and SHA-256), what was cast and by which version.

    Raises:
        WeightsError: as ``read_foreign``.
    """
    foreign = read_foreign(path)
    cast = {str(t.dtype).removeprefix("torch.") for t in foreign.tensors.values() if t.is_floating_point()} - {
        "float32"
    }
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in foreign.tensors.items()}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    metadata = {
        "kind": foreign.kind,
        "form": foreign.form,
        "source": path.name,
        "source_sha256": sha256,
        "tool": f"twostream-vad {version('twostream-vad')}",
        "cast": ", ".join(sorted(cast)) + " to float32" if cast else "none",
    }
    if foreign.epoch is not None:
        metadata["epoch"] = str(foreign.epoch)
    warnings = [
        f"{name} has {count} values that are NaN or infinite"
        for name, tensor in tensors.items()
        if (count := int((~torch.isfinite(tensor)).sum()))
    ]
    with whole_file(out) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return Imported(out, foreign.kind, foreign.form, len(tensors), parameters, foreign.ignored, sha256, warnings)


def inspect_weights(path: Path) -> Summary:
    """Every tensor of a file with its statistics, whether or not the file would import.

    Raises:
        UnsafePickleError, WeightsError: as ``read_foreign``, but not for what the tensors are.
    """
    with open_contents(path) as contents:
        tensors = [_summary(name, tensor.read()) for name, tensor in contents.tensors.items()]
        kind = contents.dialect.kind if contents.dialect else None
        return Summary(kind, contents.form, tensors, contents.metadata)


def _renamed(
    contents: Contents, dialect: Dialect, wanted: Collection[str]
) -> tuple[dict[str, ReadableTensor], list[str], list[str]]:
    """Tensors under our names; names that are known and not needed; names that are neither."""
    stored: dict[str, ReadableTensor] = {}
    ignored, unknown = [], []
    for name in [*contents.tensors, *contents.others]:
        ours = dialect.ours(name)
        if IGNORED.fullmatch(name):
            ignored.append(name)
        elif ours is None or ours not in wanted or ours in stored or name not in contents.tensors:
            unknown.append(name)
        else:
            stored[ours] = contents.tensors[name]
    return stored, ignored, unknown


def _problems(
    wanted: dict[str, tuple[tuple[int, ...], bool]], stored: dict[str, ReadableTensor], zeros: list[str]
) -> list[str]:
    missing = [name for name in wanted if name not in stored and name not in zeros]
    misshapen = [
        f"{name} is {list(tensor.shape)} of {tensor.dtype} and should be {list(wanted[name][0])}"
        for name, tensor in stored.items()
        if (tuple(tensor.shape), tensor.dtype.is_floating_point) != wanted[name]
    ]
    lists = {"missing": missing, "of another shape": misshapen}
    return [f"{fault}: {_listed(names)}" for fault, names in lists.items() if names]


def _listed(names: Collection[str]) -> str:
    first = ", ".join(list(names)[:LISTED]) or "none"
    return f"{first} and {len(names) - LISTED} more" if len(names) > LISTED else first


def _summary(name: str, tensor: Tensor) -> TensorSummary:
    dtype = str(tensor.dtype).removeprefix("torch.")
    values = tensor.double().flatten()
    finite = values[torch.isfinite(values)]
    if finite.numel():
        statistics = (finite.mean(), finite.std(correction=0), finite.min(), finite.max())
    else:
        statistics = (torch.tensor(math.nan),) * 4
    mean, std, least, most = (float(value) for value in statistics)
    shape, not_finite = tuple(tensor.shape), values.numel() - finite.numel()
    return TensorSummary(name, shape, dtype, mean, std, least, most, not_finite)
