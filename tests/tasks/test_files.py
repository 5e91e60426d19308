"""Files appear whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.files import atomic_file, atomic_folder, draft_of, sha256, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    path.write_text("before")
    with atomic_file(path) as draft:
        draft.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert names(tmp_path) == ["note.json"]


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    write_text(path, "before")
    with pytest.raises(RuntimeError, match="full"), atomic_file(path) as draft:
        draft.write_text("half")
        raise RuntimeError("full")
    assert path.read_text() == "before"
    assert names(tmp_path) == ["note.json"]


def test_a_writer_overwrites_the_draft_of_one_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    draft_of(path).write_text("torn by a kill")
    write_json(path, {"a": 1})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert names(tmp_path) == ["note.json"]


def test_several_writers_have_drafts_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    other = f"from tasks.files import *; print(draft_of(Path({str(path)!r}), several_writers=True))"
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True)
    assert done.stdout.strip() != str(draft_of(path, several_writers=True))


def test_a_folder_is_replaced_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    for content in ("before", "after"):
        with atomic_folder(path) as draft:
            (draft / "inside").mkdir()
            (draft / "inside" / "a").write_text(content)
            (draft / content).touch()
    assert names(path) == ["after", "inside"]
    assert (path / "inside" / "a").read_text() == "after"
    with pytest.raises(RuntimeError), atomic_folder(path) as draft:
        (draft / "half").touch()
        raise RuntimeError
    assert names(path) == ["after", "inside"]
    assert names(tmp_path) == ["checkpoint"]


def test_the_hash_is_what_sha256sum_says(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert sha256(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_importing_it_is_light() -> None:
    """Results are read, and commands explain themselves, without NumPy."""
    code = "import sys, tasks.files, tasks.errors; print({'numpy', 'gymnasium'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
