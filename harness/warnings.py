"""Warnings before long work; light, as every command may give them."""

from functools import cache

from harness.capacity import crowding, free_memory_gib
from harness.display import console
from tasks.control_groups import cpu_quota, usable_cores
from tasks.versions import beside_the_pin


@cache
def warn_of_versions() -> None:
    """Say once if what is about to be simulated is not comparable with what others simulate."""
    if (words := beside_the_pin()) is not None:
        console.print(f"WARNING: {words}", soft_wrap=True)


@cache
def warn_of_crowding(workers: int | None) -> None:
    """Say once if so many workers do not fit this machine.

    Args:
        workers: How many are asked for; None for as many as fit.
    """
    if workers is None or workers == 1:
        return
    if words := crowding(workers, usable_cores(), cpu_quota(), free_memory_gib()):
        console.print(f"WARNING: {words}", soft_wrap=True)
