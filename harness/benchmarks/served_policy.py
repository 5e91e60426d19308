"""A policy server in a process of its own, for benchmarks: an RDT, or a double of known speed."""

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Self

import numpy as np
import torch

from harness.benchmarks.config import PolicyCase
from harness.benchmarks.policy_workload import build_case
from harness.parent import end_with
from harness.processes import worker_variables
from harness.serving.config import ServedPolicy, ServingConfig
from harness.serving.rdt_service import RDTService
from harness.serving.server import PolicyServer
from policies.interface import PlanRequest
from policies.rdt.policy import RDTPolicy
from tasks.errors import HarnessError, SimulatorError
from tasks.native_libraries import environment_variables
from tasks.observation import FloatArray

_START_S = 120.0


class FixedTimeService(RDTService):
    """A double: its plans stand still, and a batch takes the same time whatever its size.

    Args:
        policy: What it says it is.
        max_batch: The largest batch.
        seconds: What a batch takes.
    """

    def __init__(self, policy: RDTPolicy, *, max_batch: int, seconds: float) -> None:
        super().__init__(policy, max_batch=max_batch)
        self._seconds = seconds

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Sleep, then return deltas of zero, or goals at the origin without a turn."""
        time.sleep(self._seconds)
        plan = np.zeros((self.contract.horizon, self.layout.width))
        if self.layout.holds_goals:
            plan[:, 3] = plan[:, 7] = 1.0  # the first two columns of the identity
        return [plan for _ in requests]


class ServedPolicyProcess:
    """A server on this machine; use it in a ``with`` block.

    Args:
        checkpoint: The checkpoint; None for ``rdt-small`` with random weights.
        max_batch: Plans in one forward pass.
        max_wait_ms: Milliseconds that a request waits for others.
        threads: Threads of the policy.
        batch_ms: Milliseconds that each batch takes instead of being computed; None to compute.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(
        self,
        checkpoint: str | None,
        *,
        max_batch: int,
        max_wait_ms: float,
        threads: int,
        batch_ms: float | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        config = ServingConfig(
            served=ServedPolicy(checkpoint=checkpoint or "", device="cpu"),
            port=0,
            max_batch=max_batch,
            max_wait_ms=max_wait_ms,
            threads=threads,
        )
        self._process = context.Process(
            target=_serve, args=(theirs, os.getpid(), config, batch_ms), daemon=True
        )
        self._theirs = theirs
        self.port = 0

    def __enter__(self) -> Self:
        with environment_variables(worker_variables(1)):
            self._process.start()
        self._theirs.close()
        answer = self._receive(_START_S)
        if isinstance(answer, HarnessError):
            raise answer
        self.port = int(answer)
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(10)
        self._process.kill()

    def batches(self) -> dict[int, int]:
        """Return how many batches of each size were planned so far."""
        self._pipe.send("batches")
        batches: dict[int, int] = self._receive(_START_S)
        return batches

    def _receive(self, timeout: float) -> Any:
        try:
            if self._pipe.poll(timeout):
                return self._pipe.recv()
        except (EOFError, OSError):
            pass
        raise SimulatorError(
            f"The server's process ended with code {self._process.exitcode} or said nothing for "
            f"{timeout:g} s. Fix: serve the checkpoint with 'libero-bench serve' to see why."
        )


def _serve(pipe: Connection, parent: int, config: ServingConfig, batch_ms: float | None) -> None:
    end_with(parent)
    try:
        policy = _policy(config)
        service: RDTService = RDTService(policy, max_batch=config.max_batch)
        if batch_ms is not None:
            service = FixedTimeService(policy, max_batch=config.max_batch, seconds=batch_ms / 1e3)
        server = PolicyServer(service, config, checkpoint={})
    except HarnessError as error:
        pipe.send(error)
        return
    asyncio.run(_run(server, pipe))


def _policy(config: ServingConfig) -> RDTPolicy:
    if not config.served.checkpoint:
        torch.set_num_threads(config.threads)
        network, contract = build_case(PolicyCase(preset="rdt-small"))
        return RDTPolicy(network, contract, batch_size=1)
    policy = config.served.policy.build()
    assert isinstance(policy, RDTPolicy)
    return policy


async def _run(server: PolicyServer, pipe: Connection) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def answer() -> None:
        try:
            while pipe.recv():
                pipe.send(dict(server.batches))
        except (EOFError, OSError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=answer, daemon=True).start()
    await server.run(pipe.send, stop)
