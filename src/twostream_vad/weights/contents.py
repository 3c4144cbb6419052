"""What a saved object is (network, state dict, checkpoint, Caffe2's blobs), and its tensors by name."""

import re

from torch import Tensor

from .stored import Inert, Sealed, UnsafePickleError, WeightsError

MAX_MODULES = 10_000
MAX_TENSORS = 100_000
MAX_NAME = 300
# The key under which a file's dict keeps its tensors → what such a file is called.
CONTAINERS = {"blobs": "Caffe2 blobs", "model_state": "model_state"}
CONTAINERS |= dict.fromkeys(("model", "state_dict", "model_state_dict"), "checkpoint")
# What wrappers put into the names: DataParallel before all, Lightning and others their attribute for the net; and
# torch.compile before the names of whatever was compiled, which may be a part.
WRAPPERS = re.compile(r"^((module|model|net|_orig_mod)\.)+|\b_orig_mod\.")


def find_tensors(root: object) -> tuple[str, dict[str, Tensor | None], int | None]:
    """What an archive's object is, its tensors, and its epoch if it is a training checkpoint.

    The tensors are under their own names, less what `WRAPPERS` put in, which the first says, and may share memory with
    one another; None stands where a name is of something else. WeightsError for what is neither a network nor a dict;
    UnsafePickleError for more modules or tensors than any network has.
    """
    what, held, epoch = "module object" if isinstance(root, Inert) else "state dict", root, None
    if isinstance(root, dict):
        key = next((key for key in CONTAINERS if isinstance(root.get(key), dict | Inert)), None)
        if key:
            what, held, epoch = CONTAINERS[key], root[key], root.get("epoch")
    if isinstance(held, Inert):
        named = _module_entries(held)
    elif isinstance(held, dict):
        if len(held) > MAX_TENSORS:
            raise UnsafePickleError(f"holds more than {MAX_TENSORS:,} tensors")
        named = {n[:MAX_NAME] if isinstance(n, str) else repr(type(n)): _tensor(value) for n, value in held.items()}
    else:
        raise WeightsError(f"holds a {type(held).__name__}, where a network or a dict of tensors is expected")
    plain, stripped = _unwrapped(named)
    what += f" (names without {' and '.join(stripped)})" if stripped else ""
    return what, plain, epoch if type(epoch) is int else None


def _unwrapped(named: dict[str, Tensor | None]) -> tuple[dict[str, Tensor | None], list[str]]:
    """The tensors without the wrappers' words in their names, and these words; a name that would be another's stays."""
    plain, stripped = dict[str, Tensor | None](), dict[str, None]()
    for name, tensor in named.items():
        short = WRAPPERS.sub("", name)
        if short != name and short not in named and short not in plain:
            stripped |= dict.fromkeys(match[0] for match in WRAPPERS.finditer(name))
            name = short
        plain[name] = tensor
    return plain, list(stripped)[:3]


def _tensor(value: object) -> Tensor | None:
    return value.value if isinstance(value, Sealed) and isinstance(value.value, Tensor) else None


def _module_entries(root: Inert) -> dict[str, Tensor | None]:
    """A pickled network's state dict: its parameters and persistent buffers under dotted names."""
    entries: dict[str, Tensor | None] = {}
    waiting: list[tuple[str, Inert]] = [("", root)]
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
            if (tensor := _tensor(value)) is not None:
                entries[prefix + name] = tensor
        children = [(f"{prefix}{n}.", m) for n, m in _items(module, "_modules").items() if isinstance(m, Inert)]
        waiting.extend(reversed(children))
    return entries


def _items(module: Inert, group: str) -> dict[str, object]:
    """One of a module's dicts, which may be of a class of its own."""
    held = module.fields().get(group)
    held = held.items if isinstance(held, Inert) else held
    return {name: value for name, value in held.items() if isinstance(name, str)} if isinstance(held, dict) else {}
