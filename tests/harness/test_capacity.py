from pathlib import Path

import pytest

from harness import capacity, warnings
from harness.capacity import (
    crowding,
    default_workers,
    fitting_workers,
    free_memory_gib,
)
from harness.warnings import warn_of_crowding
from tasks.control_groups import usable_cores


@pytest.mark.parametrize(
    ("cores", "quota", "free", "workers"),
    [
        (8, None, None, 8),
        (8, None, 64.0, 8),
        (8, None, 6.5, 4),  # 0.5 are left to others
        (8, 2.5, 64.0, 2),
        (8, 0.5, 64.0, 1),
        (4, None, 0.1, 1),  # it may fail, but one is the least
        (1, 4.0, 64.0, 1),
        (1024, None, None, 512),
    ],
)
def test_cores_quota_and_memory_limit_workers(
    cores: int, quota: float | None, free: float | None, workers: int
) -> None:
    assert fitting_workers(cores, quota, free) == workers


@pytest.mark.parametrize(
    ("workers", "cores", "quota", "free", "words"),
    [
        (500, 2, None, 1000.0, "2 cores would have them wait"),
        (500, 2, None, 4.0, "750 GiB of memory, and 4.0 are free. 2 fit: --workers 2."),
        (8, 64, 1.0, None, "1 core would"),
        (4, 2, None, 16.0, None),
        (2, 2, None, 3.0, "1 fit"),
        (64, 64, None, None, None),
    ],
)
def test_too_many_workers_are_told(workers, cores, quota, free, words: str | None) -> None:
    said = crowding(workers, cores, quota, free)
    assert (said is None) if words is None else words in said


def test_a_command_warns_of_too_many_workers(capsys, monkeypatch) -> None:
    monkeypatch.setattr(warnings, "free_memory_gib", lambda: 4.0)
    warn_of_crowding.cache_clear()
    for _ in range(2):
        warn_of_crowding(500)
    warn_of_crowding(1)
    warn_of_crowding(None)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("WARNING: 500 workers: they may take 750 GiB")
    warn_of_crowding.cache_clear()


def test_the_default_fits_this_machine() -> None:
    assert 1 <= default_workers() <= usable_cores()


def test_free_memory_is_what_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "own_groups", lambda controller: iter([]))
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  33554432 kB\nMemAvailable:   3145728 kB\n")
    assert free_memory_gib(meminfo) == 3.0
    assert free_memory_gib(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("limit", "used", "files"),
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_a_container_limits_memory_but_its_file_cache_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: str, files: str
) -> None:
    (tmp_path / limit).write_text(f"{4 << 30}\n")
    (tmp_path / used).write_text(f"{3 << 30}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\n{files} {1 << 30}\n")
    (tmp_path / "meminfo").write_text("MemAvailable:   33554432 kB\n")
    monkeypatch.setattr(
        capacity, "own_groups", lambda controller: iter([tmp_path, tmp_path / "none"])
    )
    assert free_memory_gib(tmp_path / "meminfo") == 2.0
    (tmp_path / limit).write_text("max\n" if limit == "memory.max" else f"{(1 << 63) - 4096}\n")
    assert free_memory_gib(tmp_path / "meminfo") == 32.0
