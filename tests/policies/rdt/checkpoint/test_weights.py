"""Weight files of strangers: damaged, foreign or hostile ones are refused, and never run."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from policies.rdt.checkpoint.official import export_official, load_official
from policies.rdt.checkpoint.weights import nonfinite_tensors, open_weights
from tasks.errors import ConfigError, HarnessError, SpecMismatchError
from tests.policies.rdt.checkpoint.official_files import assert_same, build_model, write_deepspeed

BIN, SAFE = "pytorch_model.bin", "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint whose weights the test replaces."""
    return export_official(tmp_path / "ckpt", build_model())


def refuse(source: Path, *words: str, kind: type[HarnessError] = ConfigError) -> None:
    with pytest.raises(kind) as caught:
        load_official(source)
    message = str(caught.value)
    assert "\n" not in message
    assert "Fix:" in message
    assert len(message) < 900
    for word in words:
        assert word in message


class Hostile:
    """A pickle of this runs a command when it is read as pickles are."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Appears if a hostile file was run; shown to work by running it once on purpose."""
    mark = tmp_path / "it-ran"
    pickle.loads(pickle.dumps(Hostile(mark)))
    assert mark.exists()
    mark.unlink()
    return mark


@pytest.mark.parametrize("place", ["beside", "key", "module"])
def test_a_hostile_archive_does_not_run(folder: Path, mark: Path, place: str) -> None:
    state: dict[Any, Any] = dict(build_model().state_dict())
    contents = {
        "beside": state | {"extra": Hostile(mark)},
        "key": {"weights": [Hostile(mark)]},
        "module": {"module": state, "ds_config": Hostile(mark)},
    }
    torch.save(contents[place], folder / BIN)
    refuse(folder, "posix system", "nothing in it was run")
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_hostile_plain_pickle_does_not_run(folder: Path, mark: Path, protocol: int) -> None:
    (folder / BIN).write_bytes(pickle.dumps({"a": Hostile(mark)}, protocol=protocol))
    refuse(folder, "not a PyTorch file")
    assert not mark.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_hostile_programs_of_any_protocol(folder: Path, mark: Path, protocol: int) -> None:
    with zipfile.ZipFile(folder / BIN, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"a": Hostile(mark)}, protocol=protocol))
        archive.writestr("a/version", "3\n")
        archive.writestr("a/byteorder", "little")
    refuse(folder, "it asks for")
    assert not mark.exists()


def test_a_hostile_deepspeed_file_does_not_run(tmp_path: Path, mark: Path) -> None:
    path = write_deepspeed(tmp_path / "ckpt", build_model())
    torch.save({"module": build_model().state_dict(), "client": Hostile(mark)}, path)
    refuse(path, "posix system")
    assert not mark.exists()


def test_memory_hungry_programs_are_refused(folder: Path) -> None:
    # bytearray(10**12) is among what torch's own restricted reader would build.
    program = b"\x80\x02c__builtin__\nbytearray\n\x8a\x06" + (10**12).to_bytes(6, "little")
    with zipfile.ZipFile(folder / BIN, "w") as archive:
        archive.writestr("a/data.pkl", program + b"\x85R.")
    refuse(folder, "__builtin__ bytearray")


@pytest.mark.slow
def test_compressed_archives_are_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / BIN, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x00" * 50_000_000)
    refuse(folder, "compressed")
    with zipfile.ZipFile(folder / BIN, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuse(folder, "not one of weights")


def test_tables_blown_up_from_one_number(folder: Path) -> None:
    state = build_model().state_dict()
    state["state_adaptor.2.weight"] = torch.zeros(1).expand(64, 64)
    state["lang_adaptor.2.weight"] = torch.zeros(1).expand(2**20, 2**20)
    torch.save(state, folder / BIN)
    refuse(folder, "claims")


@pytest.mark.parametrize(
    "contents",
    [[1, 2], {"state": {"a": torch.ones(2)}}, {"a": 3}, {1: torch.ones(2)}, torch.ones(3)],
    ids=["list", "nested", "number", "unnamed", "tensor"],
)
def test_pickles_of_something_else(folder: Path, contents: Any) -> None:
    torch.save(contents, folder / BIN)
    refuse(folder, "something else than tensors by name")


@pytest.mark.parametrize("name", [BIN, SAFE])
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_cut_files(folder: Path, name: str, keep: float) -> None:
    (folder / BIN).unlink()
    path = export_official(
        folder.parent / "whole",
        build_model(),
        file_format="pytorch" if name == BIN else "safetensors",
    )
    whole = (path / name).read_bytes()
    (folder / name).write_bytes(whole[: int(len(whole) * keep)])
    refuse(folder, name)


@pytest.mark.parametrize("name", [BIN, SAFE])
def test_files_of_another_kind(folder: Path, name: str) -> None:
    (folder / BIN).unlink()
    for data in (b"\x7fELF" * 100, b"<html>not found</html>", b"version https://git-lfs\n" * 3):
        (folder / name).write_bytes(data)
        refuse(folder, name)


def test_weights_of_torch_before_archives(folder: Path) -> None:
    torch.save(build_model().state_dict(), folder / BIN, _use_new_zipfile_serialization=False)
    refuse(folder, "before 1.6")


def header(entries: dict[str, Any], data: bytes = b"\x00" * 64) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 10**9) + b"{}",
        header({"a": entry(0, 32, [8]), "b": entry(16, 48, [8])}),
        header({"a": entry(0, 10**12, [250_000_000_000])}),
        header({"a": entry(0, 64, [2**62, 2**62])}),
        header({"a": entry(32, 16, [4])}),
        header({"a": entry(0, 64, [-4, -4])}),
        header({"a": entry(0, 64, [7])}),
        header({"a": entry(0, 32, [8])}),
        header({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}),
        struct.pack("<Q", 4) + b"\xff\xfe{}",
    ],
    ids=[
        "length",
        "long-header",
        "overlap",
        "beyond-the-file",
        "overflow",
        "backwards",
        "negative",
        "shape-unlike-bytes",
        "bytes-left-over",
        "dtype",
        "not-text",
    ],
)
def test_hostile_safetensors_headers(folder: Path, data: bytes) -> None:
    (folder / BIN).unlink()
    (folder / SAFE).write_bytes(data)
    refuse(folder, SAFE)


@pytest.mark.parametrize("name", [BIN, SAFE])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.float8_e4m3fn])
def test_weights_that_are_no_floats(folder: Path, name: str, dtype: torch.dtype) -> None:
    state = build_model().state_dict()
    state["lang_adaptor.0.weight"] = torch.ones(64, 24).to(dtype)
    (folder / BIN).unlink()
    if name == SAFE:
        save_file(state, folder / name)
    else:
        torch.save(state, folder / name)
    # Pickled 8-bit floats are told by their storage, before anything is built.
    refuse(folder, "Fix:")


@pytest.mark.parametrize("name", [BIN, SAFE])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(folder: Path, name: str, value: float) -> None:
    state = build_model().state_dict()
    state["model.blocks.1.attn.qkv.bias"][7] = value
    if name == SAFE:
        save_file(state, folder / name)
    else:
        torch.save(state, folder / name)
    refuse(folder, "model.blocks.1.attn.qkv.bias", "NaN or infinity", kind=SpecMismatchError)
    assert nonfinite_tensors(open_weights(folder / name)) == ["model.blocks.1.attn.qkv.bias"]


def test_weights_beyond_the_range_of_the_dtype(tmp_path: Path) -> None:
    model = build_model(dtype=torch.float32)
    with torch.no_grad():
        model.state_adaptor[0].bias[0] = 1e6
    folder = export_official(tmp_path / "out", model)
    assert_same(load_official(folder), model.state_dict())
    with pytest.raises(SpecMismatchError, match="as float16"):
        load_official(folder, dtype=torch.float16)


def test_looking_reads_no_numbers(folder: Path) -> None:
    stored = open_weights(folder / BIN)
    assert stored.kind == "pytorch"
    assert stored.shapes["model.x_pos_embed"] == (1, 11, 64)
    assert set(stored.dtypes.values()) == {"bfloat16"}
    assert stored.read("model.x_pos_embed").shape == (1, 11, 64)
