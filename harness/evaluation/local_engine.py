"""The engine of one machine: worker processes, and replicas of the policy where asked for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Self

from harness.capacity import default_workers
from harness.engines import ReplicaOptions
from harness.evaluation.engine import PoolRequest
from harness.evaluation.replicas import Replicas
from harness.evaluation.replicated_pool import ReplicatedPool
from harness.evaluation.workers import WorkerPool
from policies.registry import AnyPolicy, PolicyConfig


class LocalEngine:
    """Processes of this machine. Worker processes stay for the next run, and end with the block.

    Args:
        options: Replicas and their devices; without any, the caller's policy plans.
    """

    renders_here = True

    def __init__(self, options: ReplicaOptions) -> None:
        self._devices = options.devices
        asked = options.replicas or len(options.devices)
        self.replicas = asked if asked > 1 or options.devices else 0
        self._idle: WorkerPool | None = None
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._idle = None
        self._ending.__exit__(*error)

    def default_workers(self) -> int:
        """Return how many simulations fit this machine now."""
        return default_workers()

    def build_policy(self, config: PolicyConfig) -> AnyPolicy:
        """Build the policy on the first device."""
        return replace(config, device=self._devices[0]).build() if self._devices else config.build()

    def device(self, config: PolicyConfig, own: object) -> object:
        """Return the device of the policy as it was built: the first replica's."""
        return own

    def open_pool(self, request: PoolRequest) -> AbstractContextManager[WorkerPool]:
        """Start worker processes, or take those of the run before; and start replicas."""
        count = min(request.workers or self.default_workers(), request.episodes)
        if not self.replicas or request.setup.policy is not None:
            return self._worker_pool(count, request)
        devices = self._devices or gpus_for(request.policy, self.replicas)
        policies = [
            replace(request.policy, device=devices[number % len(devices)])
            for number in range(self.replicas)
        ]
        replicas = Replicas(
            policies,
            threads=request.threads,
            max_batch=request.max_batch,
            receive_timeout_s=request.hang_after_s,
        )
        return ReplicatedPool(
            count, request.setup, replicas, receive_timeout_s=request.hang_after_s
        )

    @contextmanager
    def _worker_pool(self, count: int, request: PoolRequest) -> Iterator[WorkerPool]:
        """Open a pool that stays idle where the block ends well."""
        patience_s = request.hang_after_s
        with self._ending.pop_all() as ending:
            pool, self._idle = self._idle, None
            if pool is None:
                pool = WorkerPool(count, request.setup, receive_timeout_s=patience_s)
                ending.enter_context(pool)
            else:
                pool.take_over(count, request.setup, receive_timeout_s=patience_s)
            yield pool
            self._idle, self._ending = pool, ending.pop_all()


def gpus_for(policy: PolicyConfig, replicas: int) -> tuple[str, ...]:
    """Return the devices of replicas where none are named: all GPUs, or what the policy says."""
    if policy.device not in ("auto", "cuda"):
        return (policy.device,)
    import torch

    count = torch.cuda.device_count()
    return tuple(f"cuda:{number}" for number in range(min(count, replicas))) or (policy.device,)
