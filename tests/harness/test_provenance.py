import hashlib
import subprocess
from pathlib import Path

import pytest

from harness.provenance import checkpoint_sha256, collect_provenance, git_state, gl_renderer


def test_it_names_code_versions_and_machine() -> None:
    found = collect_provenance(renderer=False)
    assert {"mujoco", "robosuite", "torch", "numpy"} <= found["packages"].keys()
    assert any("libero" in name for name in found["packages"] if name != "libero-bench")
    assert found["machine"]["cores"] >= 1
    assert found["machine"]["cpu"]
    assert found["gl_renderer"] is None


def test_a_checkout_has_a_commit_and_says_whether_it_was_changed(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)

    assert git_state(tmp_path) is None
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", ".")
    git("-c", "user.name=n", "-c", "user.email=e", "commit", "-m", "first")
    state = git_state(tmp_path)
    assert state is not None
    assert (len(state["commit"]), state["dirty"]) == (40, False)
    (tmp_path / "a").write_text("2")
    assert (git_state(tmp_path) or {})["dirty"]


def test_an_installed_copy_is_not_of_the_checkout_around_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", str(tmp_path)], check=True, capture_output=True)
    (tmp_path / ".gitignore").write_text(".venv/\n")
    (tmp_path / ".venv" / "harness").mkdir(parents=True)
    assert git_state(tmp_path / ".venv" / "harness") is None


def test_files_of_a_checkpoint_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"a")
    digests = checkpoint_sha256(tmp_path)
    assert digests == {n: hashlib.sha256(n[-1:].encode()).hexdigest() for n in ("a", "deep/b")}
    assert checkpoint_sha256(tmp_path / "a") == {"a": digests["a"]}
    assert checkpoint_sha256(tmp_path / "missing") == {}


@pytest.mark.sim
def test_the_renderer_has_a_name() -> None:
    assert gl_renderer()
