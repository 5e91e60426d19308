"""Official demos through the hub's client: what is asked of it, and what its failures mean."""

import errno
import shutil
from pathlib import Path

import h5py
import huggingface_hub
import pytest
from huggingface_hub.hf_api import RepoFile

from harness.demonstrations.download import REPOSITORY, download_demos
from tasks.demos.reader import read_demos
from tasks.errors import ConfigError, PrerequisiteError
from tasks.suites import find_task
from tests.training.demo_files import write_official

TASKS = [find_task("libero_object", 0), find_task("libero_spatial", 4)]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch):
    """A hub that has one file, under every name; it notes what it is asked."""
    whole = write_official(tmp_path / "hub.hdf5")
    asked: list[tuple[str, str, str]] = []

    def fetch(repository: str, name: str, *, repo_type: str, local_dir: Path) -> str:
        asked.append((repository, name, repo_type))
        path = Path(local_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(whole, path)
        return str(path)

    class Api:
        def get_paths_info(self, repository: str, paths: list[str], *, repo_type: str) -> list:
            size = whole.stat().st_size
            return [RepoFile(path=path, size=size, oid="") for path in paths]

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return asked


def test_what_is_there_is_not_fetched_again(hub, tmp_path: Path) -> None:
    out = tmp_path / "demos"
    first = download_demos(TASKS[:1], out)
    both = download_demos(TASKS, out)
    assert hub == [(REPOSITORY, task.demo_file, "dataset") for task in TASKS]
    assert [each.before for each in first + both] == [False, True, False]
    assert [each.path for each in both] == [out / task.demo_file for task in TASKS]
    assert len(list(read_demos(both[0].path))) == 2


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10_000)


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 10)


def _fewer(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["data/demo_1"]


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_cut, "truncated"),
        (_grown, "bytes of"),
        (_fewer, "1 demonstrations of 2"),
        (_emptied, "no HDF5 file"),
    ],
)
def test_what_is_there_but_not_whole_is_fetched_anew(hub, tmp_path, damage, words: str) -> None:
    (first,) = download_demos(TASKS[:1], tmp_path)
    damage(first.path)
    (anew,) = download_demos(TASKS[:1], tmp_path)
    assert len(hub) == 2
    assert not anew.before
    assert words in anew.fault
    assert first.path.with_suffix(".hdf5.broken").exists()
    assert len(list(read_demos(anew.path))) == 2
    assert download_demos(TASKS[:1], tmp_path)[0].before


def test_a_broken_file_stays_where_the_hub_cannot_be_reached(hub, tmp_path, monkeypatch) -> None:
    (first,) = download_demos(TASKS[:1], tmp_path)
    _cut(first.path)

    def fetch(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(PrerequisiteError, match="cannot be reached"):
        download_demos(TASKS[:1], tmp_path)
    assert first.path.exists()


def test_nothing_takes_the_place_of_demos_that_were_made_here(hub, tmp_path: Path) -> None:
    (first,) = download_demos(TASKS[:1], tmp_path)
    with h5py.File(first.path, "r+") as file:
        file["data"].attrs["provenance"] = '{"expert": "scripted"}'
    before = first.path.read_bytes()
    with pytest.raises(ConfigError, match="not LIBERO's own"):
        download_demos(TASKS[:1], tmp_path)
    assert first.path.read_bytes() == before
    assert len(hub) == 1


def test_something_else_than_a_demo_file_is_put_aside(tmp_path: Path, monkeypatch) -> None:
    def fetch(repository: str, name: str, *, repo_type: str, local_dir: Path) -> None:
        path = Path(local_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<html>log in</html>")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(ConfigError, match="no HDF5 file"):
        download_demos(TASKS[:1], tmp_path)
    assert not (tmp_path / TASKS[0].demo_file).exists()
    assert len(list(tmp_path.rglob("*.broken"))) == 1


def test_without_network_the_fix_is_named(tmp_path: Path, monkeypatch) -> None:
    """The hub's real client, told to stay offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PrerequisiteError, match="hf download yifengzhu-hf/LIBERO-datasets") as said:
        download_demos(TASKS[:1], tmp_path)
    assert "libero-bench collect" in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("error", [ConnectionError("no route"), TimeoutError("slow")])
def test_any_failure_of_the_network_is_one(tmp_path: Path, monkeypatch, error: Exception) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(PrerequisiteError, match="cannot be reached"):
        download_demos(TASKS[:1], tmp_path)


def test_a_full_disk_is_not_taken_for_the_network(tmp_path: Path, monkeypatch) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(OSError, match="No space left"):
        download_demos(TASKS[:1], tmp_path)


def test_suites_that_nobody_demonstrated_are_refused(hub, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Nobody demonstrated libero_goal_swap"):
        download_demos([find_task("libero_goal_swap", 0)], tmp_path)
    assert hub == []
