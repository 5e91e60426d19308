"""The actor of a simulation: it holds a worker process on its node and speaks for it.

The worker is the local engine's, so an episode runs as it does there. The actor hands its requests
for plans to a replica of the policy, without the driver, and the rest to the driver.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from harness.cluster.nodes import NodeFacts, node_facts, use_local_cache
from harness.cluster.outbox import Outbox
from harness.cluster.replica import Answer, ReplicaPlan
from harness.evaluation.messages import (
    EpisodeDone,
    Fatal,
    Heartbeat,
    Planning,
    PlanQuery,
    PlanReply,
    Stop,
)
from harness.evaluation.worker import WorkerSetup
from harness.evaluation.workers import Worker, WorkerPool
from policies.interface import PlanRequest

_LISTEN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class PlacedReplica:
    """A replica of the policy, and the node it is on."""

    number: int
    actor: Any
    node: str


@dataclass(frozen=True, kw_only=True)
class FilmedEpisode:
    """A finished episode with the file of its video, which the driver writes."""

    done: EpisodeDone
    video: bytes


@dataclass(frozen=True, kw_only=True)
class WorkerEnded:
    """The worker process is gone: how it ended, and its log."""

    reason: str
    log: str


class SimulationHost:
    """Runs one worker process.

    Args:
        setup: What the worker works with; its folder is replaced by one of this node.
        number: The worker's number.
        receive_timeout_s: Seconds that a message, once begun, may take to arrive.
        news_every_s: Seconds for which news of how far an episode has come may wait: each costs
            the driver a call.
        local_cache: Keep compiled models on this node's disk.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        number: int,
        *,
        receive_timeout_s: float,
        news_every_s: float,
        local_cache: bool,
    ) -> None:
        self._number = number
        self._folder = Path(tempfile.mkdtemp(prefix="libero-bench-worker-"))
        self._pool = WorkerPool(
            1, replace(setup, folder=self._folder), receive_timeout_s=receive_timeout_s
        )
        self._worker: Worker | None = None
        self._listening: asyncio.Task[None] | None = None
        self._outbox = Outbox(min(news_every_s, receive_timeout_s / 10))
        self._replicas = _ReplicaChooser(number)
        if local_cache:
            use_local_cache()

    async def inspect(self) -> NodeFacts:
        """Describe the node; the first answer shows that the actor has a place."""
        return node_facts()

    async def begin(self, replicas: Sequence[PlacedReplica]) -> None:
        """Start the worker process.

        Args:
            replicas: The replicas there are so far; none for a policy that plans in the worker.
        """
        self._replicas.use(replicas, node_facts().node)
        # A spawned process would import the main module, which is Ray's, and Ray with it.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._worker = self._pool.start()
        self._listening = asyncio.get_running_loop().create_task(self._speak_for(self._worker))

    async def use_replicas(self, replicas: Sequence[PlacedReplica]) -> None:
        """Take note of the replicas that are there now."""
        self._replicas.use(replicas, node_facts().node)

    async def send(self, message: object) -> None:
        """Send the worker a message."""
        assert self._worker is not None, "begin() comes first"
        self._worker.send(message)

    async def messages(self) -> list[object]:
        """Wait for messages to the driver; return all there are, oldest first."""
        return await self._outbox.take()

    async def kill_hung(self) -> str:
        """Kill a worker that hangs; return where it hung."""
        if self._worker is None:
            return ""
        return await asyncio.to_thread(self._pool.kill_hung, self._worker)

    async def end(self) -> None:
        """End the worker process and remove this node's folder."""
        if self._listening is not None:
            self._listening.cancel()
        worker = self._worker
        if worker is not None:
            worker.send(Stop())
            await asyncio.to_thread(worker.process.join, 5)
            worker.process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _speak_for(self, worker: Worker) -> None:
        """Pass the worker's messages on until it is gone, or this actor cannot."""
        try:
            await self._listen(worker)
        except Exception as error:  # nobody else would hear of it
            why = f"The simulation's actor broke ({type(error).__name__}: {error})"
            self._outbox.post(WorkerEnded(reason=why, log=self._log()))

    async def _listen(self, worker: Worker) -> None:
        """Take the worker's messages until it is gone."""
        while True:
            if not await asyncio.to_thread(self._pool.readable, _LISTEN_S):
                continue
            message = await asyncio.to_thread(worker.receive)
            if isinstance(message, PlanQuery):
                await self._plan(worker, message.request)
            elif message is None:
                tail = self._log()
                self._outbox.post(WorkerEnded(reason=self._pool.reap(worker), log=tail))
                return
            elif isinstance(message, Heartbeat):
                self._outbox.report(message)
            else:
                self._outbox.post(self._with_video(message))

    async def _plan(self, worker: Worker, request: PlanRequest) -> None:
        self._outbox.report(Planning(step=request.step))
        answer = await self._replicas.plan(request)
        if isinstance(answer, Fatal):
            self._outbox.post(answer)
            return
        worker.send(answer.reply)
        if answer.notes:
            self._outbox.post(answer.notes)
        self._outbox.report(Heartbeat(step=request.step))

    def _with_video(self, message: object) -> object:
        if not isinstance(message, EpisodeDone) or message.record.video is None:
            return message
        path = self._folder / message.record.video
        content = path.read_bytes()
        path.unlink()
        return FilmedEpisode(done=message, video=content)

    def _log(self) -> str:
        path = Path(self._pool.log(self._worker)) if self._worker is not None else Path()
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


class _ReplicaChooser:
    """Asks one replica throughout an episode, on its own node if there is one.

    Args:
        number: The simulation's, which spreads simulations over replicas.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._replicas: dict[int, PlacedReplica] = {}
        self._node = ""
        self._chosen: PlacedReplica | None = None
        self._dead: set[int] = set()
        self._available = asyncio.Event()

    def use(self, replicas: Sequence[PlacedReplica], node: str) -> None:
        """Choose among these from the next episode on."""
        self._node = node
        living = {each.number: each for each in replicas if each.number not in self._dead}
        self._replicas = living
        if living:
            self._available.set()

    async def plan(self, request: PlanRequest) -> Answer:
        """Ask the episode's replica, or choose one at its first step."""
        if request.step == 0:
            self._chosen = await self._choose()
        assert self._chosen is not None, "an episode begins at step 0"
        try:
            answer: Answer = await self._chosen.actor.plan.remote(request)
        except RayError as error:
            number = self._chosen.number
            self._dead.add(number)
            self._replicas.pop(number, None)
            reason = f"Replica {number} of the policy is gone ({type(error).__name__})"
            return ReplicaPlan(reply=PlanReply(error=reason))
        return answer

    async def _choose(self) -> PlacedReplica:
        while not self._replicas:
            self._available.clear()
            await self._available.wait()
        here = [each for each in self._replicas.values() if each.node == self._node]
        candidates = sorted(here or self._replicas.values(), key=lambda each: each.number)
        return candidates[self._number % len(candidates)]
