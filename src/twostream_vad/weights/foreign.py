"""Weight files of others: read, checked tensor by tensor, renamed, and written as safetensors."""

import difflib
import math
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from ..storage import save_tensors, sha256_of
from .archives import open_archive
from .contents import find_tensors
from .names import IGNORED, Dialect, Kind, expected, find_dialect
from .stored import WeightsError

LISTED = 10  # tensors named in an error before the rest is only counted
ALIKE = 3  # of these so many with the nearest names on the other side, so many each


@dataclass(frozen=True)
class Foreign:
    """A net's tensors out of somebody's file, under our names."""

    kind: Kind
    form: str  # for people: container, content and whose names, such as "torch zip, module object, PySlowFast"
    tensors: dict[str, Tensor]  # all of the paper's net, in its order; floats as in the file (16, 32 or 64 bits)
    ignored: list[str]  # names that are known and not needed: the classification head, an optimizer's blobs
    epoch: int | None  # of a training checkpoint


@dataclass(frozen=True)
class Imported:
    """What ``import_weights`` wrote."""

    path: Path
    kind: Kind
    form: str
    tensors: int
    parameters: int
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

    kind: Kind | None  # None where the names are of no net that we know
    form: str
    tensors: list[TensorSummary]
    metadata: dict[str, str]

    @property
    def parameters(self) -> int:
        """Values in all tensors, running statistics included."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)


def read_foreign(path: Path) -> Foreign:
    """The net in a file of PySlowFast, PyTorchVideo, Caffe2, the authors or ourselves, gzipped or not.

    Runs nothing that a pickle names: UnsafePickleError where that is something that no weight file needs.
    WeightsError for an unknown form; or tensors missing, unknown or of another shape, which are listed.
    """
    with open_archive(path) as archive:
        content, named, epoch = find_tensors(archive.root)
        dialect = find_dialect(named)
        if dialect is None:
            raise WeightsError(f"holds no I3D, STUNet or HashNet; it has: {_listed(named)}")
        wanted, ignored = expected(dialect.kind), [name for name in named if IGNORED.fullmatch(name)]
        found, unknown = _renamed({name: named[name] for name in named if name not in ignored}, dialect)
        # Only momentum=None reads these counters: Caffe2 has none, torch before 0.4.1 and many an exporter neither.
        counters = [name for name in wanted if name.endswith(".num_batches_tracked") and name not in found]
        found |= {name: torch.zeros((), dtype=torch.int64) for name in counters}
        misshapen = [
            f"{name} is {list(tensor.shape)} of {tensor.dtype} and should be {list(wanted[name][0])}"
            for name, tensor in found.items()
            if (tuple(tensor.shape), tensor.dtype.is_floating_point) != wanted[name]
        ]
        missing = [name for name in wanted if name not in found]
        faults = {
            "missing": _with_nearest(missing, unknown or named),
            "of another shape": misshapen,
            "unknown": _with_nearest(unknown, missing or wanted),
        }
        faulty = "; ".join(f"{fault}: {_listed(names)}" for fault, names in faults.items() if names)
        if faulty:
            raise WeightsError(f"not the tensors of the paper's {dialect.kind}: {faulty}. Give a file of that very net")
        tensors = {name: found[name].clone(memory_format=torch.contiguous_format) for name in wanted}
        form = f"{archive.form}, {content}, names of {dialect.owner}" + (", counters set to 0" if counters else "")
        return Foreign(dialect.kind, form, tensors, ignored, epoch)


def import_weights(path: Path, out: Path) -> Imported:
    """Write a foreign file's net to safetensors ``out``, whole or not at all; floats become float32.

    The metadata says kind, form, source (its name and SHA-256), what was cast and by which version.
    Errors as ``read_foreign``.
    """
    foreign = read_foreign(path)
    floats = {name: tensor.float() for name, tensor in foreign.tensors.items() if tensor.is_floating_point()}
    cast = {_dtype(foreign.tensors[name]) for name in floats} - {"float32"}
    tensors = foreign.tensors | floats
    metadata = {
        "kind": foreign.kind,
        "form": foreign.form,
        "source": path.name,
        "source_sha256": sha256_of(path),
        "tool": f"twostream-vad {version('twostream-vad')}",
        "cast": ", ".join(sorted(cast)) + " to float32" if cast else "none",
    }
    if foreign.epoch is not None:
        metadata["epoch"] = str(foreign.epoch)
    bad = {name: int((~torch.isfinite(tensor)).sum()) for name, tensor in tensors.items()}
    warnings = [f"{name} has {count} values that are NaN or infinite" for name, count in bad.items() if count]
    save_tensors(out, tensors, metadata)
    parameters = sum(tensor.numel() for tensor in tensors.values())
    return Imported(out, foreign.kind, foreign.form, len(tensors), parameters, warnings)


def inspect_weights(path: Path) -> Summary:
    """Every tensor of a file with its statistics; errors as ``read_foreign``, but not for what the tensors are."""
    with open_archive(path) as archive:
        content, named, _ = find_tensors(archive.root)
        dialect = find_dialect(named)
        tensors = [_summary(name, tensor) for name, tensor in named.items() if tensor is not None]
        return Summary(dialect.kind if dialect else None, f"{archive.form}, {content}", tensors, archive.metadata)


def _renamed(named: dict[str, Tensor | None], dialect: Dialect) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors under our names, and names that are of no tensor of the net."""
    found, unknown = dict[str, Tensor](), list[str]()
    wanted = expected(dialect.kind)
    for name, tensor in named.items():
        ours = dialect.ours(name)
        if tensor is None or ours not in wanted or ours in found:
            unknown.append(name)
        else:
            found[ours] = tensor
    return found, unknown


def _with_nearest(names: Collection[str], others: Collection[str]) -> list[str]:
    """The names, and beside the first few those of ``others`` that look most like them."""
    pool = [other[:100] for other in list(others)[:1000]]  # no file may make this long
    near = [difflib.get_close_matches(name[:100], pool, ALIKE, cutoff=0.4) for name in list(names)[:ALIKE]]
    told = [f" (nearest: {', '.join(alike)})" if alike else "" for alike in near]
    return [name + told[i] if i < ALIKE else name for i, name in enumerate(names)]


def _listed(names: Collection[str]) -> str:
    first = ", ".join(list(names)[:LISTED]) or "none"
    return f"{first} and {len(names) - LISTED} more" if len(names) > LISTED else first


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _summary(name: str, tensor: Tensor) -> TensorSummary:
    values = tensor.double().flatten()
    finite = values[torch.isfinite(values)]
    known = finite if finite.numel() else torch.tensor([math.nan])
    mean, std, least, most = (float(value) for value in (known.mean(), known.std(correction=0), *known.aminmax()))
    not_finite = values.numel() - finite.numel()
    return TensorSummary(name, tuple(tensor.shape), _dtype(tensor), mean, std, least, most, not_finite)
