"""MessagePack with NumPy arrays, as openpi's client and server write them.

Messages come from another machine. One of a few bytes can claim billions of elements or grow a
hundredfold as Python objects, so claims and the number of containers are bounded, an array must
have exactly the bytes that its shape and dtype need, and extension types are refused.

An array is a map with keys of bytes: ``__ndarray__`` (true), ``data`` (its bytes in C order),
``dtype`` (NumPy's string, byte order included) and ``shape``; a NumPy scalar is one with
``__npgeneric__`` instead, whose ``data`` is the number itself.
"""

import math
from typing import Any

import msgpack
import numpy as np

_KINDS = "biuf"
"""Kinds of dtype in messages: truth values, integers and floating-point numbers."""

_MAX_DTYPE_CHARACTERS = 16
_MAX_ELEMENTS = 1 << 16
"""Elements of a list or map."""
_MAX_CONTAINERS = 20_000
"""Lists and maps in a message."""
_UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    msgpack.exceptions.UnpackException,
)
"""Errors from reading bytes that are no message."""


class CodecError(ValueError):
    """Bytes that are no message."""


def pack(message: Any) -> bytes:
    """Write a message of maps, lists, text, numbers and NumPy arrays of numbers.

    Raises:
        CodecError: It holds something else.
    """
    try:
        packed: bytes = msgpack.packb(message, default=_encode)
    except (TypeError, OverflowError) as error:
        raise CodecError(str(error)) from error
    return packed


def unpack(data: bytes) -> Any:
    """Read a message; arrays are new and may be written to.

    Raises:
        CodecError: The bytes are no MessagePack, or an array in them is not whole.
    """
    reader = _Reader()
    try:
        return msgpack.unpackb(
            data,
            object_hook=reader.read_map,
            list_hook=reader.read_list,
            ext_hook=_refuse_extension,
            max_array_len=_MAX_ELEMENTS,
            max_map_len=_MAX_ELEMENTS,
        )
    except _UNREADABLE as error:
        raise CodecError(f"{type(error).__name__}: {error}"[:300]) from error


class _Reader:
    """Counts the containers of one message, innermost first, and reads the arrays among them."""

    def __init__(self) -> None:
        self._containers = 0

    def read_list(self, value: list[Any]) -> list[Any]:
        self._count()
        return value

    def read_map(self, value: dict[Any, Any]) -> Any:
        self._count()
        return _decode(value)

    def _count(self) -> None:
        self._containers += 1
        if self._containers > _MAX_CONTAINERS:
            raise CodecError(f"more than {_MAX_CONTAINERS} lists and maps in a message")


def _refuse_extension(code: int, data: bytes) -> Any:
    raise CodecError(f"extension type {code} is not read")


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    if isinstance(value, np.generic) and value.dtype.kind in _KINDS:
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise CodecError(f"{type(value).__name__} cannot be sent")


def _decode(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" in value:
        dtype, shape, data = _dtype(value), value[b"shape"], value[b"data"]
        if not isinstance(data, bytes):
            raise CodecError(f"an array's data is a {type(data).__name__}, needed bytes")
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise CodecError(f"an array's shape is {shape!r}"[:80])
        if math.prod(shape) * dtype.itemsize != len(data):
            raise CodecError(f"an array of {dtype}, shape {shape}, has {len(data)} bytes"[:200])
        return np.frombuffer(data, dtype=dtype).reshape(shape).copy()
    if b"__npgeneric__" in value:
        number = value[b"data"]
        if not isinstance(number, bool | int | float):
            raise CodecError(f"a number is a {type(number).__name__}")
        return _dtype(value).type(number)
    return value


def _dtype(value: dict[Any, Any]) -> np.dtype[Any]:
    name = value[b"dtype"]
    if not isinstance(name, str) or len(name) > _MAX_DTYPE_CHARACTERS:
        raise CodecError(f"an array's dtype is {name!r}"[:80])
    dtype: np.dtype[Any] = np.dtype(name)
    if dtype.kind not in _KINDS:
        raise CodecError(f"an array of dtype {dtype} is not read")
    return dtype
