"""The calls that rebuild tensors, arrays and dicts from a pickle, done by functions of ours."""

from collections.abc import Callable
from typing import NoReturn

from .stored import (
    STORAGE_TYPES,
    Latin1,
    NumpyArray,
    NumpyType,
    Storage,
    StoredTensor,
    UnsafePickleError,
    WeightsError,
    counts,
)


class Call:
    """A function of ours that pickles call by another name; they cannot set its attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setstate__(self, _state: object) -> NoReturn:
        raise UnsafePickleError("the pickle sets the state of a function")


class PickledDict(dict[object, object]):
    """An OrderedDict or the like. Its attributes (a state dict's ``_metadata``) are dropped."""

    def __setstate__(self, _state: object) -> None:
        pass


def _rebuild_tensor(storage: object, offset: object, size: object, stride: object, *_more: object) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise WeightsError("a tensor of the pickle has no storage")
    return StoredTensor(storage, offset, size, stride)


def _rebuild_parameter(data: object, *_more: object) -> object:
    return data


def _encode(text: object, encoding: object = "latin1") -> Latin1:
    """How Python 3 writes bytes in protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise WeightsError(f"the pickle encodes {type(text).__name__} as {str(encoding)[:40]!r}")
    return Latin1(text)


def _no_bytes() -> bytes:
    return b""


def _size(sizes: object) -> tuple[int, ...]:
    """torch.Size."""
    return counts(sizes, "size")


def _taken(of: Callable[[list[object]], object]) -> Call:
    """``of`` a list, which is emptied: a small pickle cannot copy one long list a million times."""

    def take(items: object = ()) -> object:
        if items == ():
            return of([])
        if not isinstance(items, list):
            raise WeightsError(f"the pickle makes a {getattr(of, '__name__', 'collection')} of {type(items).__name__}")
        taken = of(items)
        items.clear()
        return taken

    return Call(take)


def _dict(items: object = ()) -> PickledDict:
    """Of a list of pairs (Python 2's OrderedDict) or a dict (a Counter); emptied, as above."""
    if items == ():
        return PickledDict()
    if not isinstance(items, list | dict):
        raise WeightsError(f"the pickle makes a dict of {type(items).__name__}")
    taken = PickledDict(items)
    items.clear()
    return taken


def _default_dict(*_factory: object) -> PickledDict:
    return PickledDict()


def _scalar(kind: object, data: object = b"") -> NumpyArray:
    array = NumpyArray()
    array.__setstate__(((), kind, False, data))
    return array


def _reconstruct(*_type_shape_code: object) -> NumpyArray:
    return NumpyArray()


def _numpy_type(code: object, *_align_copy: object) -> NumpyType:
    return NumpyType(code)


CALLS: dict[tuple[str, str], object] = {
    ("torch._utils", "_rebuild_tensor"): Call(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Call(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Call(_rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Call(_rebuild_parameter),
    ("torch", "Size"): Call(_size),
    ("collections", "OrderedDict"): Call(_dict),
    ("collections", "Counter"): Call(_dict),
    ("collections", "defaultdict"): Call(_default_dict),
    ("_codecs", "encode"): Call(_encode),
    ("numpy", "dtype"): Call(_numpy_type),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Call(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Call(_scalar) for core in ("core", "_core")},
    **{(module, name): dtype for name, dtype in STORAGE_TYPES.items() for module in ("torch", "torch.cuda")},
    ("torch.storage", "UntypedStorage"): STORAGE_TYPES["ByteStorage"],
    **{
        (module, of.__name__): _taken(of)
        for module in ("builtins", "__builtin__")
        for of in (set, frozenset, list, tuple)
    },
    **{(module, "dict"): Call(_dict) for module in ("builtins", "__builtin__")},
    **{(module, "bytes"): Call(_no_bytes) for module in ("builtins", "__builtin__")},
}
