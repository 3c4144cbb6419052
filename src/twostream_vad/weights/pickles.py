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

from .stored import BUILTINS, CALLS, UnsafePickleError, WeightsError, broken, memory

MAX_OPCODES = 1_000_000
"""A STUNet checkpoint with its optimizer has about 100,000."""
MAX_ARGUMENTS = 16
"""Kept of a call, for a small pickle could copy one long tuple a million times."""
NAMESPACES = frozenset({"torch", "slowfast", "pytorchvideo", "fvcore", "iopath", "yacs"})
"""Packages whose classes may occur in a pickled network or its settings."""
CLASS_NAME = re.compile(r"_*[A-Z]\w*(\._*[A-Z]\w*)*")
"""In those packages only what is spelt as a class may be called; a function may be named."""
INERT = {("argparse", "Namespace"), ("functools", "partial"), ("torch", "device"), ("collections", "deque")}
UNCALLED = {("numpy", "ndarray"), *((m, "object") for m in BUILTINS)}
"""Types that stand as arguments only."""
TUPLES = pickle.TUPLE + pickle.TUPLE1 + pickle.TUPLE2 + pickle.TUPLE3
REFUSED = pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.BYTEARRAY8 + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
"""Extension codes name globals past ``find_class``; a bytearray is made as long as its pickle says."""


class Record:
    """A pickled object as it lies in the file: what its class would be given, and nothing of the class."""

    __slots__ = ("args", "items", "state")
    origin: ClassVar[str] = ""
    """The dotted name in the pickle."""
    called: ClassVar[bool] = True
    """False for a function, or a type that only ever stands as an argument: it may be named but not called."""

    args: tuple[object, ...]
    state: object
    items: dict[object, object]

    def __new__(cls, *args: object, **_kwargs: object) -> "Record":
        if not cls.called:
            raise UnsafePickleError(f"the pickle calls {cls.origin!r}, which no weight file needs")
        record = object.__new__(cls)
        record.args, record.state, record.items = args[:MAX_ARGUMENTS], None, {}
        return record

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.items[key] = value

    def append(self, value: object) -> None:
        """What a list subclass is filled by; no network keeps its tensors in one."""

    def fields(self) -> dict[object, object]:
        """The object's attributes as pickled; empty where its state is of another form."""
        state = self.state[0] if isinstance(self.state, tuple) and self.state else self.state
        return state if isinstance(state, dict) else {}


def load_pickle(file: IO[bytes] | mmap.mmap, persistent: Callable[[object], object] | None = None) -> object:
    """The object pickled from the file's position on; the position is then behind it.

    Strings of Python 2 are read as latin-1. Nothing that the pickle names is imported or called.

    Args:
        persistent: turns a persistent id (torch: a storage) into an object; without it there must be none.

    Raises:
        UnsafePickleError: the pickle names something that no weight file needs.
        WeightsError: it is broken.
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
def _record_class(module: str, name: str) -> type[Record]:
    origin = f"{module}.{name}"[:200]
    known = module.split(".")[0] in NAMESPACES
    if (module, name) not in INERT | UNCALLED and not known:
        raise UnsafePickleError(
            f"the pickle names {origin!r}, which no weight file needs; nothing was run. "
            "Take the file from its authors' own page, or save its state dict alone"
        )
    called = (module, name) in INERT or (known and CLASS_NAME.fullmatch(name) is not None)
    return type("Record", (Record,), {"__slots__": (), "origin": origin, "called": called})
