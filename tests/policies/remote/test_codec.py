"""The wire format, byte for byte."""

import msgpack
import numpy as np
import pytest

from policies.remote.codec import CodecError, pack, unpack

# {"a": array([[1, 2]], dtype=uint8)}, written by hand from the MessagePack specification: fixmap of
# 1, str "a", fixmap of 4; keys are bin 8; true; bin 8 of 2 bytes; str "|u1"; array of 2 numbers.
BYTES = bytes.fromhex(
    "81 a161 84"
    "c40b 5f5f6e6461727261795f5f c3"
    "c404 64617461 c402 0102"
    "c405 6474797065 a3 7c7531"
    "c405 7368617065 92 01 02"
)


def test_an_array_on_the_wire() -> None:
    assert pack({"a": np.array([[1, 2]], dtype=np.uint8)}) == BYTES
    array = unpack(BYTES)["a"]
    assert (array.dtype, array.tolist()) == (np.uint8, [[1, 2]])
    array[0, 0] = 7  # it is the reader's own


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "float32", ">f8", "float16"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (5,), (), (0, 7)])
def test_arrays_come_back(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).uniform(0, 9, shape).astype(dtype)
    back = unpack(pack({"x": [array]}))["x"][0]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


def test_other_values_come_back_and_arrays_need_not_be_contiguous() -> None:
    turned = np.arange(12).reshape(3, 4)[::-1, ::-1].T
    message = {"prompt": "öffne", "n": [1, 2.5, None, True], "x": turned, "y": np.float32(0.5)}
    back = unpack(pack(message))
    np.testing.assert_array_equal(back.pop("x"), turned)
    y = back.pop("y")
    assert (type(y), y) == (np.float32, 0.5)
    assert back == {"prompt": "öffne", "n": [1, 2.5, None, True]}


@pytest.mark.parametrize("value", [object(), np.array(["a"]), np.array([None]), {1, 2}, 1j])
def test_what_cannot_be_sent_is_refused(value: object) -> None:
    with pytest.raises(CodecError):
        pack({"x": value})


def array_map(**changes: object) -> bytes:
    whole = {"__ndarray__": True, "data": b"\0" * 8, "dtype": "<f8", "shape": [1]} | changes
    return msgpack.packb({k.encode(): v for k, v in whole.items() if v is not None})


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"Hello",
        BYTES[:-3],
        BYTES + b"\0",
        array_map(shape=[2]),
        array_map(dtype="|O"),
        array_map(dtype="nonsense"),
        array_map(dtype=None),
        array_map(data=b"\0" * 7),
        array_map(data=None),
        array_map(dtype=["f8"]),
        array_map(dtype="f8," * 1000),
        array_map(dtype="(99999999,)f8"),
        array_map(shape=[-1]),
        array_map(shape=[1 << 40]),
        array_map(shape=[True]),
        array_map(shape=1),
        array_map(shape=[1 << 62, 0]),
        array_map(shape=[1] * 100),
        array_map(data="12345678"),
        msgpack.packb({b"__npgeneric__": True, b"data": 300, b"dtype": "|i1"}),
        msgpack.packb({b"__npgeneric__": True, b"data": [1, 2], b"dtype": "<f8"}),
        msgpack.packb({b"__npgeneric__": True, b"data": "1e5", b"dtype": "<f8"}),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb([[]] * 30_000),  # a hundred times its bytes in memory
        msgpack.packb([{}] * 30_000),
        msgpack.packb([0] * 70_000),
        b"\xdd\xff\xff\xff\xff" * 1000,  # each claims four billion elements
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 5000 + b"\x01",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        unpack(data)
