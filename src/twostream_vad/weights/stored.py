"""What a pickle of weights may call: functions of ours that rebuild its tensors, within bounds, and its containers."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import TsvadError

MAX_ELEMENTS = 1 << 26  # of one tensor, which, expanded, can claim any size; STUNet's largest has a quarter
MAX_DIMENSIONS = 8
MAX_ARGUMENTS = 16  # kept of a call, for a small pickle could copy one long tuple a million times
NUMPY_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
BUILTINS = ("builtins", "__builtin__")


class WeightsError(TsvadError):
    """A weight file that cannot be read, or does not hold the tensors of one of our nets."""


class UnsafePickleError(WeightsError):
    """A pickle that names what no weight file needs, or would exhaust the machine."""


@contextmanager
def broken(what: str) -> Iterator[None]:
    """A ``WeightsError`` of one line in place of what pickle, torch and others raise on a broken file; not OSError."""
    try:
        yield
    except (WeightsError, OSError):
        raise
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise WeightsError(f"{what} is broken ({type(error).__name__}: {lines[0][:200]})") from error


class Sealed:
    """A dtype, a storage's values or a tensor: the pickle that is read can neither change nor call it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __setstate__(self, _state: object) -> None:
        raise UnsafePickleError(f"the pickle sets the state of a {type(self).__name__}")


class Call(Sealed):
    """A function of ours that pickles call by another name."""

    __slots__ = ()

    def __call__(self, *args: object) -> object:
        return self.value(*args)


class Inert:
    """A pickled object as it lies in the file: what its class would be given, and nothing of the class."""

    __slots__ = ("args", "items", "state")
    origin: ClassVar[str] = ""  # the dotted name in the pickle
    called: ClassVar[bool] = True  # not a function, or a type that stands as an argument only: these are just named
    args: tuple[object, ...]
    state: object
    items: dict[object, object]

    def __new__(cls, *args: object, **_kwargs: object) -> "Inert":
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


class NumpyArray(Sealed):
    """A tensor that is made empty, and filled once by its state."""

    __slots__ = ()

    def __init__(self, *_: object) -> None:
        super().__init__(None)

    def __setstate__(self, state: object) -> None:
        match state:
            case (*_, shape, Inert() as kind, fortran, bytes() | str() as data) if self.value is None:
                shape, stored = _sizes(shape), _numpy_type(kind)
            case _:
                raise UnsafePickleError("an array of the pickle is filled twice, or not with numbers of a numpy type")
        if math.prod(shape) * stored.itemsize != len(data):
            raise WeightsError(f"an array of size {shape} and type {stored} has {len(data)} bytes")
        native = stored.newbyteorder("=")
        values = np.frombuffer(memory(data, 0 if stored == native else stored.itemsize), native)
        self.value = torch.from_numpy(values.reshape(shape, order="F" if fortran is True else "C"))


def _numpy_type(kind: Inert) -> np.dtype[Any]:
    match kind.args, kind.state:
        case (str() as code, *_), (_, "<" | ">" | "|" as order, *_) if code in NUMPY_TYPES:
            return np.dtype(order + code)
    raise UnsafePickleError("an array of the pickle has a numpy type that no tensor has")


@cache
def memory(data: str | bytes, swapped: int) -> bytearray:
    """An array's numbers, of ``swapped`` bytes if their order is another; once, though a million arrays share them."""
    copy = bytearray(data, "latin-1") if isinstance(data, str) else bytearray(data)
    if swapped:
        np.frombuffer(copy, f"u{swapped}").byteswap(inplace=True)
    return copy


def _scalar(kind: object, data: object = b"") -> Sealed:
    array = NumpyArray()
    array.__setstate__(((), kind, False, data))
    return array


def _strided(storage: object, offset: object, shape: object, strides: object, *_: object) -> Sealed:
    values = storage.value if isinstance(storage, Sealed) else None
    if not isinstance(values, Tensor):
        raise WeightsError("a tensor of the pickle has no storage")
    try:
        # Unlike Tensor.set_, which makes the storage longer, this refuses what leads out of it.
        return Sealed(values.as_strided(_sizes(shape), _counts(strides), *_counts((offset,))))
    except RuntimeError as error:
        raise WeightsError(f"a tensor leads out of its storage: {str(error).splitlines()[0]}") from error


def _sizes(values: object) -> tuple[int, ...]:
    shape = _counts(values)
    if len(shape) > MAX_DIMENSIONS or math.prod(shape) > MAX_ELEMENTS:
        raise UnsafePickleError(f"a tensor of size {str(shape)[:100]} is larger than any of our nets")
    return shape


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or not all(type(value) is int and 0 <= value < 1 << 63 for value in values):
        raise WeightsError("a tensor of the pickle has a size, strides or an offset that are no counts")
    return tuple(values)


class PickledDict(dict[object, object]):
    """An OrderedDict or the like. Its attributes (a state dict's ``_metadata``) are dropped."""

    def __setstate__(self, _state: object) -> None:
        pass


def _encode(text: object, encoding: object = "latin1") -> str:
    """How Python 3 writes bytes in protocol 2; they stay text, as those of Python 2 are."""
    if not isinstance(text, str) or encoding != "latin1":
        raise WeightsError("the pickle encodes something else than text as latin1")
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


STORAGES = {name: getattr(torch, name.lower()) for name in ("Float", "Double", "Half", "Long", "Int", "Short", "Bool")}
STORAGES |= {"BFloat16": torch.bfloat16, "Char": torch.int8, "Byte": torch.uint8}
CALLS: dict[tuple[str, str], object] = {  # global of a pickle → what stands for it
    **{("torch._utils", f"_rebuild_tensor{v}"): Call(_strided) for v in ("", "_v2")},
    **{("torch._utils", f"_rebuild_parameter{w}"): Call(lambda data, *_: data) for w in ("", "_with_state")},
    **{(m, f"{name}Storage"): Sealed(dtype) for name, dtype in STORAGES.items() for m in ("torch", "torch.cuda")},
    ("torch.storage", "UntypedStorage"): Sealed(torch.uint8),
    ("torch", "Size"): Call(_sizes),
    **{("collections", name): _taken(PickledDict) for name in ("OrderedDict", "Counter")},
    ("collections", "defaultdict"): Call(lambda *_: PickledDict()),
    ("_codecs", "encode"): Call(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Call(NumpyArray) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Call(_scalar) for core in ("core", "_core")},
    **{(m, of.__name__): _taken(of) for m in BUILTINS for of in (set, frozenset, list)},
    **{(m, "tuple"): _taken(list) for m in BUILTINS},  # not a tuple, which could be a key
    **{(m, "dict"): _taken(PickledDict) for m in BUILTINS},
    **{(m, "bytes"): Call(lambda: b"") for m in BUILTINS},
}
