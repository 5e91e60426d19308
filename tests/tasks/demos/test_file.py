"""Hostile demo files: refused with the reason, before anything large is allocated."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.demos.reader import read_demos, read_provenance
from tasks.demos.start import read_start
from tasks.errors import ConfigError, none_failed
from tests.training.demo_files import write_official
from training.demos.check import check_demo_file
from training.demos.statistics import demo_statistics

ROWS = "data/demo_0/actions"
FRAMES = "data/demo_0/obs/agentview_rgb"


def _replace(file: h5py.File, place: str) -> None:
    del file[place]


def _trillion_rows(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file.create_dataset(ROWS, (10**12, 7), "f8", chunks=(4096, 7), compression="gzip")


def _never_written(file: h5py.File, folder: Path) -> None:
    _replace(file, FRAMES)
    file.create_dataset(
        FRAMES, (40, 2000, 2000, 3), "u1", chunks=(1, 100, 100, 3), compression="gzip", fillvalue=7
    )


def _not_even_allocated(file: h5py.File, folder: Path) -> None:
    _replace(file, FRAMES)
    file.create_dataset(FRAMES, (40, 1000, 1000, 3), "u1")


def _beyond_memory(file: h5py.File, folder: Path) -> None:
    _replace(file, FRAMES)
    file.create_dataset(FRAMES, (40, 60_000, 60_000, 3), "u1", chunks=(1, 64, 64, 3))


def _huge_chunk(file: h5py.File, folder: Path) -> None:
    _replace(file, FRAMES)
    file.create_dataset(
        FRAMES, (40, 48, 48, 3), "u1", chunks=(40_000, 100, 100, 3), maxshape=(None,) * 4
    )


def _soft_link(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file[ROWS] = h5py.SoftLink("/data/demo_1/actions")


def _external_link(file: h5py.File, folder: Path) -> None:
    other = write_official(folder / "other.hdf5")
    _replace(file, ROWS)
    file[ROWS] = h5py.ExternalLink(str(other), ROWS)


def _linked_group(file: h5py.File, folder: Path) -> None:
    other = write_official(folder / "other.hdf5")
    del file["data/demo_0"]
    file["data/demo_0"] = h5py.ExternalLink(str(other), "data/demo_0")


def _external_storage(file: h5py.File, folder: Path) -> None:
    raw = folder / "secret.bin"
    raw.write_bytes(b"\0" * (40 * 7 * 8))
    _replace(file, ROWS)
    file.create_dataset(ROWS, (40, 7), "f8", external=[(str(raw), 0, h5py.h5f.UNLIMITED)])


def _virtual(file: h5py.File, folder: Path) -> None:
    other = write_official(folder / "other.hdf5")
    layout = h5py.VirtualLayout((40, 7), "f8")
    layout[...] = h5py.VirtualSource(str(other), ROWS, (40, 7))
    _replace(file, ROWS)
    file.create_virtual_dataset(ROWS, layout)


def _group_instead(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file.create_group(ROWS)


def _dataset_instead(file: h5py.File, folder: Path) -> None:
    del file["data/demo_0"]
    file["data/demo_0"] = np.zeros(3)


def _whole_numbers(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file[ROWS] = np.zeros((40, 7), np.int64)


def _words(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file.create_dataset(ROWS, (40, 7), h5py.string_dtype())


def _scalar(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file[ROWS] = 3.0


def _no_data(file: h5py.File, folder: Path) -> None:
    _replace(file, ROWS)
    file[ROWS] = h5py.Empty("f8")


def _infinite(file: h5py.File, folder: Path) -> None:
    file[ROWS][7, 3] = np.inf


def _task_is_a_number(file: h5py.File, folder: Path) -> None:
    file["data"].attrs["problem_info"] = 7


def _nested_json(file: h5py.File, folder: Path) -> None:
    file["data"].attrs["problem_info"] = "[" * 20_000


def _unknown_convention(file: h5py.File, folder: Path) -> None:
    file["data"].attrs["obs_convention"] = "sideways"


def _phases_elsewhere(file: h5py.File, folder: Path) -> None:
    file["data/demo_0"].attrs["phases"] = '[{"step": 4000, "kind": "open"}]'


HOSTILE: list[tuple[Callable[[h5py.File, Path], None], str]] = [
    (_trillion_rows, r"shape \(1000000000000, 7\), not \(T, 7\)"),
    (_never_written, "declares 480,000,000 bytes and stores 0"),
    (_not_even_allocated, "declares 120,000,000 bytes and stores 0"),
    (_beyond_memory, "declares 432,000,000,000 bytes"),
    (_huge_chunk, "are allowed"),
    (_soft_link, "is a link"),
    (_external_link, "is a link"),
    (_linked_group, "is a link"),
    (_external_storage, "refers to other files"),
    (_virtual, "refers to other files"),
    (_group_instead, "actions is no dataset"),
    (_dataset_instead, "demo_0"),
    (_whole_numbers, "int64, not floating point"),
    (_words, "object, not floating point"),
    (_scalar, r"shape \(\)"),
    (_no_data, "actions"),
    (_infinite, r"first at \[7, 3\]"),
    (_task_is_a_number, "not JSON|language_instruction"),
    (_nested_json, "not JSON"),
    (_unknown_convention, "'sideways'"),
    (_phases_elsewhere, "outside the 40 steps"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words"), HOSTILE, ids=[each.__name__[1:] for each, _ in HOSTILE]
)
def test_hostile_files_are_refused_before_memory_is_taken(
    tmp_path: Path, damage: Callable[[h5py.File, Path], None], words: str
) -> None:
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        damage(file, tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match=words) as caught:
            list(read_demos(path))
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "Fix:" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not none_failed(check_demo_file(path))


def test_statistics_refuse_what_the_reader_refuses(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        _external_link(file, tmp_path)
    with pytest.raises(ConfigError, match="is a link"):
        demo_statistics(path)


def test_well_compressed_pictures_are_no_bomb(tmp_path: Path) -> None:
    path = write_official(tmp_path / "a.hdf5", demos=1)
    with h5py.File(path, "r+") as file:
        black = np.zeros((40, 256, 256, 3), np.uint8)
        del file[FRAMES]
        file.create_dataset(FRAMES, data=black, compression="gzip", chunks=(40, 256, 256, 3))
        assert file[FRAMES].id.get_storage_size() < black.nbytes / 500
    demo = next(read_demos(path))
    assert demo.images["agentview"].shape == (39, 256, 256, 3)


@pytest.mark.slow
def test_provenance_that_is_none(tmp_path: Path) -> None:
    """Somebody else's note is no fault: every command reads on, and the check says so."""
    path = write_official(tmp_path / "a.hdf5")
    assert read_provenance(path) == {}
    for text in (7, "[1]", "t5", "[" * 20_000):
        with h5py.File(path, "r+") as file:
            file["data"].attrs["provenance"] = text
        assert read_provenance(path) == {}
        assert demo_statistics(path).provenance == {}
        lines = check_demo_file(path)
        assert none_failed(lines)
        (line,) = (each for each in lines if each.name == "attributes")
        assert "provenance is not this project's" in line.detail


@pytest.mark.parametrize(
    "start", ['{"seed": "x"}', '{"state": [1, "y"]}', "[]", '{"state": [NaN]}']
)
def test_a_start_that_makes_no_sense_is_refused(tmp_path: Path, start: str) -> None:
    from tasks.demos.file import open_demo_file

    path = write_official(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["data/demo_0"].attrs["start"] = start
    with open_demo_file(path) as opened, pytest.raises(ConfigError, match="start of demo_0"):
        read_start(opened, "demo_0")
