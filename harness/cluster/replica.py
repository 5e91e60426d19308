"""The actor of a copy of the policy: requests queue up, and what waits becomes one batch."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.cluster.nodes import NodeFacts, node_facts
from harness.evaluation.latency import torch_threads
from harness.evaluation.messages import NOTHING_TO_NOTE, Fatal, PlanNotes, PlanReply
from harness.evaluation.planning import PlanService
from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from tasks.errors import HarnessError


@dataclass(frozen=True, kw_only=True)
class ReplicaPlan:
    """A replica's reply to one request, and what came up over its batch, in one reply only."""

    reply: PlanReply
    notes: PlanNotes = NOTHING_TO_NOTE


Answer = ReplicaPlan | Fatal


class PolicyReplica:
    """Plans for the simulations that ask it, in a thread of its own.

    Args:
        policy: Builds the policy.
        threads: Threads on a CPU.
        max_batch: Plans that the policy is asked for at once, at most; None without a limit.
    """

    def __init__(self, policy: PolicyConfig, threads: int, max_batch: int | None) -> None:
        self._policy, self._threads, self._max_batch = policy, threads, max_batch
        self._executor = ThreadPoolExecutor(1, "policy")
        self._service: PlanService | None = None
        self._waiting: list[tuple[PlanRequest, asyncio.Future[Answer]]] = []
        self._busy = False
        self._work_task: asyncio.Task[None] | None = None  # the loop alone would let it go

    async def inspect(self) -> NodeFacts:
        """Describe the node; the first answer shows that the actor has a place."""
        return node_facts()

    async def load(self) -> Fatal | None:
        """Build the policy; return why that is impossible, if it is."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._build)

    async def plan(self, request: PlanRequest) -> Answer:
        """Return the plan for a request."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, answer))
        if not self._busy:
            self._busy = True
            self._work_task = loop.create_task(self._work(loop))
        return await answer

    async def limit(self, max_batch: int | None) -> None:
        """Ask the policy for at most so many plans at once from now on."""
        self._max_batch = max_batch

    async def warm(self, requests: list[PlanRequest]) -> None:
        """Plan for requests at once, for whoever times it; the plans go nowhere."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._plan, requests)

    async def live(self) -> None:
        """Never return: whoever waits for this learns when the actor dies."""
        await asyncio.Event().wait()

    def _build(self) -> Fatal | None:
        try:
            self._service = PlanService(self._policy.build())
        except HarnessError as error:
            return Fatal.of(error)
        return None

    async def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Plan batch after batch until nothing waits."""
        try:
            while self._waiting:
                batch = self._waiting[: self._max_batch]
                del self._waiting[: len(batch)]
                requests = [request for request, _ in batch]
                answers = await loop.run_in_executor(self._executor, self._plan, requests)
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        finally:
            self._busy = False

    def _plan(self, requests: list[PlanRequest]) -> list[Answer]:
        assert self._service is not None, "load() comes first"
        try:
            with torch_threads(self._threads):
                first, *others = self._service.plan(requests)
        except HarnessError as error:
            return [Fatal.of(error)] * len(requests)
        return [
            ReplicaPlan(reply=first, notes=self._service.notes()),
            *(ReplicaPlan(reply=reply) for reply in others),
        ]
