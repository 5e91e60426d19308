"""Which checks run where, on what they need, and what becomes of their exceptions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.doctor.checks import CHECKS, Check, CheckWorker, examine
from tasks import native_libraries
from tasks.errors import Finding, PrerequisiteError, none_failed

NOWHERE = Path("/nonexistent")
ROOT = Path(__file__).parents[3]


def finding_check(status: str, detail: str = "") -> Check:
    return Check(name=status, run=lambda _: Finding(status=status, detail=detail))


def broken(error: Exception) -> Check:
    def run(_: Path) -> Finding:
        print("LIBERO prints")
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
    findings = examine([finding_check(needed), after(needed)], NOWHERE)
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
        [finding_check("ok"), after(slow=True)],
        NOWHERE,
        quick=True,
        report=lambda *at: told.append(at),
    )
    assert [finding.status for finding in findings.values()] == ["ok", "skipped"]
    assert told == [(0, "ok"), (1, "after")]


def test_every_check_comes_after_what_it_needs() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= set(names[:number])


@pytest.mark.slow
def test_what_simulates_is_examined_in_a_worker_and_its_end_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    blas = next(check for check in CHECKS if check.name == "BLAS")
    with CheckWorker() as worker:
        assert worker.attempt(finding_check("ok"), NOWHERE).status == "ok"
        assert worker.pool is None
        first = worker.attempt(blas, NOWHERE)
        assert worker.pool is not None
        worker.pool.submit(os._exit, 1)
        assert "the worker process died" in worker.attempt(blas, NOWHERE).detail
        assert worker.attempt(blas, NOWHERE) == first
    if native_libraries.REPRODUCIBLE:
        assert (first.status, first.detail[:7]) == ("ok", "Haswell")


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
