"""How much memory a process has."""

import os
import resource
import sys
from pathlib import Path


def resident_mb() -> float:
    """Return this process's resident memory in 10⁶ bytes; its peak where Linux's is not known."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return peak_mb()


def peak_mb() -> float:
    """Return the most memory that this process has had, in 10⁶ bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
