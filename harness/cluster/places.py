"""Which simulation gives its place to a replica that finds none.

A replica that died is started again while simulations may have taken every CPU; they would wait for
its plans, and it for a CPU of theirs, for ever.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def is_starting(nodes: Iterable[Mapping[str, Any]], *, known: int, free_cpus: float) -> bool:
    """Whether CPUs are taken by more than is known to have a place: by actors that start, perhaps.

    Args:
        nodes: The nodes that are up, as Ray describes them.
        known: Simulations and replicas that have a place, of a CPU each.
        free_cpus: CPUs that nothing has taken, on all nodes together.
    """
    cpus: float = sum(node["Resources"].get("CPU", 0) for node in nodes)
    return cpus - free_cpus > known


def whom_to_withdraw(
    nodes: Iterable[Mapping[str, Any]],
    simulations: Mapping[int, str],
    replicas: Iterable[str],
    *,
    on_gpus: bool,
    free_cpus: float,
) -> int | None:
    """Return the simulation that should give its place to a replica.

    Args:
        nodes: The nodes that are up, as Ray describes them.
        simulations: The node of each simulation that has a place, by its number.
        replicas: The node of each replica that has a place.
        on_gpus: Whether a replica needs a GPU beside a CPU.
        free_cpus: CPUs that nothing has taken, on all nodes together.

    Returns:
        Its number, the highest of those in question; None if a node has room for a replica, or no
        simulation is on a node that could have.
    """
    placed = Counter(replicas)
    taken = Counter(simulations.values()) + placed
    possible = set()
    for node in nodes:
        name, has = node["NodeID"], node["Resources"]
        if on_gpus and has.get("GPU", 0) <= placed[name]:
            continue
        if free_cpus >= 1 and has.get("CPU", 0) - taken[name] >= 1:
            return None
        possible.add(name)
    return max((number for number, name in simulations.items() if name in possible), default=None)
