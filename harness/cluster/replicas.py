"""The replicas of a run's policy: started, replaced when they die, kept for the next run."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from harness.cluster.nodes import NodeFacts, check_node
from harness.cluster.replica import PolicyReplica
from harness.cluster.simulation import PlacedReplica
from harness.evaluation.engine import PoolRequest
from harness.evaluation.messages import Fatal
from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from tasks.errors import SimulatorError

_LOSSES = 3
"""Deaths of each replica, without one of them ready in between, that end a run."""


class _Replica:
    def __init__(self, number: int, actor: Any) -> None:
        self.number, self.actor = number, actor
        self.node: NodeFacts | None = None
        self.ready = False
        self.since = time.monotonic()


class ReplicaSet:
    """Copies of a policy on the cluster.

    Args:
        count: How many.
        on_gpus: Give each a GPU.
    """

    def __init__(self, count: int, *, on_gpus: bool) -> None:
        self.on_gpus = on_gpus
        self._count = count
        self._made_for: tuple[PolicyConfig, int] | None = None
        self._max_batch: int | None = None
        self._replicas: dict[int, _Replica] = {}
        self._awaited: dict[Any, _Replica] = {}
        self._next = 0
        self._losses = 0

    @property
    def cpus(self) -> int:
        """CPUs that all of them take."""
        return self._count

    @property
    def awaited(self) -> list[Any]:
        """References that are resolved when a replica has a place, is ready, or dies."""
        return list(self._awaited)

    @property
    def ready(self) -> int:
        """How many have loaded the policy."""
        return sum(replica.ready for replica in self._replicas.values())

    @property
    def all_ready(self) -> bool:
        """Whether all have."""
        return self.ready == self._count

    @property
    def placed(self) -> list[PlacedReplica]:
        """Those that can be asked."""
        return [
            PlacedReplica(number=each.number, actor=each.actor, node=each.node.node)
            for each in self._replicas.values()
            if each.ready and each.node is not None
        ]

    @property
    def nodes(self) -> list[str]:
        """Ray's name of the node of each that has a place."""
        return [each.node.node for each in self._replicas.values() if each.node is not None]

    @property
    def waiting_s(self) -> float:
        """For how long one has been waiting for a place; 0 if none is."""
        since = [each.since for each in self._replicas.values() if each.node is None]
        return time.monotonic() - min(since) if since else 0.0

    def open(self, request: PoolRequest) -> None:
        """Start the replicas of a policy, unless the run before left them."""
        asked = request.policy, request.threads
        if asked != self._made_for:
            self.end()
            self._made_for = asked
        self._max_batch = request.max_batch
        for replica in self._replicas.values():
            replica.actor.limit.remote(self._max_batch)
        self._losses = 0
        while len(self._replicas) < self._count:
            self._start()

    def take(self, reference: Any, here: NodeFacts) -> bool:
        """Take what a reference was resolved to; return whether other replicas are there now.

        Args:
            reference: One of ``awaited``.
            here: The driver's node.

        Raises:
            PrerequisiteError: A replica's node has other versions than the driver's.
            HarnessError: The policy cannot be built.
            SimulatorError: Replicas die again and again.
        """
        replica = self._awaited.pop(reference)
        try:
            answer = ray.get(reference)
        except RayError as error:
            self._replace(replica, error)
            return True
        if isinstance(answer, Fatal):
            raise answer.exception()
        if isinstance(answer, NodeFacts):
            check_node(answer, here)
            replica.node = answer
            self._awaited[replica.actor.load.remote()] = replica
            return False
        replica.ready = True
        self._awaited[replica.actor.live.remote()] = replica
        return True

    def time_batch(self, requests: Sequence[PlanRequest]) -> float:
        """Have a replica that is ready plan for requests at once; return the seconds.

        Raises:
            SimulatorError: It died.
        """
        begun = time.perf_counter()
        try:
            ray.get(self.placed[0].actor.warm.remote(list(requests)))
        except RayError as error:
            raise SimulatorError(
                f"A replica of the policy died over {len(requests)} plans at once. Fix: give a "
                "smaller --max-batch."
            ) from error
        return time.perf_counter() - begun

    def end(self) -> None:
        """End all replicas."""
        for replica in self._replicas.values():
            with contextlib.suppress(RayError, ValueError):
                ray.kill(replica.actor)
        self._replicas.clear()
        self._awaited.clear()

    def _start(self) -> None:
        assert self._made_for is not None
        number, self._next = self._next, self._next + 1
        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": 1 if self.on_gpus else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
        }
        actor = (
            ray.remote(PolicyReplica).options(**options).remote(*self._made_for, self._max_batch)
        )
        replica = self._replicas[number] = _Replica(number, actor)
        self._awaited[actor.inspect.remote()] = replica

    def _replace(self, replica: _Replica, error: RayError) -> None:
        if replica.ready:
            self._losses = 0
        self._losses += 1
        del self._replicas[replica.number]
        if self._losses >= _LOSSES * self._count:
            why = " ".join(str(error).split())[:300]
            raise SimulatorError(
                f"{self._losses} replicas of the policy died before they were ready. The last: "
                f"{why}. Fix: fewer --replicas if memory is short. Finished episodes are kept."
            )
        self._start()
