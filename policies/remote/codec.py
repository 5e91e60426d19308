"""MessagePack with NumPy arrays, as openpi's client and server write them.

An array is a map with keys of bytes: ``__ndarray__`` (true), ``data`` (its bytes in C order),
``dtype`` (NumPy's string, byte order included) and ``shape``; a NumPy scalar is one with
``__npgeneric__`` instead, whose ``data`` is the number itself.
"""

from typing import Any

import msgpack
import numpy as np

_KINDS = "biuf"
"""Kinds of dtype that travel: truth values, integers and floating-point numbers."""


class CodecError(ValueError):
    """Bytes that are no message."""


def pack(message: Any) -> bytes:
    """Write a message of maps, lists, text, numbers and NumPy arrays.

    Raises:
        CodecError: It holds something else, or an array of no numbers.
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
    try:
        return msgpack.unpackb(data, object_hook=_decode)
    except (ValueError, TypeError, KeyError, msgpack.exceptions.UnpackException) as error:
        raise CodecError(f"{type(error).__name__}: {error}") from error


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
        flat = np.frombuffer(value[b"data"], dtype=_dtype(value))
        return flat.reshape(value[b"shape"]).copy()
    if b"__npgeneric__" in value:
        return _dtype(value).type(value[b"data"])
    return value


def _dtype(value: dict[Any, Any]) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(value[b"dtype"])
    if dtype.kind not in _KINDS:
        raise CodecError(f"an array of dtype {dtype} is not read")
    return dtype
