"""The engine that runs simulations and replicas on a Ray cluster."""

import contextlib
from dataclasses import replace
from typing import Self

from harness.capacity import default_workers
from harness.cluster.connection import open_cluster
from harness.cluster.nodes import alive_nodes, gpus, room
from harness.cluster.pool import RayPool
from harness.cluster.replicas import ReplicaSet
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.engine import PoolRequest
from policies.registry import AnyPolicy, PolicyConfig


class RayEngine:
    """A cluster that was joined, or started on this machine.

    Args:
        options: Which cluster, how many replicas and, for a cluster that is started, workers.
    """

    renders_here = False

    def __init__(self, options: EvaluationConfig) -> None:
        self._options = options
        self._stack = contextlib.ExitStack()
        self._sets: dict[bool, ReplicaSet] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(open_cluster(self._options, actors=self._actors()))
            stack.callback(self._end_replicas)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def replicas(self) -> int:
        """Copies of the policy: as many as asked for, or one for each GPU, or one."""
        return self._options.replicas or max(gpus(alive_nodes()), 1)

    def default_workers(self) -> int:
        """Return how many simulations the nodes have room for beside the replicas."""
        return max(room(alive_nodes()) - self.replicas, 1)

    def build_policy(self, config: PolicyConfig) -> AnyPolicy:
        """Build the policy to look at it; on the CPU where only other nodes have GPUs."""
        if config.device.startswith("cuda"):
            import torch

            if not torch.cuda.is_available():
                config = replace(config, device="cpu")
        return config.build()

    def device(self, config: PolicyConfig, own: object) -> str | None:
        """Return the kind of the replicas' device; None for a policy without one."""
        if own is None:
            return None
        return "cuda" if self._on_gpus(config) else "cpu"

    def open_pool(self, request: PoolRequest) -> RayPool:
        """Start simulations, and replicas unless those of the run before can be kept."""
        replicas = None
        if request.setup.policy is None:
            on_gpus = self._on_gpus(request.policy)
            replicas = self._sets.setdefault(on_gpus, ReplicaSet(self.replicas, on_gpus=on_gpus))
            request = replace(
                request,
                policy=replace(request.policy, device="cuda" if on_gpus else "cpu"),
            )
        count = min(request.workers or self.default_workers(), request.episodes)
        joined = self._options.address is not None
        return RayPool(request, count, replicas, local_cache=joined)

    def _actors(self) -> int:
        """Return how many actors run on a cluster that is started here."""
        workers = self._options.workers
        return (workers if isinstance(workers, int) else default_workers()) + (
            self._options.replicas or 1
        )

    def _on_gpus(self, config: PolicyConfig) -> bool:
        if config.device == "auto":
            return gpus(alive_nodes()) > 0
        return config.device.startswith("cuda")

    def _end_replicas(self) -> None:
        for replicas in self._sets.values():
            replicas.end()
