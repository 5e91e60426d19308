"""How many simulations fit a machine, with the limits of containers and batch systems."""

from pathlib import Path

from tasks.control_groups import cpu_quota, group_room, own_groups, usable_cores

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
    rooms = [group_room(group) for group in own_groups("memory")]
    limits += [room / _GIB for room in rooms if room is not None]
    return min(limits, default=None)
