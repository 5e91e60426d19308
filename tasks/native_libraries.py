"""Native libraries of a process that must be chosen, or loaded in an order: OpenBLAS and LLVM.

OpenBLAS chooses its kernels by the processor when it is loaded, NumPy's copy and SciPy's each for
itself, and kernels round differently: states differ in the last bits from the first step on. Those
of ``KERNELS`` run on every x86-64 processor of the last ten years.

LLVM comes twice. torch imports triton, where it is installed, when an optimiser is made or a model
compiled, and triton has an LLVM of its own inside libtriton. Mesa's software renderer brings
another, libLLVM, and shares its symbols with the whole process. If Mesa comes first, libtriton
resolves its own calls to Mesa's LLVM and crashes. If triton comes first, both work.

This module imports nothing but Python's own library. Run as a script, it prints the kernels of a
process in which nobody has chosen any.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

KERNELS_VARIABLE = "OPENBLAS_CORETYPE"
KERNELS = "Haswell"
REPRODUCIBLE = platform.machine() in ("x86_64", "AMD64")
"""Whether this kind of processor has these kernels."""

_TIMEOUT_S = 60
_MEMORY_MAPS = Path("/proc/self/maps")
_SYMBOLS = (
    "scipy_openblas_get_corename64_",
    "scipy_openblas_get_corename",
    "openblas_get_corename64_",
    "openblas_get_corename",
)


def fix_kernels() -> None:
    """Choose the kernels of this process and those it starts, unless the user has chosen.

    Where NumPy is there already it is too late: SciPy, loaded later, would compute otherwise than
    NumPy, and our steps otherwise than LIBERO's own.
    """
    if REPRODUCIBLE and "numpy" not in sys.modules:
        os.environ.setdefault(KERNELS_VARIABLE, KERNELS)


@cache
def warn_of_kernels() -> None:
    """Warn once if this process simulates with other kernels than ``libero-bench`` does."""
    cores = openblas_cores()
    if not REPRODUCIBLE or cores <= {KERNELS}:
        return
    if len(cores) == 1 and os.environ.get(KERNELS_VARIABLE):
        return  # as the user wants it, here and in every worker
    warnings.warn(
        f"This process computes with the BLAS kernels {', '.join(sorted(cores))}, libero-bench's "
        f"workers with {KERNELS}: states differ in the last bits, and episodes can end otherwise. "
        f"Fix: import tasks before NumPy and gymnasium, or set {KERNELS_VARIABLE}={KERNELS} "
        "before Python starts.",
        stacklevel=2,
    )


def openblas_cores() -> set[str]:
    """Return the processor types whose kernels NumPy's and SciPy's OpenBLAS use here."""
    names = set()
    for package in ("numpy", "scipy"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        importlib.import_module(package)
        for path in (Path(spec.origin).parents[1] / f"{package}.libs").glob("*openblas*"):
            names.add(_core_name(ctypes.CDLL(str(path))))
    return names - {""}


def own_cores() -> set[str]:
    """Return what ``openblas_cores`` says in a process in which nobody has chosen kernels."""
    variables = {name: it for name, it in os.environ.items() if name != KERNELS_VARIABLE}
    try:
        done = subprocess.run(
            [sys.executable, "-P", __file__],
            env=variables,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    return set(done.stdout.split())


def _core_name(library: ctypes.CDLL) -> str:
    for symbol in _SYMBOLS:
        function = getattr(library, symbol, None)
        if function is not None:
            function.restype = ctypes.c_char_p
            return (function() or b"").decode()
    return ""


def load_triton() -> None:
    """Import triton, where it is installed, so that it finds its own LLVM.

    Where Mesa's LLVM is there already, libtriton is loaded with a preference for its own symbols.
    It takes 0.3 s the first time.
    """
    if "triton" in sys.modules or importlib.util.find_spec("triton") is None:
        return
    flags = sys.getdlopenflags() if hasattr(sys, "getdlopenflags") else None
    if flags is not None and mesa_loaded():
        # Only then: it would also hide an allocator that LD_PRELOAD puts in front of all libraries.
        sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("triton")
    except Exception:  # broken, or made for another torch: torch goes on without it, too
        sys.modules.pop("triton", None)
    finally:
        if flags is not None:
            sys.setdlopenflags(flags)


def load_triton_after_mesa() -> None:
    """Import triton if this process has rendered in software; otherwise torch can wait for it.

    Call it before torch makes an optimiser or compiles.
    """
    if mesa_loaded():
        load_triton()


def mesa_loaded() -> bool:
    """Return whether the LLVM of Mesa's software renderer is in this process (Linux only)."""
    try:
        return "libLLVM" in _MEMORY_MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


@contextlib.contextmanager
def environment_variables(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables, or unset those that are None; put them back afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


if __name__ == "__main__":
    print(*openblas_cores())
