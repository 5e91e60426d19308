"""The checks of a machine notice what is wrong with it."""

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from harness.doctor import machine
from harness.doctor.checks import Check, examine
from tasks import native_libraries
from tasks.errors import Finding

NOWHERE = Path("/nonexistent")


@pytest.mark.parametrize(
    ("installed", "status"),
    [("3.2.3", "ok"), ("3.3.1", "warning"), ("3.8.1", "failed"), (None, "failed")],
)
def test_versions_are_compared_with_the_pin(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, status: str
) -> None:
    def version(package: str) -> str:
        if installed is None:
            raise PackageNotFoundError(package)
        return installed

    monkeypatch.setattr(machine, "version", version)
    finding = machine.package_check("mujoco")(NOWHERE)
    assert finding.status == status
    assert finding.fix == ("" if status == "ok" else "pip install mujoco==3.2.3")


@pytest.mark.slow
def test_all_suites_are_counted() -> None:
    assert machine.check_tasks(NOWHERE).detail == (
        "41 suites, 490 tasks, 3 of them without initial states in LIBERO-PRO itself"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are named on Linux")
def test_blas_kernels_of_another_processor_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(native_libraries, "REPRODUCIBLE", True)
    monkeypatch.setattr(native_libraries, "own_cores", lambda: {"Haswell"})
    monkeypatch.setattr(native_libraries, "openblas_cores", lambda: {"Haswell"})
    assert machine.check_blas(NOWHERE) == Finding(status="ok", detail="Haswell")
    monkeypatch.setattr(native_libraries, "own_cores", lambda: {"SkylakeX"})
    healthy = machine.check_blas(NOWHERE)
    assert (healthy.status, healthy.fix) == ("ok", "")
    assert "a process of your own has SkylakeX" in healthy.detail
    monkeypatch.setattr(native_libraries, "openblas_cores", lambda: {"Haswell", "SkylakeX"})
    unheard = machine.check_blas(NOWHERE)
    assert unheard.status == "warning"
    assert "OPENBLAS_CORETYPE" not in unheard.detail + unheard.fix  # which the user never set
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    asked = machine.check_blas(NOWHERE)
    assert asked.status == "warning"
    assert asked.detail.startswith("OPENBLAS_CORETYPE=SkylakeX is set: Haswell, SkylakeX")
    assert asked.fix == "unset OPENBLAS_CORETYPE"


@pytest.mark.parametrize(
    ("free", "status"), [(None, "ok"), (8.0, "ok"), (2.0, "warning"), (1.0, "failed")]
)
def test_memory_is_counted_in_workers(
    monkeypatch: pytest.MonkeyPatch, free: float | None, status: str
) -> None:
    monkeypatch.setattr(machine, "free_memory_gib", lambda: free)
    assert machine.check_memory(NOWHERE).status == status


def test_the_model_cache_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBERO_BENCH_CACHE", str(tmp_path / "models"))
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "0.001")
    finding = machine.check_cache(NOWHERE)
    assert finding.status == "ok"
    assert f"{tmp_path / 'models'}: 0 models" in finding.detail
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "1e9")
    assert "on disk" in machine.check_cache(NOWHERE).detail
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "0")
    assert machine.check_cache(NOWHERE).status == "warning"
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "much")
    findings = examine([Check(name="cache", run=machine.check_cache)], NOWHERE)
    assert findings["cache"].status == "failed"
    assert "LIBERO_BENCH_CACHE_GB is 'much'" in findings["cache"].detail


@pytest.mark.parametrize(("quota", "status"), [(None, "ok"), (8.0, "ok"), (1.5, "warning")])
def test_a_quota_below_the_cores_is_noticed(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, status: str
) -> None:
    monkeypatch.setattr(machine, "machine", lambda: {"cores": 4, "cpu": "Zen"})
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    finding = machine.check_cores(NOWHERE)
    assert finding.status == status
    assert finding.detail.startswith("4 of Zen")
    assert finding.fix == ("use --workers 1" if status == "warning" else "")


def test_a_renderer_without_a_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gl_renderer", lambda: "")
    assert machine.check_renderer(NOWHERE).status == "warning"
    monkeypatch.setattr(machine, "gl_renderer", lambda: "NVIDIA H100")
    assert machine.check_renderer(NOWHERE) == Finding(status="ok", detail="NVIDIA H100")
