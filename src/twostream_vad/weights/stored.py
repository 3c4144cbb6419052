"""Tensors that lie in a file: described and checked first, read when asked for."""

import math
import mmap
from typing import NoReturn, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..errors import TsvadError

MAX_ELEMENTS = 1 << 26
"""Of one tensor; STUNet's largest has a quarter. An expanded tensor can claim any size from one value."""
MAX_DIMENSIONS = 8


class WeightsError(TsvadError):
    """A weight file that cannot be read, or does not hold the tensors of one of our nets."""


class UnsafePickleError(WeightsError):
    """A pickle that names what no weight file needs, or would exhaust the machine."""


class Sealed:
    """Made by us while a pickle is read; the pickle cannot set its state."""

    __slots__ = ()

    def __setstate__(self, _state: object) -> NoReturn:
        raise UnsafePickleError(f"the pickle sets the state of a {type(self).__name__}")


class StorageType(Sealed):
    """What ``torch.FloatStorage`` and its like say: the type of the elements."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


STORAGE_TYPES = {
    "FloatStorage": StorageType(torch.float32),
    "DoubleStorage": StorageType(torch.float64),
    "HalfStorage": StorageType(torch.float16),
    "BFloat16Storage": StorageType(torch.bfloat16),
    "LongStorage": StorageType(torch.int64),
    "IntStorage": StorageType(torch.int32),
    "ShortStorage": StorageType(torch.int16),
    "CharStorage": StorageType(torch.int8),
    "ByteStorage": StorageType(torch.uint8),
    "BoolStorage": StorageType(torch.bool),
}


class Blob(Sealed):
    """A run of bytes of the file. In the legacy form its place is known only after the pickle."""

    __slots__ = ("data", "size", "start")

    def __init__(self, data: mmap.mmap, start: int, size: int) -> None:
        self.data, self.start, self.size = data, start, size


class Storage(Sealed):
    """``elements`` values of one type, from element ``first`` of a blob."""

    __slots__ = ("blob", "dtype", "elements", "first")

    def __init__(self, blob: Blob, dtype: torch.dtype, elements: int, first: int = 0) -> None:
        if (first + elements) * dtype.itemsize > blob.size:
            raise WeightsError(f"a storage of {elements} {dtype} has only {blob.size} bytes")
        self.blob, self.dtype, self.elements, self.first = blob, dtype, elements, first


class StoredTensor(Sealed):
    """A strided view of a storage, its bounds checked.

    Raises:
        WeightsError: sizes, strides or offset that are no counts, or lead out of the storage.
        UnsafePickleError: more elements than any tensor of our nets could have.
    """

    __slots__ = ("_offset", "_storage", "_strides", "shape")

    shape: tuple[int, ...]

    def __init__(self, storage: Storage, offset: object, shape: object, strides: object) -> None:
        self.shape, self._strides = counts(shape, "size"), counts(strides, "stride")
        (self._offset,) = counts((offset,), "offset")
        self._storage = storage
        if len(self.shape) != len(self._strides):
            raise WeightsError(f"a tensor of size {self.shape} has strides {self._strides}")
        if self._offset + self._span > storage.elements:
            raise WeightsError(
                f"a tensor of size {self.shape}, strides {self._strides} and offset {self._offset} leads out "
                f"of its storage of {storage.elements} elements"
            )

    @property
    def dtype(self) -> torch.dtype:
        """Of the elements."""
        return self._storage.dtype

    @property
    def _span(self) -> int:
        """Elements of the storage from the tensor's first to its last."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self._strides, strict=True))

    def read(self) -> Tensor:
        """A contiguous tensor of its own memory."""
        if 0 in self.shape:
            return torch.empty(self.shape, dtype=self.dtype)
        blob = self._storage.blob
        start = (self._storage.first + self._offset) * self.dtype.itemsize
        stop = start + self._span * self.dtype.itemsize
        assert stop <= blob.size
        values = torch.frombuffer(bytearray(blob.data[blob.start + start : blob.start + stop]), dtype=self.dtype)
        return values.as_strided(self.shape, self._strides).clone(memory_format=torch.contiguous_format)


class NumpyType(Sealed):
    """A numeric dtype; one with objects, text or fields is refused."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: object) -> None:
        if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"):
            raise UnsafePickleError(f"an array of numpy type {str(code)[:40]!r} is no tensor")
        self._code, self._order = str(code), "="

    def __setstate__(self, state: object) -> None:  # type: ignore[override]
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise WeightsError(f"a numpy type has the byte order {str(order)[:40]!r}")
        self._order = str(order)

    @property
    def numpy(self) -> "np.dtype[np.generic]":
        """As numpy's own."""
        return np.dtype(self._order + self._code)


class Latin1(Sealed):
    """Bytes that the file writes as text; encoded when read, not once for every mention."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class NumpyArray:
    """A pickled array; its state comes after it is made, once."""

    __slots__ = ("_data", "_fortran", "_type", "shape")

    shape: tuple[int, ...]

    def __setstate__(self, state: object) -> None:
        if hasattr(self, "shape"):
            raise UnsafePickleError("the pickle sets the state of an array twice")
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise WeightsError("an array of the pickle has a state of unknown form")
        shape, kind, fortran, data = state[-4:]
        data = data.text if isinstance(data, Latin1) else data
        if not isinstance(kind, NumpyType) or not isinstance(data, bytes | str):
            raise UnsafePickleError("an array of the pickle holds something else than numbers")
        sizes = counts(shape, "size")
        if math.prod(sizes) * kind.numpy.itemsize != len(data):
            raise WeightsError(f"an array of size {sizes} and type {kind.numpy} has {len(data)} bytes")
        self._type, self._fortran, self._data = kind.numpy, fortran is True, data
        self.shape = sizes

    @property
    def dtype(self) -> torch.dtype:
        """Of the elements."""
        return torch.from_numpy(np.empty(0, self._type.newbyteorder("="))).dtype

    def read(self) -> Tensor:
        """A contiguous tensor of its own memory."""
        data = self._data.encode("latin-1") if isinstance(self._data, str) else self._data
        values = np.frombuffer(data, self._type).reshape(self.shape, order="F" if self._fortran else "C")
        return torch.from_numpy(values.astype(self._type.newbyteorder("="), order="C"))


ReadableTensor: TypeAlias = StoredTensor | NumpyArray
"""A tensor of a file, of whichever form: ``shape``, ``dtype`` and ``read()``."""


def counts(values: object, name: str) -> tuple[int, ...]:
    """Sizes, strides or an offset of a file as plain ints; ``WeightsError`` where they are anything else."""
    if not isinstance(values, tuple | list) or not all(type(value) is int and value >= 0 for value in values):
        raise WeightsError(f"a tensor has the {name} {str(values)[:100]}")
    if len(values) > MAX_DIMENSIONS or (name == "size" and math.prod(values) > MAX_ELEMENTS):
        raise UnsafePickleError(f"a tensor has the {name} {str(values)[:100]}, larger than any of our nets")
    return tuple(values)
