"""What containers and batch systems leave a process, by Linux's control groups: cores, memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Controller = Literal["cpu", "memory"]

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NO_LIMIT_V1 = 1 << 60


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def whole_cores() -> int:
    """Return how many cores this process can keep busy, at least one: a quota allows for no more.

    A container may see all cores of its machine and get the time of two. As many threads as cores
    would then wait for each other most of the time.
    """
    quota = cpu_quota()
    return usable_cores() if quota is None else max(1, min(usable_cores(), int(quota)))


def cpu_quota() -> float | None:
    """Return how many cores' worth of time the control groups allow, None without a limit."""
    quotas = [quota for group in own_groups("cpu") if (quota := group_quota(group)) is not None]
    return min(quotas, default=None)


def group_quota(group: Path) -> float | None:
    """Return how many cores' worth of time a control group allows, None without a limit.

    Args:
        group: Its folder; version 2, or the CPU controller of version 1.
    """
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = (
                (group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8").strip()
                for name in ("quota", "period")
            )
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


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


def own_groups(controller: Controller, *, root: Path = _GROUPS, own: Path = _OWN) -> Iterator[Path]:
    """Yield the folders of this process's control groups and of those they are in.

    Args:
        controller: Of which groups, where version 1 has a tree for each.
        root: Where control groups are mounted.
        own: What the kernel says of this process.
    """
    yield root
    yield root / controller
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        group = root / controller if controllers else root
        for part in Path(path.lstrip("/")).parts:
            group = group / part
            yield group
