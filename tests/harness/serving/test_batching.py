"""Which requests share a batch."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np

from harness.serving.batching import BatchPlanner
from policies.interface import PlanRequest
from tasks.observation import FloatArray


def request(seed: int) -> PlanRequest:
    return PlanRequest(window=[], instruction="x", seed=seed)


def test_a_client_whose_plan_was_just_made_joins_those_that_waited_meanwhile() -> None:
    """The second asks while the first is planned for, and has waited long when that is done."""
    begun, release = threading.Event(), threading.Event()
    batches: list[list[int]] = []

    def make(requests: Sequence[PlanRequest]) -> list[FloatArray]:
        batches.append([each.seed for each in requests])
        begun.set()
        if len(batches) == 1:
            assert release.wait(20)
        return [np.zeros((1, 7)) for _ in requests]

    async def talk() -> None:
        planner = BatchPlanner(make, max_batch=8, max_wait_s=0.5)
        running = asyncio.create_task(planner.run())
        planner.clients = 1
        first = asyncio.create_task(planner.plan(request(1)))
        await asyncio.to_thread(begun.wait, 20)
        planner.clients = 2
        second = asyncio.create_task(planner.plan(request(2)))
        await asyncio.sleep(0.8)  # longer than a request waits for others
        release.set()
        await first
        again = await planner.plan(request(3))
        assert (await second).batch == again.batch == 2
        running.cancel()

    asyncio.run(talk())
    assert batches == [[1], [2, 3]]
