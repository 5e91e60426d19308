"""What containers and batch systems allow, as version 1 and 2 of control groups say it."""

from pathlib import Path

import pytest
import torch

from policies.rdt.model.torch_runtime import use_threads
from tasks import control_groups
from tasks.control_groups import cpu_quota, group_quota, own_groups, usable_cores, whole_cores


def files_of(group: Path, version: int, quota: int | None, period: int = 100000) -> Path:
    group.mkdir(parents=True, exist_ok=True)
    if version == 2:
        (group / "cpu.max").write_text(f"{'max' if quota is None else quota} {period}\n")
    else:
        (group / "cpu.cfs_quota_us").write_text(f"{-1 if quota is None else quota}\n")
        (group / "cpu.cfs_period_us").write_text(f"{period}\n")
    return group


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("quota", "cores"), [(150000, 1.5), (None, None)])
def test_the_quota_of_a_container_is_read(
    tmp_path: Path, version: int, quota: int | None, cores: float | None
) -> None:
    assert group_quota(files_of(tmp_path, version, quota)) == cores


@pytest.mark.parametrize("text", ["", "many", "max", "1 0"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, text: str) -> None:
    assert group_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text(text)
    assert group_quota(tmp_path) is None


def in_groups(monkeypatch: pytest.MonkeyPatch, *groups: Path) -> None:
    monkeypatch.setattr(control_groups, "own_groups", lambda controller: iter(groups))


@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_group_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    quotas = {"outer": 300000, "inner": None, "innermost": 350000}
    in_groups(monkeypatch, *(files_of(tmp_path / n, version, q) for n, q in quotas.items()))
    assert cpu_quota() == 3.0


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("0::/a/b\n", ["a", "a/b"]),
        ("7:cpu,cpuacct:/job/5\n3:memory:/other\n", ["cpu/job", "cpu/job/5"]),
        ("2:cpuset:/x\n", []),
    ],
)
def test_groups_are_those_of_the_controller(tmp_path: Path, lines: str, found: list[str]) -> None:
    own = tmp_path / "own"
    own.write_text(lines)
    groups = list(own_groups("cpu", root=tmp_path, own=own))
    assert groups == [tmp_path, tmp_path / "cpu", *(tmp_path / name for name in found)]
    assert list(own_groups("cpu", root=tmp_path, own=tmp_path / "none")) == groups[:2]


@pytest.mark.parametrize(("quota", "cores"), [(50000, 1), (250000, 2), (9900000, 3), (None, 3)])
def test_threads_are_those_that_a_container_gives_time_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: int | None, cores: int
) -> None:
    in_groups(monkeypatch, files_of(tmp_path, 2, quota))
    monkeypatch.setattr(control_groups, "usable_cores", lambda: 3)
    assert whole_cores() == cores
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        use_threads(0)
        assert torch.get_num_threads() == cores
        use_threads(4)  # asked for
        assert torch.get_num_threads() == 4
        torch.set_num_threads(1)  # as OMP_NUM_THREADS has it
        use_threads(0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_cores_are_known_here() -> None:
    assert 1 <= whole_cores() <= usable_cores()
