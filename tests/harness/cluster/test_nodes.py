"""What nodes must have in common, and what they have room for."""

import dataclasses
import os
from pathlib import Path

import pytest

pytest.importorskip("ray")

from harness.cluster.nodes import (
    WORKER_BYTES,
    NodeFacts,
    check_node,
    gpus,
    project_digest,
    room,
    use_local_cache,
)
from tasks.errors import PrerequisiteError

HERE = NodeFacts(
    node="a" * 56,
    host="head",
    python="3.11.4",
    packages={"mujoco": "3.2.3", "robosuite": "1.4.0", "numpy": "2.1.0"},
    project="0123456789abcdef",
)


def test_a_node_with_the_same_versions_is_accepted() -> None:
    check_node(dataclasses.replace(HERE, node="b" * 56, host="other"), HERE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"packages": {**HERE.packages, "mujoco": "3.3.1"}}, r"mujoco 3\.3\.1 \(here 3\.2\.3\)"),
        ({"packages": {"mujoco": "3.2.3", "numpy": "2.1.0"}}, "robosuite not installed"),
        ({"packages": {**HERE.packages, "hf-libero": "1"}}, r"hf-libero 1 \(here not installed\)"),
        ({"project": "f" * 16}, r"libero-bench's code ffff.* \(here 0123"),
    ],
)
def test_a_node_with_other_versions_is_refused(changes: dict[str, object], message: str) -> None:
    there = dataclasses.replace(HERE, host="other", **changes)  # type: ignore[arg-type]
    with pytest.raises(PrerequisiteError, match=f"Node other has .*{message}.*Fix"):
        check_node(there, HERE)


def test_the_projects_code_has_one_digest() -> None:
    assert len(project_digest()) == 16
    assert project_digest() == project_digest.__wrapped__()


def test_room_is_bounded_by_cpus_and_by_memory_of_each_node() -> None:
    def node(cpus: float, memory: int, **others: float) -> dict[str, dict[str, float]]:
        return {"Resources": {"CPU": cpus, "memory": memory, **others}}

    assert room([node(4, 10 * WORKER_BYTES)]) == 4
    assert room([node(4, 2 * WORKER_BYTES + 1)]) == 2
    assert room([node(3, 4 * WORKER_BYTES), node(8, WORKER_BYTES - 1)]) == 3
    assert room([{"Resources": {}}]) == 0
    assert gpus([node(1, 1, GPU=4.0), node(1, 1)]) == 4


def test_compiled_models_are_kept_on_the_nodes_own_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIBERO_BENCH_CACHE", raising=False)
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    use_local_cache()
    folder = Path(os.environ["LIBERO_BENCH_CACHE"]).parent
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("LIBERO_BENCH_CACHE", "mine")
    use_local_cache()
    assert os.environ["LIBERO_BENCH_CACHE"] == "mine"


def test_a_folder_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIBERO_BENCH_CACHE", raising=False)
    monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path))
    folder = tmp_path / f"libero-bench-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    use_local_cache()
    assert "LIBERO_BENCH_CACHE" not in os.environ
    folder.rmdir()
    folder.symlink_to(tmp_path)
    use_local_cache()
    assert "LIBERO_BENCH_CACHE" not in os.environ
