"""A pickle reader that runs nothing: tensors are rebuilt by functions of ours, every other object is an inert record.

No name in a pickle is ever imported. Classes of the namespaces in which networks are pickled become placeholders;
what weights need is in ``CALLS``; all other names are refused.
"""

import mmap
import pickle
import re
from collections.abc import Callable
from functools import lru_cache
from typing import IO, Any, ClassVar

from .stored import BUILTINS, CALLS, Inert, UnsafePickleError, WeightsError, broken, memory

MAX_OPCODES = 1_000_000  # a STUNet checkpoint with its optimizer has about 100,000
# Packages whose classes may occur in a pickled network or its settings. Their functions may be named, not called.
NAMESPACES = frozenset({"torch", "slowfast", "pytorchvideo", "fvcore", "iopath", "yacs"})
NAMESPACES |= {"lightning", "lightning_fabric", "pytorch_lightning"}  # a checkpoint's settings
CLASS_NAME = re.compile(r"_*[A-Z]\w*(\._*[A-Z]\w*)*")
INERT = {("argparse", "Namespace"), ("collections", "deque"), ("functools", "partial"), ("numpy", "dtype")}
UNCALLED = {("numpy", "ndarray"), *((m, "object") for m in BUILTINS)}  # types that stand as arguments only
TUPLES = pickle.TUPLE + pickle.TUPLE1 + pickle.TUPLE2 + pickle.TUPLE3
REFUSED = pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.BYTEARRAY8 + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
"""Extension codes name globals past ``find_class``; a bytearray is made as long as its pickle says."""


def load_pickle(file: IO[bytes] | mmap.mmap, persistent: Callable[[object], object] | None = None) -> object:
    """The object pickled from the file's position on; the position is then behind it.

    Strings of Python 2 are read as latin-1. Nothing that the pickle names is imported or called. ``persistent`` turns
    a persistent id (torch: a storage) into an object; without it there must be none. UnsafePickleError where the
    pickle names something that no weight file needs, WeightsError where it is broken.
    """
    with broken("the pickle"):
        try:
            return _Unpickler(file, persistent).load()
        finally:
            memory.cache_clear()


class _Tuple(tuple[object, ...]):
    """As a key it holds no further ones: Python hashes those without a bound, until the stack of C overflows."""

    __slots__ = ()

    def __hash__(self) -> int:
        if any(isinstance(item, _Tuple) for item in self):
            raise UnsafePickleError("the pickle has a key of tuples in one another")
        return super().__hash__()


def _bounded(opcode: int, load: Callable[[Any], None]) -> Callable[[Any], None]:
    """What pickle does at an opcode, within our bounds."""

    def step(unpickler: Any) -> None:
        unpickler.opcodes += 1
        if unpickler.opcodes > MAX_OPCODES:
            raise UnsafePickleError(f"the pickle has more than {MAX_OPCODES:,} opcodes")
        if opcode in REFUSED:
            raise UnsafePickleError(f"the pickle uses the opcode {opcode:#x}, which no weight file needs")
        load(unpickler)
        if opcode in TUPLES:
            unpickler.stack[-1] = _Tuple(unpickler.stack[-1])

    return step


class _Unpickler(pickle._Unpickler):
    """Pickle's reader in Python; the one in C has no place to count, and makes a memo as long as a pickle says."""

    dispatch: ClassVar = {opcode: _bounded(opcode, load) for opcode, load in pickle._Unpickler.dispatch.items()}
    opcodes = 0

    def __init__(self, file: IO[bytes] | mmap.mmap, persistent: Callable[[object], object] | None) -> None:
        super().__init__(file, encoding="latin-1")
        self._persistent = persistent

    def find_class(self, module: str, name: str) -> object:
        return CALLS.get((module, name)) or _record_class(module, name)

    def persistent_load(self, pid: object) -> object:
        if self._persistent is None:
            raise WeightsError("the pickle refers to storages outside itself")
        return self._persistent(pid)


@lru_cache(1000)
def _record_class(module: str, name: str) -> type[Inert]:
    origin = f"{module}.{name}"[:200]
    known = module.split(".")[0] in NAMESPACES
    if (module, name) not in INERT | UNCALLED and not known:
        raise UnsafePickleError(
            f"the pickle names {origin!r}, which no weight file needs; nothing was run. "
            "Take the file from its authors' own page, or save its state dict alone"
        )
    called = (module, name) in INERT or (known and CLASS_NAME.fullmatch(name) is not None)
    return type("Inert", (Inert,), {"__slots__": (), "origin": origin, "called": called})
