"""The examination of a machine: its own logic, and that it notices what is wrong."""

import dataclasses
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from harness.doctor import checks, goldens, simulation
from harness.doctor.checks import CHECKS, Check, CheckWorker, examine
from tasks import native_libraries
from tasks.errors import Finding, PrerequisiteError, none_failed
from tasks.observation import CAMERAS
from tasks.simulation.simulator import Simulator
from tasks.suites import ORIGINAL_SUITES

NOWHERE = Path("/nonexistent")
ROOT = Path(__file__).parents[2]


def found(status: str, detail: str = "") -> Check:
    return Check(name=status, run=lambda _: Finding(status=status, detail=detail))


def broken(error: Exception) -> Check:
    def run(_: Path) -> Finding:
        print("LIBERO talks")
        raise error

    return Check(name="broken", run=run)


def after(*needs: str, slow: bool = False) -> Check:
    return Check(
        name="after", run=lambda _: Finding(status="ok", detail="ran"), needs=needs, slow=slow
    )


@pytest.mark.parametrize(
    ("needed", "status"),
    [("ok", "ok"), ("warning", "ok"), ("failed", "skipped"), ("skipped", "skipped")],
)
def test_a_check_runs_only_on_what_it_needs(needed: str, status: str) -> None:
    findings = examine([found(needed), after(needed)], NOWHERE)
    assert findings["after"].status == status
    assert (needed in findings["after"].detail) == (status == "skipped")
    assert none_failed(findings.values()) == (needed != "failed")


def test_what_a_check_raises_is_its_finding(capsys: pytest.CaptureFixture[str]) -> None:
    missing = PrerequisiteError("There is no EGL. Fix: apt-get install libegl1")
    assert examine([broken(missing)], NOWHERE) == {
        "broken": Finding(
            name="broken",
            status="failed",
            detail="There is no EGL.",
            fix="apt-get install libegl1",
        )
    }
    findings = examine([broken(OSError("it\nbroke")), after("broken")], NOWHERE)
    assert findings["broken"].detail == "OSError: it broke"
    assert findings["broken"].fix
    assert findings["after"].status == "skipped"
    assert capsys.readouterr().out == ""


def test_quick_leaves_out_the_slow_and_reports_go_through_all() -> None:
    told: list[tuple[int, str]] = []
    findings = examine(
        [found("ok"), after(slow=True)], NOWHERE, quick=True, report=lambda *at: told.append(at)
    )
    assert [finding.status for finding in findings.values()] == ["ok", "skipped"]
    assert told == [(0, "ok"), (1, "after")]


def test_every_check_comes_after_what_it_needs() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= set(names[:number])


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

    monkeypatch.setattr(checks, "version", version)
    finding = checks.package_check("mujoco")(NOWHERE)
    assert finding.status == status
    assert finding.fix == ("" if status == "ok" else "pip install mujoco==3.2.3")


@pytest.mark.slow
def test_all_suites_are_counted() -> None:
    assert checks.check_tasks(NOWHERE).detail == "21 suites, 290 tasks"


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are named on Linux")
def test_blas_kernels_of_another_processor_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setattr(native_libraries, "REPRODUCIBLE", True)
    monkeypatch.setattr(native_libraries, "own_cores", lambda: {"Haswell"})
    monkeypatch.setattr(native_libraries, "openblas_cores", lambda: {"Haswell"})
    assert checks.check_blas(NOWHERE) == Finding(status="ok", detail="Haswell")
    monkeypatch.setattr(native_libraries, "own_cores", lambda: {"SkylakeX"})
    healthy = checks.check_blas(NOWHERE)
    assert (healthy.status, healthy.fix) == ("ok", "")
    assert "a process of your own has SkylakeX" in healthy.detail
    monkeypatch.setattr(native_libraries, "openblas_cores", lambda: {"Haswell", "SkylakeX"})
    unheard = checks.check_blas(NOWHERE)
    assert unheard.status == "warning"
    assert "OPENBLAS_CORETYPE" not in unheard.detail + unheard.fix  # which the user never set
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    asked = checks.check_blas(NOWHERE)
    assert asked.status == "warning"
    assert asked.detail.startswith("OPENBLAS_CORETYPE=SkylakeX is set: Haswell, SkylakeX")
    assert asked.fix == "unset OPENBLAS_CORETYPE"


@pytest.mark.slow
def test_what_simulates_is_examined_in_a_worker_and_its_end_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    blas = next(check for check in CHECKS if check.name == "BLAS")
    with CheckWorker() as worker:
        assert worker.attempt(found("ok"), NOWHERE).status == "ok"
        assert worker.pool is None
        first = worker.attempt(blas, NOWHERE)
        assert worker.pool is not None
        worker.pool.submit(os._exit, 1)
        assert "the worker process died" in worker.attempt(blas, NOWHERE).detail
        assert worker.attempt(blas, NOWHERE) == first
    if native_libraries.REPRODUCIBLE:
        assert (first.status, first.detail[:7]) == ("ok", "Haswell")


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 1.5), ("max 100000", None)])
def test_the_quota_of_a_container_is_read(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert checks.cpu_quota(tmp_path / "cpu.max") == cores
    assert checks.cpu_quota(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("free", "status"), [(None, "ok"), (8.0, "ok"), (2.0, "warning"), (1.0, "failed")]
)
def test_memory_is_counted_in_workers(
    monkeypatch: pytest.MonkeyPatch, free: float | None, status: str
) -> None:
    monkeypatch.setattr(checks, "free_memory_gib", lambda: free)
    assert checks.check_memory(NOWHERE).status == status


def test_the_model_cache_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBERO_BENCH_CACHE", str(tmp_path / "models"))
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "0.001")
    finding = checks.check_cache(NOWHERE)
    assert finding.status == "ok"
    assert f"{tmp_path / 'models'}: 0 models" in finding.detail
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "1e9")
    assert "on disk" in checks.check_cache(NOWHERE).detail
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "0")
    assert checks.check_cache(NOWHERE).status == "warning"
    monkeypatch.setenv("LIBERO_BENCH_CACHE_GB", "much")
    findings = examine([Check(name="cache", run=checks.check_cache)], NOWHERE)
    assert findings["cache"].status == "failed"
    assert "LIBERO_BENCH_CACHE_GB is 'much'" in findings["cache"].detail


@pytest.mark.slow
@pytest.mark.parametrize("name", ["none", "egl"])
def test_without_opengl_what_needs_it_is_skipped(tmp_path: Path, name: str) -> None:
    hidden = {"__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path), "MUJOCO_GL": name}
    hidden["__EGL_VENDOR_LIBRARY_FILENAMES"] = str(tmp_path / "none.json")
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "doctor", "--json"],
        env=os.environ | hidden | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    findings = json.loads(done.stdout)
    checks = {check["name"]: check for check in findings["checks"]}
    assert not findings["healthy"]
    assert list(checks) == [check.name for check in CHECKS]
    assert checks["rendering"]["status"] == "failed"
    assert {"egl": "apt-get install", "none": "unset MUJOCO_GL"}[name] in checks["rendering"]["fix"]
    assert checks["GL renderer"] == {
        "name": "GL renderer", "status": "skipped", "detail": "needs rendering", "fix": "",
    }  # fmt: skip
    assert all(checks[check.name]["status"] == "skipped" for check in CHECKS if check.slow)
    assert {checks[name]["status"] for name in ("mujoco", "robosuite", "tasks")} <= {
        "ok",
        "warning",
    }
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_any_command_names_a_missing_opengl(tmp_path: Path) -> None:
    """Collecting and the expert import MuJoCo in the command's own process."""
    hidden = {"__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path), "MUJOCO_GL": "egl"}
    hidden["__EGL_VENDOR_LIBRARY_FILENAMES"] = str(tmp_path / "none.json")
    suite = ["--suite", "libero_object", "--tasks", "0", "--out", str(tmp_path / "out")]
    for command in (["collect", "--demos", "1"], ["eval", "--policy", "expert"]):
        done = subprocess.run(
            [sys.executable, "-m", "harness.cli", *command, *suite],
            env=os.environ | hidden,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "apt-get install" in done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == 2


def altered(start: goldens.SettledStart, *, by: int) -> goldens.SettledStart:
    """Make every pixel of a start's pictures so much brighter or darker."""
    images = {
        camera: np.where(image > 127, image - by, image + by).astype(np.uint8)
        for camera, image in start.images.items()
    }
    return dataclasses.replace(start, images=images)


@pytest.mark.parametrize("suite", ORIGINAL_SUITES)
def test_goldens_are_compared_by_pixels_and_positions(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = goldens.golden_start(suite)
    moved = dataclasses.replace(golden, state=golden.state + 1e-3)
    starts = {
        "ok": golden,
        "warning": altered(golden, by=1),
        "failed": altered(golden, by=30),
        "moved": moved,
    }
    findings = {}
    for name, start in starts.items():
        monkeypatch.setattr(goldens, "begin", lambda _, start=start: start)
        findings[name] = simulation.check_images(suite, tmp_path / name)
    assert {name: finding.status for name, finding in findings.items()} == {
        "ok": "ok",
        "warning": "warning",
        "failed": "failed",
        "moved": "failed",
    }
    assert "1.00 (at most 1)" in findings["warning"].detail
    assert "antialiasing" in findings["failed"].fix
    assert "1.0e-03" in findings["moved"].detail
    kinds = ("here", "golden", "difference")
    written = {f"{suite}-{camera}-{kind}.png" for camera in CAMERAS for kind in kinds}
    assert {path.name for path in (tmp_path / "failed").iterdir()} == written
    assert not (tmp_path / "warning").exists()


def test_differences_are_expected_of_another_mujoco(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = goldens.golden_start("libero_object")
    monkeypatch.setattr(goldens, "begin", lambda _: altered(golden, by=30))
    monkeypatch.setattr(simulation, "version", lambda _: "3.3.7")
    finding = simulation.check_images("libero_object", tmp_path)
    assert finding.status == "warning"
    assert "golden is mujoco 3.2.3, here is 3.3.7" in finding.detail


@pytest.mark.parametrize(
    ("shift", "status"), [(0.0, "ok"), (1e-7, "warning"), (1e-2, "failed"), (np.nan, "failed")]
)
def test_physics_is_compared_with_the_golden_end(
    monkeypatch: pytest.MonkeyPatch, shift: float, status: str
) -> None:
    end = np.asarray(goldens.golden_facts()["end"])
    monkeypatch.setattr(goldens, "final_state", lambda: end + shift)
    assert simulation.check_physics(NOWHERE).status == status
    monkeypatch.setattr(goldens, "final_state", lambda: end[:-1])
    assert simulation.check_physics(NOWHERE).status == "failed"


@pytest.mark.sim
def test_this_machine_shows_the_golden_start_and_no_other(tmp_path: Path) -> None:
    golden = goldens.golden_start("libero_object")
    here, other = goldens.begin("libero_object"), goldens.begin("libero_object", 1)
    for camera in CAMERAS:
        assert goldens.difference(here.images[camera], golden.images[camera]).near
        assert not goldens.difference(other.images[camera], golden.images[camera]).near
    assert simulation.check_physics(tmp_path).status in ("ok", "warning")


@pytest.mark.sim
def test_a_simulation_that_differs_from_the_official_one_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(goldens, "STEPS", 6)
    assert simulation.check_identity(NOWHERE).status == "ok"

    class Weaker(Simulator):
        def step(self, action, **how):
            return super().step(action * (1 - 1e-9), **how)

    monkeypatch.setattr(simulation, "Simulator", Weaker)
    finding = simulation.check_identity(NOWHERE)
    assert (finding.status, "from control step 1 on" in finding.detail) == ("failed", True)


@pytest.mark.sim
def test_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "control steps/s without pictures" in simulation.check_speed(NOWHERE).detail
    monkeypatch.setattr(simulation, "REAL_TIME", 1e9)
    assert simulation.check_speed(NOWHERE).status == "warning"
