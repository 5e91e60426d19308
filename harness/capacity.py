"""How many simulations fit a machine, with the limits of containers and batch systems."""

import os
from collections.abc import Iterator
from pathlib import Path

WORKER_GIB = 1.5
"""Memory of a worker with one simulation that renders, GiB; 0.9 to 1.5 were measured."""

RESERVE_GIB = 0.5
"""Memory left to everything else, GiB, such as a policy's activations."""

MOST_WORKERS = 512
"""More are not allowed, whatever the machine."""

MOST_THREADS = 1024
"""Threads of a policy; more are a slip."""

_CROWDED = 2
"""Workers per core that waste little: one waits while another reads or renders."""

_GIB = 2**30
_GROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT_V1 = 1 << 60


def fitting_workers(cores: int, quota: float | None, free_gib: float | None) -> int:
    """Return how many workers fit; at least one.

    Args:
        cores: Cores this process may use.
        quota: Cores' worth of time it may use, None without a limit.
        free_gib: Memory to be had when the policy is loaded, GiB; None if that is not known.
    """
    limits = [cores, MOST_WORKERS]
    if quota is not None:
        limits.append(int(quota))
    if free_gib is not None:
        limits.append(int((free_gib - RESERVE_GIB) / WORKER_GIB))
    return max(min(limits), 1)


def default_workers() -> int:
    """Return how many workers fit this machine now; call it when the policy is loaded."""
    return fitting_workers(usable_cores(), cpu_quota(), free_memory_gib())


def crowding(workers: int, cores: int, quota: float | None, free_gib: float | None) -> str | None:
    """Say what speaks against so many workers.

    Args:
        workers: How many are asked for.
        cores: Cores this process may use.
        quota: Cores' worth of time it may use, None without a limit.
        free_gib: Memory to be had, GiB; None if that is not known.

    Returns:
        A sentence with the fix; None where they fit, if tightly.
    """
    fitting = fitting_workers(cores, quota, free_gib)
    needed = workers * WORKER_GIB + RESERVE_GIB
    time = cores if quota is None else min(cores, quota)
    if free_gib is not None and needed > free_gib:
        why = f"they may take {needed:.0f} GiB of memory, and {free_gib:.1f} are free"
    elif workers > _CROWDED * time:
        why = f"{time:g} core{'' if time == 1 else 's'} would have them wait for each other"
    else:
        return None
    return f"{workers} workers: {why}. {fitting} fit: --workers {fitting}."


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(file: Path | None = None) -> float | None:
    """Return how many cores' worth of time the control groups allow, None without a limit.

    Args:
        file: The ``cpu.max`` to read, instead of this process's.
    """
    files = [group / "cpu.max" for group in own_groups()] if file is None else [file]
    quotas = [quota for path in files if (quota := _quota(path)) is not None]
    return min(quotas, default=None)


def free_memory_gib(meminfo: Path = Path("/proc/meminfo")) -> float | None:
    """Return the memory still to be had, within the control groups' limits; None if unknown.

    Args:
        meminfo: What the kernel says of the machine.
    """
    limits = []
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
        limits += [int(x.split()[1]) / 2**20 for x in lines if x.startswith("MemAvailable")]
    except (OSError, ValueError, IndexError):
        pass
    limits += [room / _GIB for group in own_groups() if (room := group_room(group)) is not None]
    return min(limits, default=None)


def group_room(group: Path) -> int | None:
    """Return the bytes that a control group may still take, None without a limit.

    Files kept in memory count as free, as the kernel drops them when memory is short.

    Args:
        group: Its folder; version 2, or the memory controller of version 1.
    """
    for limit, used, files in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            allowed = (group / limit).read_text(encoding="utf-8").strip()
            if allowed == "max" or int(allowed) >= _NO_LIMIT_V1:
                continue
            stat = dict(
                x.split() for x in (group / "memory.stat").read_text(encoding="utf-8").splitlines()
            )
            taken = int((group / used).read_text(encoding="utf-8")) - int(stat.get(files, 0))
            return int(allowed) - taken
        except (OSError, ValueError):
            continue
    return None


def _quota(file: Path) -> float | None:
    try:
        quota, period = file.read_text(encoding="utf-8").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def own_groups() -> Iterator[Path]:
    """Yield the folders of this process's control groups and of those they are in."""
    yield _GROUPS
    yield _GROUPS / "memory"
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        group = _GROUPS / "memory" if controllers else _GROUPS
        for part in Path(path.lstrip("/")).parts:
            group = group / part
            yield group
