"""The actors of a run, as the dispatcher sees them."""

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from harness.cluster.nodes import (
    WORKER_BYTES,
    NodeFacts,
    alive_nodes,
    check_node,
    node_facts,
    room,
    simulation_variables,
)
from harness.cluster.places import is_starting, whom_to_withdraw
from harness.cluster.replicas import ReplicaSet
from harness.cluster.simulation import FilmedEpisode, SimulationHost, WorkerEnded
from harness.evaluation.engine import PoolRequest
from harness.evaluation.messages import Placed, Withdrawn
from harness.evaluation.worker import worker_log
from harness.processes import EndsWithBlock
from policies.interface import PlanRequest
from results.folder import VIDEOS_FOLDER
from tasks.errors import ResultsError, SimulatorError
from tasks.files import atomic_file, write_text

_END_S = 6.0
_STACK_S = 5.0
_LOOK_S = 5.0
_START_S = 30.0
"""Seconds that an actor with a place may take to say so."""
_PLACE_S = 600.0
"""Seconds without room after which a run ends: an autoscaler takes minutes to add a node. It does
not depend on how long an episode may hang, which is often far less."""
_LOG_TAIL = 400


class RemoteWorker:
    """A simulation's actor, as the driver sees it.

    Attributes:
        number: Never used twice in an evaluation.
        placed: Whether a node had room for it.
        ready: Whether its worker process has reported for work.
        node: The node; None before it has a place.
    """

    start_tries = 3

    def __init__(self, number: int) -> None:
        self.number = number
        self.actor: Any = None  # while it must not take a replica's place
        self.placed = self.ready = False
        self.node: NodeFacts | None = None
        self.inbox: deque[object] = deque()
        self.reason = ""
        self.tail = ""

    @property
    def host(self) -> str:
        """Name of its node in the network."""
        return self.node.host if self.node is not None else "no node yet"


class RayPool(EndsWithBlock):
    """Simulations and replicas on a cluster. Use it in a ``with`` block; they end with it.

    Args:
        request: What the run needs.
        count: How many simulations.
        replicas: The replicas, started or not; None for a policy that plans in the worker.
        local_cache: Keep compiled models on each node's disk.
    """

    def __init__(
        self,
        request: PoolRequest,
        count: int,
        replicas: ReplicaSet | None,
        *,
        local_cache: bool,
    ) -> None:
        self._request, self._count, self._replicas = request, count, replicas
        self._local_cache = local_cache
        self._here = node_facts()
        self._next = 0
        self._awaited: dict[Any, RemoteWorker] = {}  # by the reference of its next answer
        self._alone_since = time.monotonic()
        self._looked = 0.0
        self._nodes = alive_nodes()
        self.workers: dict[int, RemoteWorker] = {}

    def _open(self) -> None:
        reserved = 0
        if self._replicas is not None:
            self._replicas.open(self._request)
            reserved = self._replicas.cpus
        for _ in range(min(self._count, max(room(self._nodes) - reserved, 1))):
            self._launch(self._add())

    def start(self) -> RemoteWorker:
        """Start one more simulation; it waits for room where there is none.

        It waits for replicas that have no place, too: it could take theirs.
        """
        worker = self._add()
        if self._replicas is None or not self._replicas.waiting_s:
            self._launch(worker)
        return worker

    def _add(self) -> RemoteWorker:
        number, self._next = self._next, self._next + 1
        worker = self.workers[number] = RemoteWorker(number)
        return worker

    def _launch(self, worker: RemoteWorker) -> None:
        """Ask Ray for a place for a simulation."""
        options = {
            "num_cpus": 1,
            "memory": WORKER_BYTES,
            "max_restarts": 0,  # the dispatcher replaces it, and counts its attempts
            "max_task_retries": 0,
            "runtime_env": {"env_vars": simulation_variables()},
        }
        actor = (
            ray.remote(SimulationHost)
            .options(**options)
            .remote(
                self._request.setup,
                worker.number,
                receive_timeout_s=self._request.hang_after_s,
                news_every_s=self._request.news_every_s,
                local_cache=self._local_cache,
            )
        )
        worker.actor = actor
        self._awaited[actor.inspect.remote()] = worker

    def readable(self, timeout: float) -> list[RemoteWorker]:
        """Wait for messages of simulations; see ``SimulationPool``.

        Raises:
            PrerequisiteError: A node has other versions than this one.
            SimulatorError: No node has had room for a simulation for long, or replicas die again
                and again.
            HarnessError: The policy cannot be built.
        """
        if any(worker.inbox for worker in self.workers.values()):
            timeout = 0
        replica_refs = self._replicas.awaited if self._replicas is not None else []
        references = [*self._awaited, *replica_refs]
        if references:
            ray.wait(references, num_returns=1, timeout=timeout)
            done, _ = ray.wait(references, num_returns=len(references), timeout=0)
            for reference in done:
                worker = self._awaited.pop(reference, None)
                if worker is not None:
                    self._receive(worker, reference)
                elif self._replicas is not None:
                    self._take_replica(reference)
        self._start_others()
        self._look()
        return [worker for worker in self.workers.values() if worker.inbox]

    def receive(self, worker: RemoteWorker) -> object:
        """Return a simulation's next message; None if it is gone."""
        message = worker.inbox.popleft()
        if isinstance(message, WorkerEnded):
            worker.reason = f"{message.reason}, on node {worker.host}"
            worker.tail = " ".join(message.log.split())[-_LOG_TAIL:]
            self._keep_log(worker, message.log)
            return None
        if isinstance(message, FilmedEpisode):
            self._keep_video(message)
            return message.done
        return message

    def send(self, worker: RemoteWorker, message: object) -> None:
        """Send a message to a simulation; if it is gone, ``receive`` will show it."""
        worker.actor.send.remote(message)

    def reap(self, worker: RemoteWorker) -> str:
        """Remove a simulation that is gone; return how it ended."""
        self._forget(worker)
        return worker.reason or f"The simulation on node {worker.host} is gone"

    def kill_hung(self, worker: RemoteWorker) -> str:
        """Remove a simulation that hangs; return where it hung, if it can say."""
        stack = ""
        with contextlib.suppress(RayError, GetTimeoutError):
            stack = ray.get(worker.actor.kill_hung.remote(), timeout=_STACK_S)
        self._forget(worker)
        return stack or f"on node {worker.host}"

    def log(self, worker: RemoteWorker) -> str:
        """Return where a simulation's log is, once its worker has ended."""
        return str(worker_log(self._request.setup.folder, worker.number))

    def log_tail(self, worker: RemoteWorker) -> str:
        """Return the last words of a simulation."""
        return worker.tail

    def time_batch(self, requests: Sequence[PlanRequest]) -> float:
        """Have a replica plan for requests at once; return the seconds, transport included."""
        assert self._replicas is not None, "the policy plans in the worker"
        return self._replicas.time_batch(requests)

    def description(self) -> str:
        """Return how many nodes, simulations and replicas work."""
        running = [worker for worker in self.workers.values() if worker.placed]
        nodes = {worker.node.node for worker in running if worker.node is not None}
        waiting = len(self.workers) - len(running)
        parts = [_count(len(nodes), "node"), _count(len(running), "simulation")]
        if self._replicas is not None:
            nodes |= set(self._replicas.nodes)
            parts[0] = _count(len(nodes), "node")
            parts.append(_count(self._replicas.ready, "replica"))
        if waiting:
            parts.append(f"{waiting} waiting for room")
        return ", ".join(parts)

    def _receive(self, worker: RemoteWorker, reference: Any) -> None:
        """Take an answer of a simulation's actor, and ask for the next."""
        try:
            answer = ray.get(reference)
        except RayError as error:
            worker.reason = f"The simulation on node {worker.host} is gone ({describe(error)})"
            worker.inbox.append(None)
            return
        if isinstance(answer, NodeFacts):
            check_node(answer, self._here)
            worker.node, worker.placed = answer, True
            worker.inbox.append(Placed())
            replicas = [] if self._replicas is None else self._replicas.placed
            worker.actor.begin.remote(replicas)
        else:
            worker.inbox.extend(answer)
        self._awaited[worker.actor.messages.remote()] = worker

    def _take_replica(self, reference: Any) -> None:
        assert self._replicas is not None
        if not self._replicas.take(reference, self._here):
            return
        for worker in self.workers.values():
            if worker.placed:
                worker.actor.use_replicas.remote(self._replicas.placed)

    def _start_others(self) -> None:
        """Start the simulations that there was no room for, once all replicas have their places.

        Earlier they could take the replicas' room, and wait for them for ever.
        """
        if self._replicas is None or self._replicas.all_ready:
            while self._next < self._count:
                self._add()
            for worker in self.workers.values():
                if worker.actor is None:
                    self._launch(worker)

    def _look(self) -> None:
        """Now and then see whether there is room for anything."""
        now = time.monotonic()
        if any(worker.placed for worker in self.workers.values()):
            self._alone_since = now
        if now - self._looked < _LOOK_S:
            return
        self._looked, self._nodes = now, alive_nodes()
        waited = now - self._alone_since
        if waited > _PLACE_S and not room(self._nodes):
            raise SimulatorError(
                f"No node has had room for a simulation for {waited:.0f} s: each needs a CPU and "
                f"{WORKER_BYTES / 2**30:g} GiB of memory. Fix: add nodes to the cluster. Finished "
                "episodes are kept."
            )
        if self._replicas is not None and self._replicas.waiting_s > _LOOK_S:
            self._make_room(self._replicas)

    def _make_room(self, replicas: ReplicaSet) -> None:
        """Take a place for a replica that has found none, from simulations without one first.

        Raises:
            SimulatorError: It has been waiting for long.
        """
        if replicas.waiting_s > _PLACE_S:
            raise SimulatorError(
                f"No node has had room for a replica of the policy for {replicas.waiting_s:.0f} s: "
                f"each needs a CPU{' and a GPU' if replicas.on_gpus else ''}. Fix: add nodes to "
                "the cluster, or give fewer --replicas. Finished episodes are kept."
            )
        queued = [each for each in self.workers.values() if each.actor and not each.placed]
        for worker in queued:
            self._awaited = {r: w for r, w in self._awaited.items() if w is not worker}
            _kill(worker.actor)
            worker.actor = None
        free = ray.available_resources().get("CPU", 0.0)
        places = {n: each.node.node for n, each in self.workers.items() if each.node is not None}
        known = len(places) + len(replicas.nodes)
        starting = is_starting(self._nodes, known=known, free_cpus=free)
        if queued or (starting and replicas.waiting_s < _START_S):
            return
        number = whom_to_withdraw(
            self._nodes, places, replicas.nodes, on_gpus=replicas.on_gpus, free_cpus=free
        )
        if number is not None:
            self.workers[number].inbox.append(Withdrawn())

    def _forget(self, worker: RemoteWorker) -> None:
        self._awaited = {r: each for r, each in self._awaited.items() if each is not worker}
        del self.workers[worker.number]
        _kill(worker.actor)

    def _keep_log(self, worker: RemoteWorker, log: str) -> None:
        path = Path(self.log(worker))
        with contextlib.suppress(OSError):  # a log is not worth a run
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, log)

    def _keep_video(self, film: FilmedEpisode) -> None:
        assert film.done.record.video is not None
        path = self._request.setup.folder / film.done.record.video
        try:
            (self._request.setup.folder / VIDEOS_FOLDER).mkdir(exist_ok=True)
            with atomic_file(path) as draft:
                draft.write_bytes(film.video)
        except OSError as error:
            raise ResultsError(
                f"'{path}' could not be written ({error.strerror}): make room or make it writable, "
                "then run the same command again."
            ) from error

    def _end(self, *, kill: bool) -> None:
        endings = [worker.actor.end.remote() for worker in self.workers.values() if worker.placed]
        with contextlib.suppress(RayError):
            if endings:
                ray.wait(endings, num_returns=len(endings), timeout=1.0 if kill else _END_S)
        for worker in self.workers.values():
            _kill(worker.actor)
        self.workers.clear()
        self._awaited.clear()


def _kill(actor: Any) -> None:
    with contextlib.suppress(RayError, ValueError):
        if actor is not None:
            ray.kill(actor)


def describe(error: RayError) -> str:
    """Return an error of Ray's on one line, without its lists of possible causes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines)}"[:_LOG_TAIL]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
