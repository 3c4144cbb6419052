"""A pickle reader that runs nothing: tensors become descriptions, every other object an inert record.

No name in a pickle is ever imported. The few calls that rebuild tensors, arrays and dicts are done by
functions of ours; classes of the namespaces in which networks are pickled become placeholders; all other
names are refused.
"""

import mmap
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import IO, ClassVar, NoReturn, cast

from .rebuild import CALLS
from .stored import UnsafePickleError, WeightsError

MAX_OPCODES = 1_000_000
"""A STUNet checkpoint with its optimizer has about 100,000."""
NAMESPACES = frozenset({"torch", "slowfast", "pytorchvideo", "fvcore", "iopath", "yacs"})
"""Packages whose classes may occur in a pickled network or its settings."""
CLASS_NAME = re.compile(r"_*[A-Z]\w*(\._*[A-Z]\w*)*")
"""In those packages only what is spelt as a class may be called; a function may be named."""
INERT_CLASSES = frozenset(
    {("argparse", "Namespace"), ("functools", "partial"), ("torch", "device"), ("collections", "deque")}
)

UNCALLED = frozenset({("numpy", "ndarray")} | {(m, "object") for m in ("builtins", "__builtin__")})
"""Types that stand as arguments only."""

Persistent = Callable[[object], object]
"""Turns a pickle's persistent id (torch: a storage) into an object."""


class Record:
    """A pickled object as it lies in the file: what its class would be given, and nothing of the class."""

    __slots__ = ("appended", "args", "items", "state")
    origin: ClassVar[str] = ""
    """The dotted name in the pickle."""

    args: tuple[object, ...]
    state: object
    items: dict[object, object]
    appended: list[object]

    def __new__(cls, *args: object, **_kwargs: object) -> "Record":
        record = object.__new__(cls)
        record.args, record.state, record.items, record.appended = args, None, {}, []
        return record

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.items[key] = value

    def append(self, value: object) -> None:
        """What a list subclass is filled by."""
        self.appended.append(value)

    def fields(self) -> dict[object, object]:
        """The object's attributes as pickled; empty where its state is of another form."""
        state = self.state[0] if isinstance(self.state, tuple) and self.state else self.state
        return state if isinstance(state, dict) else {}


class UncalledRecord(Record):
    """A function, or a type that only ever stands as an argument: it may be named but not called."""

    __slots__ = ()

    def __new__(cls, *_args: object, **_kwargs: object) -> NoReturn:
        raise UnsafePickleError(f"the pickle calls {cls.origin!r}, which no weight file needs")


def load_pickle(data: mmap.mmap | bytes, start: int = 0, persistent: Persistent | None = None) -> tuple[object, int]:
    """The object pickled at byte ``start`` and the position behind it.

    Strings of Python 2 are read as latin-1. Nothing that the pickle names is imported or called.

    Raises:
        UnsafePickleError: the pickle names something that no weight file needs.
        WeightsError: it is broken.
    """
    file = Bytes(data, start)
    try:
        _scan(file)
        end = file.position
        file.position = start
        return _Unpickler(file, persistent).load(), end
    except WeightsError:
        raise
    except (
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise WeightsError(f"the pickle is broken ({type(error).__name__}: {str(error)[:200]})") from error


class Bytes:
    """Bytes as a file that is read; never asks for more than there is, whatever length a pickle claims."""

    def __init__(self, data: mmap.mmap | bytes, position: int) -> None:
        self._data = data
        self._end = len(data)
        self.position = position

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; all that is left where negative."""
        stop = self._end if size < 0 else min(self._end, self.position + size)
        taken = self._data[self.position : stop]
        self.position = stop
        return taken

    def readline(self) -> bytes:
        """Up to and with the next line feed."""
        found = self._data.find(b"\n", self.position)
        return self.read((found + 1 if found >= 0 else self._end) - self.position)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file; a zip's directory is looked for from the end."""
        self.position = max(0, (0, self.position, self._end)[whence] + offset)
        return self.position

    def tell(self) -> int:
        """The position."""
        return self.position


def _scan(file: Bytes) -> None:
    """Walk the opcodes without executing them, for what the reader itself would take as given."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], file)), start=1):
        if count > MAX_OPCODES:
            raise UnsafePickleError(f"the pickle has more than {MAX_OPCODES:,} opcodes")
        # Extension codes are looked up in a registry of the process, past find_class.
        if opcode.name.startswith("EXT"):
            raise UnsafePickleError(f"the pickle uses the extension opcode {opcode.name}")
        # The memo is an array as long as its largest index, which a pickler counts up from 0.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > count:
            raise UnsafePickleError(f"the pickle numbers its object {count} as {argument}")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Bytes, persistent: Persistent | None) -> None:
        super().__init__(file, encoding="latin-1")
        self._persistent = persistent
        self._records: dict[tuple[str, str], type[Record]] = {}

    def find_class(self, module: str, name: str) -> object:
        """Our stand-in for a global of the pickle. Never imports."""
        known = CALLS.get((module, name))
        if known is not None:
            return known
        if (module, name) not in self._records:
            self._records[module, name] = _record_class(module, name)
        return self._records[module, name]

    def persistent_load(self, pid: object) -> object:
        """A storage of a torch file; other pickles have none."""
        if self._persistent is None:
            raise WeightsError("the pickle refers to storages outside itself")
        return self._persistent(pid)


def _record_class(module: str, name: str) -> type[Record]:
    origin = f"{module}.{name}"[:200]
    known = module.split(".")[0] in NAMESPACES
    if (module, name) not in INERT_CLASSES | UNCALLED and not known:
        raise UnsafePickleError(
            f"the pickle names {origin!r}, which no weight file needs; nothing was run. "
            "Take the file from its authors' own page, or save its state dict alone"
        )
    called = (module, name) in INERT_CLASSES or (known and CLASS_NAME.fullmatch(name))
    parents = (Record,) if called else (UncalledRecord,)
    return type("Record", parents, {"__slots__": (), "origin": origin})
