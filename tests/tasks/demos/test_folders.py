"""Finding demo files: through links, and what other formats are told."""

from pathlib import Path

import pytest

from tasks.demos.folders import find_all_demo_files, find_demo_files
from tasks.errors import ConfigError


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_links_are_followed_each_folder_once(tmp_path: Path) -> None:
    elsewhere = touch(tmp_path / "disk" / "libero_goal" / "a_demo.hdf5")
    demos = tmp_path / "demos"
    own = touch(demos / "libero_object" / "b_demo.hdf5")
    (demos / "libero_goal").symlink_to(elsewhere.parent)
    (demos / "again").symlink_to(own.parent)
    (demos / "libero_object" / "loop").symlink_to(demos)
    (demos / "dangling").symlink_to(tmp_path / "nothing")
    (demos / "libero_object" / "c_demo.hdf5").symlink_to(elsewhere)
    wanted = [demos / "libero_goal" / "a_demo.hdf5", own, own.with_name("c_demo.hdf5")]
    assert find_demo_files(demos) == wanted
    whole = tmp_path / "link"
    whole.symlink_to(demos)
    assert [each.name for each in find_demo_files(whole)] == [each.name for each in wanted]
    assert find_all_demo_files([own, demos]) == [own, wanted[0], wanted[2]]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["1.0.0/dataset_info.json", "1.0.0/features.json"], "an RLDS data set"),
        (["a/libero-train.tfrecord-00000-of-00016"], "an RLDS data set"),
        (["meta/stats.json", "data/chunk-000/file-000.parquet"], "without the meta/info.json"),
        (["data/chunk-000/file-000.parquet"], "Parquet data without"),
        (["data/.zgroup"], "a Zarr store"),
        (["libero_object.zip"], "an archive. Fix: unpack"),
        (["notes.txt"], r"no \*\.hdf5 file below it\. Fix: make"),
        ([], r"no \*\.hdf5 file below it\. Fix: make"),
    ],
)
def test_a_folder_in_another_format_is_named(tmp_path: Path, files: list[str], words: str) -> None:
    for name in files:
        touch(tmp_path / "set" / name)
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(ConfigError, match=words) as said:
        find_demo_files(tmp_path / "set")
    assert "Fix:" in str(said.value)
    if files and "Fix" not in words:
        with pytest.raises(ConfigError, match=words):  # linked to
            (tmp_path / "link").symlink_to(tmp_path / "set")
            find_demo_files(tmp_path / "link")


def test_a_file_in_another_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data set .*convert_libero_data_to_lerobot.*download"):
        find_demo_files(touch(tmp_path / "x.tfrecord"))
    with pytest.raises(ConfigError, match="give the folder that has meta, data and videos"):
        find_demo_files(touch(tmp_path / "episode_000000.parquet"))
    with pytest.raises(ConfigError, match="unpack"):
        find_demo_files(touch(tmp_path / "demos.tar.gz"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("physical-intelligence/libero", "asked for physical-intelligence/libero"),
        ("hf:demos/libero", "asked for demos/libero"),
        ("hf://datasets/lerobot/libero", "by its name, owner/name"),
        ("https://huggingface.co/datasets/lerobot/libero", "by its name, owner/name"),
        ("demos/libero_objct", "it does not exist"),
        ("nowhere", "it does not exist"),
        ("/nowhere/at/all", "it does not exist"),
    ],
)
def test_a_name_on_a_hub_is_told_from_a_folder_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demos").mkdir()

    def fetch(asked: str) -> None:
        raise ConfigError(f"asked for {asked}")

    monkeypatch.setattr("tasks.demos.folders.fetch_dataset", fetch)
    with pytest.raises(ConfigError, match=words):
        find_demo_files(Path(name))
