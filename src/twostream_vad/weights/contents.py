"""What a saved object is (network, state dict, checkpoint, Caffe2's blobs), and its tensors by name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from .archives import open_archive
from .names import Dialect, find_dialect
from .pickles import Record
from .stored import ReadableTensor, UnsafePickleError, WeightsError

MAX_MODULES = 10_000
MAX_TENSORS = 100_000
CONTAINERS = {
    "blobs": "Caffe2 blobs",
    "model_state": "model_state",
    "model": "checkpoint",
    "state_dict": "checkpoint",
}
"""The key under which a file's dict keeps its tensors → what such a file is called."""


@dataclass(frozen=True)
class Contents:
    """The tensors of an open file under its own names, less the ``module.`` that DataParallel adds."""

    form: str
    tensors: dict[str, ReadableTensor]
    others: list[str]
    """Names beside them that hold no tensor."""
    epoch: int | None
    metadata: dict[str, str]
    dialect: Dialect | None
    """In whose names; None where no net that we know has such tensors."""


@contextmanager
def open_contents(path: Path) -> Iterator[Contents]:
    """What the file holds; its tensors can be read while it is open. Errors as ``open_archive``."""
    with open_archive(path) as archive:
        content, named, epoch = _unwrap(archive.root)
        named = _without_prefix(named)
        tensors = {name: value for name, value in named.items() if _is_tensor(value)}
        others = [name for name in named if name not in tensors]
        form = f"{archive.form}, {content}" if content else archive.form
        yield Contents(form, tensors, others, epoch, archive.metadata, find_dialect(tensors))


def _unwrap(root: object) -> tuple[str, dict[str, object], int | None]:
    """What the object is (nothing to say of a bare dict in safetensors), its entries by name, its epoch."""
    if isinstance(root, Record):
        return "module object", _module_entries(root), None
    if not isinstance(root, dict):
        raise WeightsError(f"holds a {type(root).__name__}, where a network or a dict of tensors is expected")
    for key, content in CONTAINERS.items():
        inner = root.get(key)
        if isinstance(inner, dict | Record):
            epoch = root.get("epoch")
            _, named, _ = _unwrap(inner) if isinstance(inner, Record) else ("", _entries(inner), None)
            return content, named, epoch if type(epoch) is int else None
    return "state dict", _entries(root), None


def _entries(tensors: Mapping[object, object]) -> dict[str, object]:
    if len(tensors) > MAX_TENSORS:
        raise UnsafePickleError(f"holds more than {MAX_TENSORS:,} tensors")
    return {str(name)[:300] if isinstance(name, str) else repr(type(name)): value for name, value in tensors.items()}


def _without_prefix(named: dict[str, object]) -> dict[str, object]:
    if named and all(name.startswith("module.") for name in named):
        return {name.removeprefix("module."): value for name, value in named.items()}
    return named


def _module_entries(root: Record) -> dict[str, object]:
    """A pickled network's state dict: its parameters and persistent buffers under dotted names."""
    entries: dict[str, object] = {}
    waiting: list[tuple[str, Record]] = [("", root)]
    visited = 0
    while waiting:
        prefix, module = waiting.pop()
        # Modules may share modules: a small pickle can describe a tree that is endless to walk.
        visited += 1
        if visited > MAX_MODULES or len(entries) > MAX_TENSORS or len(prefix) > 300:
            raise UnsafePickleError(f"holds a network of more than {MAX_MODULES:,} modules, or nested too deep")
        fields = module.fields()
        transient = fields.get("_non_persistent_buffers_set")
        for group in ("_parameters", "_buffers"):
            for name, value in _items(fields.get(group)):
                kept = group == "_parameters" or not isinstance(transient, set) or name not in transient
                if kept and _is_tensor(value):
                    entries[prefix + name] = value
        children = [(f"{prefix}{name}.", m) for name, m in _items(fields.get("_modules")) if isinstance(m, Record)]
        waiting.extend(reversed(children))
    return entries


def _is_tensor(value: object) -> TypeGuard[ReadableTensor]:
    """An array without a shape was begun by its pickle but never filled."""
    return isinstance(value, ReadableTensor) and hasattr(value, "shape")


def _items(group: object) -> list[tuple[str, object]]:
    """A module's dict, which may be of a class of its own."""
    held = group.items if isinstance(group, Record) else group
    return [(name, value) for name, value in held.items() if isinstance(name, str)] if isinstance(held, dict) else []
