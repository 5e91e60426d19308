"""Pools of worker processes: what workers inherit, what their death means."""

import os
import platform
import signal
import time
from pathlib import Path

import pytest

from harness.processes import worker_pool
from tasks.errors import SimulatorError


def _variables(names: list[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(600)


def test_workers_have_one_thread_and_the_same_kernels_everywhere(monkeypatch) -> None:
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    names = ["OMP_NUM_THREADS", "OPENBLAS_CORETYPE"]
    with worker_pool(1) as pool:
        found = pool.submit(_variables, names).result()
    kernels = "Haswell" if platform.machine() in ("x86_64", "AMD64") else None
    assert found == {"OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": kernels}
    assert "OPENBLAS_CORETYPE" not in os.environ


def test_a_worker_that_dies_is_said_with_the_fix() -> None:
    with (
        pytest.raises(SimulatorError, match="fewer --workers"),
        worker_pool(1) as pool,
    ):
        pool.submit(_die).result()


def test_workers_end_with_the_block_whatever_they_do(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(KeyboardInterrupt), worker_pool(1) as pool:
        pool.submit(_sleep, str(note))
        while not note.exists() or not note.read_text():
            time.sleep(0.02)
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
