"""Data sets that are named as on the hub."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from tasks.demos.lerobot.hub import fetch_dataset, hub_name
from tasks.errors import ConfigError, PrerequisiteError


def test_names_are_told_from_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demos").mkdir()
    assert hub_name("HuggingFaceVLA/libero") == "HuggingFaceVLA/libero"
    assert hub_name(Path("hf:demos/libero")) == "demos/libero"
    for path in ("demos/libero", "libero", "a/b/c", "../a", "/a/b", "./libero", "a b/c"):
        assert hub_name(path) is None


class Hub:
    """A hub with one data set; it writes what is asked for."""

    def __init__(
        self, folder: Path, size: int, reachable: bool = True, file: str = "meta/info.json"
    ) -> None:
        self.folder, self.size, self.reachable, self.files = folder, size, reachable, [file]

    def dataset_info(self, name: str, *, files_metadata: bool) -> SimpleNamespace:
        if not self.reachable:
            raise ConnectionError("no route")
        assert files_metadata
        files = [SimpleNamespace(rfilename=each, size=self.size) for each in self.files]
        return SimpleNamespace(siblings=files)

    def snapshot_download(self, *, local_files_only: bool = False, **_: object) -> str:
        if local_files_only and not self.folder.exists():
            raise huggingface_hub.errors.LocalEntryNotFoundError("not there")
        return str(self.folder)


def use(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)


def test_a_data_set_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Hub(tmp_path / "cache", 10))
    assert fetch_dataset("a/b") == tmp_path / "cache"


def test_what_does_not_fit_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Hub(tmp_path / "cache", 1 << 60))
    with pytest.raises(ConfigError, match=r"needs 1,152,921,504,606,846,976 bytes more.*HF_HOME"):
        fetch_dataset("a/b")


def test_without_network_the_cache_serves_or_the_fix_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Hub(tmp_path / "cache", 10, reachable=False))
    with pytest.raises(PrerequisiteError, match="hf download a/b --repo-type dataset"):
        fetch_dataset("a/b")
    (tmp_path / "cache").mkdir()
    assert fetch_dataset("a/b") == tmp_path / "cache"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("libero_goal/1.0.0/x.tfrecord-00000-of-00016", "RLDS .*convert_libero_data_to_lerobot"),
        ("libero_goal/TASK_demo.hdf5", "no LeRobot set.*hf download a/b"),
    ],
)
def test_another_format_is_named_before_it_is_fetched(
    file: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Hub(tmp_path / "cache", 10, file=file))
    with pytest.raises(ConfigError, match=words):
        fetch_dataset("a/b")
