"""When what a simulation's actor has to say reaches the driver."""

import asyncio

from harness.cluster.outbox import Outbox
from harness.evaluation.messages import Heartbeat, Planning, Ready


def test_a_message_goes_at_once_after_the_latest_news() -> None:
    async def talk() -> list[object]:
        outbox = Outbox(3600.0)
        outbox.report(Planning(step=0))
        outbox.report(Heartbeat(step=0))
        outbox.report(Planning(step=16))
        outbox.post(Ready())
        outbox.post(Ready())
        return await asyncio.wait_for(outbox.take(), 10)

    assert asyncio.run(talk()) == [Planning(step=16), Ready(), Ready()]


def test_news_alone_wait_for_later_news() -> None:
    async def talk() -> tuple[bool, list[object]]:
        outbox = Outbox(0.2)
        outbox.report(Planning(step=0))
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        waits = not taking.done()
        outbox.report(Heartbeat(step=0))
        return waits, await asyncio.wait_for(taking, 10)

    assert asyncio.run(talk()) == (True, [Heartbeat(step=0)])


def test_nothing_is_said_twice_and_later_news_are_told_too() -> None:
    async def talk() -> list[list[object]]:
        outbox = Outbox(0.05)
        taken = []
        for step in (0, 16):
            outbox.report(Heartbeat(step=step))
            taken.append(await asyncio.wait_for(outbox.take(), 10))
        outbox.report(Heartbeat(step=32))
        outbox.post(Ready())
        taken.append(await asyncio.wait_for(outbox.take(), 10))
        nothing_left = asyncio.create_task(outbox.take())
        await asyncio.sleep(0.2)  # four times as long as news may wait
        assert not nothing_left.done()
        nothing_left.cancel()
        return taken

    assert asyncio.run(talk()) == [
        [Heartbeat(step=0)],
        [Heartbeat(step=16)],
        [Heartbeat(step=32), Ready()],
    ]
