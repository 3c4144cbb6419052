"""Tensors as they lie in a file: checked when it is opened, copied when asked for."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import TsvadError

MAX_ELEMENTS = 1 << 26
"""Of one tensor; STUNet's largest has a quarter. An expanded tensor can claim any size from one value."""
MAX_DIMENSIONS = 8
STORAGE_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


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
    """One value, held by an object of ours while a pickle is read; the pickle can neither change nor call it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __setstate__(self, _state: object) -> NoReturn:
        raise UnsafePickleError(f"the pickle sets the state of a {type(self).__name__}")


class StorageType(Sealed):
    """What ``torch.FloatStorage`` and its like say: the type of the elements."""

    __slots__ = ()

    @property
    def dtype(self) -> torch.dtype:
        """As torch asks for it."""
        found: torch.dtype = self.value
        return found


class Storage(Sealed):
    """All values of a storage, a tensor of one dimension."""

    __slots__ = ()


class StoredTensor(Sealed):
    """A tensor, which may share its values with others of the file.

    Raises:
        UnsafePickleError: more elements than any tensor of our nets could have.
        WeightsError: of a type that weights do not have.
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, values: Tensor) -> None:
        super().__init__(values)
        self.shape, self.dtype = sizes(tuple(values.shape)), values.dtype
        if self.dtype not in STORAGE_TYPES.values():
            raise WeightsError(f"a tensor is of type {self.dtype}")

    def read(self) -> Tensor:
        """A contiguous tensor of its own memory."""
        copy: Tensor = self.value.clone(memory_format=torch.contiguous_format)
        return copy


class NumpyType(Sealed):
    """A numeric dtype of numpy; one with objects, text or fields is refused."""

    __slots__ = ()

    def __init__(self, code: object) -> None:
        if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"):
            raise UnsafePickleError(f"an array of numpy type {str(code)[:40]!r} is no tensor")
        super().__init__(np.dtype(str(code)))

    def __setstate__(self, state: object) -> None:  # type: ignore[override]
        match state:
            case (_, "<" | ">" | "|" | "=" as order, *_):
                self.value = self.value.newbyteorder(order)
            case _:
                raise WeightsError(f"a numpy type has the state {str(state)[:100]}")


class NumpyArray:
    """A pickled array; its state comes after it is made, once."""

    __slots__ = ("_data", "_fortran", "_type", "shape")

    def __setstate__(self, state: object) -> None:
        if hasattr(self, "shape"):
            raise UnsafePickleError("the pickle sets the state of an array twice")
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise WeightsError("an array of the pickle has a state of unknown form")
        shape, kind, fortran, data = state[-4:]
        if not isinstance(kind, NumpyType) or not isinstance(data, bytes | str):
            raise UnsafePickleError("an array of the pickle holds something else than numbers")
        shape = sizes(shape)
        if math.prod(shape) * kind.value.itemsize != len(data):
            raise WeightsError(f"an array of size {shape} and type {kind.value} has {len(data)} bytes")
        self.shape, self._type, self._fortran, self._data = shape, kind.value, fortran is True, data

    @property
    def dtype(self) -> torch.dtype:
        """Of the elements."""
        return torch.from_numpy(np.empty(0, self._type.newbyteorder("="))).dtype

    def read(self) -> Tensor:
        """A contiguous tensor of its own memory."""
        # Encoded here and not before, for a pickle may give one long text to a million arrays.
        data = self._data.encode("latin-1") if isinstance(self._data, str) else self._data
        values = np.frombuffer(data, self._type).reshape(self.shape, order="F" if self._fortran else "C")
        return torch.from_numpy(values.astype(self._type.newbyteorder("="), order="C"))


ReadableTensor: TypeAlias = StoredTensor | NumpyArray
"""A tensor of a file, of whichever form: ``shape``, ``dtype`` and ``read()``."""


def strided(storage: object, offset: object, shape: object, strides: object) -> StoredTensor:
    """A strided view of a storage.

    Raises:
        WeightsError: sizes, strides or offset that are no counts, or lead out of the storage.
        UnsafePickleError: more elements than any tensor of our nets could have.
    """
    if not isinstance(storage, Storage):
        raise WeightsError("a tensor of the pickle has no storage")
    try:
        # Unlike Tensor.set_, which makes the storage longer, this refuses what leads out of it.
        return StoredTensor(storage.value.as_strided(sizes(shape), _counts(strides), *_counts((offset,))))
    except RuntimeError as error:
        raise WeightsError(f"a tensor leads out of its storage: {str(error).splitlines()[0]}") from error


def sizes(values: object) -> tuple[int, ...]:
    """A shape of a file as plain ints. Raises as ``strided``."""
    shape = _counts(values)
    if len(shape) > MAX_DIMENSIONS or math.prod(shape) > MAX_ELEMENTS:
        raise UnsafePickleError(f"a tensor of size {str(shape)[:100]} is larger than any of our nets")
    return shape


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or not all(type(value) is int and 0 <= value < 1 << 63 for value in values):
        raise WeightsError(f"a tensor has the size, strides or offset {str(values)[:100]}")
    return tuple(values)
