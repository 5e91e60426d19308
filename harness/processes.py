"""Worker processes: what they inherit, and that they end with their parent."""

import contextlib
import ctypes
import os
import platform
import signal
import sys
from collections.abc import Iterator

_PR_SET_PDEATHSIG = 1


def worker_variables(count: int) -> dict[str, str]:
    """Return the environment variables of worker processes; the user's own take precedence.

    One thread each, as parallelism is over episodes. The BLAS kernels are fixed so that results do
    not depend on the processor.

    Args:
        count: Number of workers.
    """
    variables = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "MUJOCO_GL": "egl",
    }
    if platform.machine() in ("x86_64", "AMD64"):
        variables["OPENBLAS_CORETYPE"] = "Haswell"
    if count > 1:
        variables["LP_NUM_THREADS"] = "1"  # Mesa's software renderer
    return {name: os.environ.get(name, value) for name, value in variables.items()}


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables while processes are started."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def end_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, also in the middle of a slice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
