"""What a saved object is (network, state dict, checkpoint, Caffe2's blobs), and its tensors by name."""

from dataclasses import dataclass

from torch import Tensor

from .pickles import Record
from .stored import Sealed, UnsafePickleError, WeightsError

MAX_MODULES = 10_000
MAX_TENSORS = 100_000
MAX_NAME = 300
CONTAINERS = {"blobs": "Caffe2 blobs", "model_state": "model_state", "model": "checkpoint", "state_dict": "checkpoint"}
"""The key under which a file's dict keeps its tensors → what such a file is called."""


@dataclass(frozen=True)
class Contents:
    """Tensors under the file's own names, less the ``module.`` that DataParallel adds."""

    what: str
    tensors: dict[str, Tensor]
    """They may share memory with one another."""
    others: list[str]
    """Names beside them that hold no tensor."""
    epoch: int | None


def find_tensors(root: object) -> Contents:
    """The tensors of an archive's object.

    Raises:
        WeightsError: neither a network nor a dict.
        UnsafePickleError: more modules or tensors than any network has.
    """
    what, held, epoch = "module object" if isinstance(root, Record) else "state dict", root, None
    if isinstance(root, dict):
        key = next((key for key in CONTAINERS if isinstance(root.get(key), dict | Record)), None)
        if key:
            what, held, epoch = CONTAINERS[key], root[key], root.get("epoch")
    if isinstance(held, Record):
        named = _module_entries(held)
    elif isinstance(held, dict):
        if len(held) > MAX_TENSORS:
            raise UnsafePickleError(f"holds more than {MAX_TENSORS:,} tensors")
        named = {name[:MAX_NAME] if isinstance(name, str) else repr(type(name)): held[name] for name in held}
    else:
        raise WeightsError(f"holds a {type(held).__name__}, where a network or a dict of tensors is expected")
    if all(name.startswith("module.") for name in named):
        named = {name.removeprefix("module."): value for name, value in named.items()}
    tensors = {name: value.value for name, value in named.items() if _is_tensor(value)}
    return Contents(what, tensors, [n for n in named if n not in tensors], epoch if type(epoch) is int else None)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Sealed) and isinstance(value.value, Tensor)


def _module_entries(root: Record) -> dict[str, object]:
    """A pickled network's state dict: its parameters and persistent buffers under dotted names."""
    entries: dict[str, object] = {}
    waiting: list[tuple[str, Record]] = [("", root)]
    visited = 0
    while waiting:
        prefix, module = waiting.pop()
        # Modules may share modules: a small pickle can describe a tree that is endless to walk.
        visited += 1
        if visited > MAX_MODULES or len(entries) > MAX_TENSORS or len(prefix) > MAX_NAME:
            raise UnsafePickleError(f"holds a network of more than {MAX_MODULES:,} modules, or nested too deep")
        transient = module.fields().get("_non_persistent_buffers_set")
        hidden = transient if isinstance(transient, set) else set()
        buffers = {name: value for name, value in _items(module, "_buffers").items() if name not in hidden}
        for name, value in (_items(module, "_parameters") | buffers).items():
            if _is_tensor(value):
                entries[prefix + name] = value
        children = [(f"{prefix}{n}.", m) for n, m in _items(module, "_modules").items() if isinstance(m, Record)]
        waiting.extend(reversed(children))
    return entries


def _items(module: Record, group: str) -> dict[str, object]:
    """One of a module's dicts, which may be of a class of its own."""
    held = module.fields().get(group)
    held = held.items if isinstance(held, Record) else held
    return {name: value for name, value in held.items() if isinstance(name, str)} if isinstance(held, dict) else {}
