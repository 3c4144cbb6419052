"""A pickle reader that runs nothing: tensors are rebuilt by functions of ours, every other object is an inert record.

No name in a pickle is ever imported. Classes of the namespaces in which networks are pickled become placeholders;
what weights need is in ``CALLS``; all other names are refused.
"""

import pickle
import pickletools
import re
from collections.abc import Callable
from typing import IO, ClassVar, NoReturn

from .stored import (
    STORAGE_TYPES,
    NumpyArray,
    NumpyType,
    Sealed,
    StorageType,
    UnsafePickleError,
    WeightsError,
    broken,
    sizes,
    strided,
)

MAX_OPCODES = 1_000_000
"""A STUNet checkpoint with its optimizer has about 100,000."""
MAX_NESTING = 1_000
"""Tuples in one another; a network's are a few for each of its levels."""
NAMESPACES = frozenset({"torch", "slowfast", "pytorchvideo", "fvcore", "iopath", "yacs"})
"""Packages whose classes may occur in a pickled network or its settings."""
CLASS_NAME = re.compile(r"_*[A-Z]\w*(\._*[A-Z]\w*)*")
"""In those packages only what is spelt as a class may be called; a function may be named."""
INERT_CLASSES = frozenset(
    {("argparse", "Namespace"), ("functools", "partial"), ("torch", "device"), ("collections", "deque")}
)
BUILTINS = ("builtins", "__builtin__")
UNCALLED = frozenset({("numpy", "ndarray")} | {(m, "object") for m in BUILTINS})
"""Types that stand as arguments only."""


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


def load_pickle(file: IO[bytes], persistent: Callable[[object], object] | None = None) -> object:
    """The object pickled from the file's position on; the position is then behind it.

    Strings of Python 2 are read as latin-1. Nothing that the pickle names is imported or called.

    Args:
        file: seekable.
        persistent: turns a persistent id (torch: a storage) into an object; without it there must be none.

    Raises:
        UnsafePickleError: the pickle names something that no weight file needs.
        WeightsError: it is broken.
    """
    with broken("the pickle"):
        start = file.tell()
        _scan(file)
        file.seek(start)
        return _Unpickler(file, persistent).load()


def _scan(file: IO[bytes]) -> None:
    """Walk the opcodes without executing them, for what the reader itself would take as given."""
    nesting = _Nesting()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file), start=1):
        if count > MAX_OPCODES:
            raise UnsafePickleError(f"the pickle has more than {MAX_OPCODES:,} opcodes")
        # Extension codes are looked up in a registry of the process, past find_class.
        if opcode.name.startswith("EXT"):
            raise UnsafePickleError(f"the pickle uses the extension opcode {opcode.name}")
        # The memo is an array as long as its largest index, which a pickler counts up from 0.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(argument, int) and argument > count:
            raise UnsafePickleError(f"the pickle numbers its object {count} as {argument}")
        if nesting.after(opcode, argument) > MAX_NESTING:
            raise UnsafePickleError(f"the pickle holds more than {MAX_NESTING:,} tuples in one another")


class _Nesting:
    """How deep tuples lie in one another: Python hashes them without a bound, until the stack of C overflows."""

    def __init__(self) -> None:
        self._stack: list[int] = []  # the nesting of each object, -1 for a mark
        self._memo: dict[object, int] = {}

    def after(self, opcode: pickletools.OpcodeInfo, argument: object) -> int:
        """The nesting of what the opcode leaves on the stack."""
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
            return 0
        before, taken = opcode.stack_before, [0]
        if pickletools.markobject in before:
            while (top := self._stack.pop()) >= 0:
                taken.append(top)
            before = before[: before.index(pickletools.markobject)]
        taken += [self._stack.pop() for _ in before]
        depth = max(taken) + opcode.name.startswith("TUPLE")
        if opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            depth = self._memo.get(argument, 0)
        self._stack += [-1 if kind is pickletools.markobject else depth for kind in opcode.stack_after]
        return depth


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], persistent: Callable[[object], object] | None) -> None:
        super().__init__(file, encoding="latin-1")
        self._persistent = persistent
        self._records: dict[tuple[str, str], type[Record]] = {}

    def find_class(self, module: str, name: str) -> object:
        """Our stand-in for a global of the pickle. Never imports."""
        if (module, name) in CALLS:
            return CALLS[module, name]
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


class Call(Sealed):
    """A function of ours that pickles call by another name."""

    __slots__ = ()

    def __call__(self, *args: object) -> object:
        return self.value(*args)


class PickledDict(dict[object, object]):
    """An OrderedDict or the like. Its attributes (a state dict's ``_metadata``) are dropped."""

    def __setstate__(self, _state: object) -> None:
        pass


def _encode(text: object, encoding: object = "latin1") -> str:
    """How Python 3 writes bytes in protocol 2; they stay text, as those of Python 2 are."""
    if not isinstance(text, str) or encoding != "latin1":
        raise WeightsError(f"the pickle encodes {type(text).__name__} as {str(encoding)[:40]!r}")
    return text


def _taken(of: Callable[..., object]) -> Call:
    """``of`` a list or dict, which is emptied: a small pickle cannot copy one long list a million times."""

    def take(items: object = ()) -> object:
        if items == ():
            return of()
        if not isinstance(items, list | dict):
            raise WeightsError(f"the pickle makes a collection of {type(items).__name__}")
        taken = of(items)
        items.clear()
        return taken

    return Call(take)


def _scalar(kind: object, data: object = b"") -> NumpyArray:
    array = NumpyArray()
    array.__setstate__(((), kind, False, data))
    return array


CALLS: dict[tuple[str, str], object] = {
    **{("torch._utils", f"_rebuild_tensor{v}"): Call(lambda *args: strided(*args[:4])) for v in ("", "_v2")},
    **{("torch._utils", f"_rebuild_parameter{w}"): Call(lambda data, *_: data) for w in ("", "_with_state")},
    **{(m, name): StorageType(dtype) for name, dtype in STORAGE_TYPES.items() for m in ("torch", "torch.cuda")},
    ("torch.storage", "UntypedStorage"): StorageType(STORAGE_TYPES["ByteStorage"]),
    ("torch", "Size"): Call(sizes),
    ("collections", "OrderedDict"): _taken(PickledDict),
    ("collections", "Counter"): _taken(PickledDict),
    ("collections", "defaultdict"): Call(lambda *_: PickledDict()),
    ("_codecs", "encode"): Call(_encode),
    ("numpy", "dtype"): Call(lambda code, *_: NumpyType(code)),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Call(lambda *_: NumpyArray()) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Call(_scalar) for core in ("core", "_core")},
    **{(m, of.__name__): _taken(of) for m in BUILTINS for of in (set, frozenset, list)},
    **{(m, "tuple"): _taken(list) for m in BUILTINS},  # not a tuple, whose nesting would not be counted
    **{(m, "dict"): _taken(PickledDict) for m in BUILTINS},
    **{(m, "bytes"): Call(lambda: b"") for m in BUILTINS},
}
