"""Plans for the requests of several clients, several in one forward pass."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from policies.interface import PlanRequest
from tasks.observation import FloatArray

PlanMaker = Callable[[Sequence[PlanRequest]], list[FloatArray]]
"""Plans for requests; it may raise."""


@dataclass(frozen=True, kw_only=True)
class TimedPlan:
    """A plan and what it took.

    Attributes:
        plan: (horizon, width).
        batch: Plans of the same forward pass, this one included.
        wait_ms: Milliseconds between the request and the forward pass.
        infer_ms: Milliseconds of the forward pass.
    """

    plan: FloatArray
    batch: int
    wait_ms: float
    infer_ms: float


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    request: PlanRequest
    answer: "asyncio.Future[TimedPlan]"
    since: float


class BatchPlanner:
    """Gathers requests and has them planned in a thread of its own, one batch after another.

    A batch begins as soon as it is full, or as many requests wait as clients are connected, or
    the first has waited long enough since the model was free: those whose plans have just been made
    ask again at once, and would otherwise wait for a batch without them. The model has one thread:
    it is never entered twice, and connections are read meanwhile.

    Args:
        make_plans: Plans for the requests of a batch.
        max_batch: Requests in a batch.
        max_wait_s: Seconds that a request waits for others while the model is free.
        prepare: Called once in the model's thread.

    Attributes:
        clients: How many clients are connected; kept by who accepts them.
        batches: How many batches of each size were planned.
    """

    def __init__(
        self,
        make_plans: PlanMaker,
        *,
        max_batch: int,
        max_wait_s: float,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self._make_plans, self._max_batch, self._max_wait_s = make_plans, max_batch, max_wait_s
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._executor = ThreadPoolExecutor(1, "policy", initializer=prepare)
        self._free_since = 0.0
        self.clients = 0
        self.batches: dict[int, int] = {}

    async def plan(self, request: PlanRequest) -> TimedPlan:
        """Return the plan for a request.

        Raises:
            Exception: What the policy raised on this request; others of its batch have plans.
        """
        answer: asyncio.Future[TimedPlan] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Waiting(request=request, answer=answer, since=time.monotonic()))
        return await answer

    async def run(self) -> None:
        """Plan batch after batch until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                batch = [each for each in await self._gather() if not each.answer.done()]
                if batch:
                    requests = [each.request for each in batch]
                    begun = time.monotonic()
                    plans = await loop.run_in_executor(self._executor, self._plan_all, requests)
                    self._answer(batch, plans, begun)
                    self._free_since = time.monotonic()
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._queue.get()]
        deadline = max(batch[0].since, self._free_since) + self._max_wait_s
        while len(batch) < self._max_batch:
            try:
                batch.append(self._queue.get_nowait())
                continue
            except asyncio.QueueEmpty:
                left = deadline - time.monotonic()
            if left <= 0 or len(batch) >= self.clients:
                break
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), left))
            except TimeoutError:
                break
        return batch

    def _plan_all(self, requests: list[PlanRequest]) -> list[FloatArray | Exception]:
        """Plan for all at once; where that fails, for each alone, so that one spoils no other."""
        try:
            return list(self._make_plans(requests))
        except Exception as error:
            if len(requests) == 1:
                return [error]
        return [self._plan_all([request])[0] for request in requests]

    def _answer(
        self, batch: list[_Waiting], plans: list[FloatArray | Exception], begun: float
    ) -> None:
        infer_ms = 1e3 * (time.monotonic() - begun)
        self.batches[len(batch)] = self.batches.get(len(batch), 0) + 1
        for each, plan in zip(batch, plans, strict=True):
            if each.answer.done():  # its client has gone
                continue
            if isinstance(plan, Exception):
                each.answer.set_exception(plan)
                continue
            wait_ms = 1e3 * (begun - each.since)
            each.answer.set_result(
                TimedPlan(plan=plan, batch=len(batch), wait_ms=wait_ms, infer_ms=infer_ms)
            )
