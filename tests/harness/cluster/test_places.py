"""Which simulation gives its place to a replica."""

from typing import Any

import pytest

pytest.importorskip("ray")

from harness.cluster.places import is_starting, whom_to_withdraw


def node(name: str, cpus: int, gpus: int = 0) -> dict[str, Any]:
    return {"NodeID": name, "Resources": {"CPU": cpus, "GPU": gpus}}


TWO = [node("a", 2), node("b", 2)]
FULL = {0: "a", 3: "a", 5: "b", 7: "b"}


def test_the_last_simulation_gives_way_where_all_cpus_are_taken() -> None:
    assert whom_to_withdraw(TWO, FULL, [], on_gpus=False, free_cpus=0) == 7
    assert whom_to_withdraw(TWO, {0: "a", 3: "a"}, ["b", "b"], on_gpus=False, free_cpus=0) == 3


def test_nobody_gives_way_where_there_is_room() -> None:
    assert whom_to_withdraw(TWO, {0: "a"}, ["a"], on_gpus=False, free_cpus=2) is None


def test_what_others_have_taken_is_not_free() -> None:
    assert whom_to_withdraw(TWO, {0: "a"}, [], on_gpus=False, free_cpus=0) == 0


def test_nobody_can_give_way_on_a_node_that_is_gone_or_has_no_gpu() -> None:
    assert whom_to_withdraw(TWO, {0: "c"}, [], on_gpus=False, free_cpus=0) is None
    assert whom_to_withdraw(TWO, FULL, [], on_gpus=True, free_cpus=0) is None


def test_a_replica_on_a_gpu_needs_a_cpu_of_that_node() -> None:
    nodes = [node("a", 2, gpus=1), node("b", 4)]
    taken = {0: "a", 1: "a", 2: "b"}
    assert whom_to_withdraw(nodes, taken, [], on_gpus=True, free_cpus=3) == 1
    assert whom_to_withdraw(nodes, {0: "a", 2: "b"}, [], on_gpus=True, free_cpus=4) is None
    assert whom_to_withdraw(nodes, taken, ["a"], on_gpus=True, free_cpus=2) is None


def test_what_starts_has_taken_a_cpu_but_not_yet_said_where() -> None:
    assert is_starting(TWO, known=3, free_cpus=0)
    assert not is_starting(TWO, known=4, free_cpus=0)
    assert not is_starting(TWO, known=1, free_cpus=3)
