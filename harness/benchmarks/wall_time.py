"""How long many episodes take with other numbers of workers and replicas, from measured rates.

The queue is played through, not the simulator: a worker simulates what was measured between two
plans, then asks its replica of the policy; an idle replica plans for all that wait, up to the
largest batch, in the time measured for that many.
"""

import heapq
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class EpisodeRate:
    """An episode that was played.

    Attributes:
        plans: How many times the policy was asked.
        simulation_s: Seconds that it took beside planning.
    """

    plans: int
    simulation_s: float


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What one worker and one replica take.

    Attributes:
        start_s: Seconds before the first episode, and after the last.
        episodes: Episodes by one worker.
        batch_s: Seconds of a batch, by its size; sizes between are interpolated.
    """

    start_s: float
    episodes: tuple[EpisodeRate, ...]
    batch_s: Mapping[int, float]

    @property
    def plans(self) -> float:
        """Mean plans of an episode."""
        return sum(each.plans for each in self.episodes) / len(self.episodes)

    @property
    def simulation_s(self) -> float:
        """Mean seconds of an episode beside planning."""
        return sum(each.simulation_s for each in self.episodes) / len(self.episodes)

    def of_batch(self, size: int) -> float:
        """Return the seconds of a batch."""
        sizes = sorted(self.batch_s)
        return float(np.interp(size, sizes, [self.batch_s[each] for each in sizes]))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How long episodes would take.

    Attributes:
        workers: Workers in all.
        replicas: Replicas of the policy, between which the workers are divided.
        wall_s: Seconds from the start to the last record.
        busy: Share of the time that a replica plans.
        batch: Mean number of plans in a batch.
    """

    workers: int
    replicas: int
    wall_s: float
    busy: float
    batch: float


def predict(
    rates: Rates,
    *,
    episodes: int,
    workers: int,
    replicas: int,
    max_batch: int,
    cores: int = 0,
) -> Prediction:
    """Play the queue through.

    Args:
        rates: What one worker and one replica take.
        episodes: Episodes in all, drawn from those of the rates; the same ones in every call.
        workers: Workers in all.
        replicas: Replicas of the policy.
        max_batch: The largest batch.
        cores: Cores that workers and policy share: the work is then done no sooner than these can.
            0 if every worker has a core and every replica a device.
    """
    queue = _Queue(rates, _drawn(rates.episodes, episodes), workers, replicas, max_batch)
    seconds = queue.run()
    if cores:
        seconds = max(seconds, (queue.simulated_s + queue.planned_s) / cores)
    return Prediction(
        workers=workers,
        replicas=replicas,
        wall_s=rates.start_s + seconds,
        busy=queue.planned_s / (replicas * seconds),
        batch=queue.plans / max(1, queue.batches),
    )


def _drawn(episodes: Sequence[EpisodeRate], count: int) -> deque[EpisodeRate]:
    """Draw as many episodes: all of them in turn, each round in an order of its own."""
    rng, drawn = random.Random(0), deque[EpisodeRate]()
    while len(drawn) < count:
        drawn.extend(rng.sample(episodes, len(episodes)))
    while len(drawn) > count:
        drawn.pop()
    return drawn


class _Queue:
    """Workers, replicas and what happens next.

    Attributes:
        plans: Plans made.
        batches: Batches they were made in.
        planned_s: Seconds of planning, of all replicas.
        simulated_s: Seconds of simulation, of all workers.
    """

    def __init__(
        self,
        rates: Rates,
        episodes: deque[EpisodeRate],
        workers: int,
        replicas: int,
        max_batch: int,
    ) -> None:
        self._rates, self._episodes, self._max_batch = rates, episodes, max_batch
        self._workers = workers
        self._waiting: list[deque[int]] = [deque() for _ in range(replicas)]
        self._planning: list[list[int]] = [[] for _ in range(replicas)]
        self._left = [0] * workers
        self._pace = [0.0] * workers
        self._events: list[tuple[float, int, bool]] = []
        self.plans = self.batches = 0
        self.planned_s = self.simulated_s = 0.0

    def run(self) -> float:
        """Return the seconds until the last episode is over."""
        now = 0.0
        for worker in range(self._workers):
            self._begin(worker, now)
        while self._events:
            now, number, is_replica = heapq.heappop(self._events)
            if is_replica:
                for worker in self._planning[number]:
                    self._simulate(worker, now)
                self._planning[number] = []
            else:
                number = self._ask(number, now)
            self._plan(number, now)
        return now

    def _begin(self, worker: int, now: float) -> None:
        if self._episodes:
            episode = self._episodes.popleft()
            self._left[worker] = max(1, episode.plans)
            self._pace[worker] = episode.simulation_s / self._left[worker]
            heapq.heappush(self._events, (now, worker, False))

    def _ask(self, worker: int, now: float) -> int:
        """Let a worker ask for a plan, of the next episode if its own is over."""
        replica = worker % len(self._waiting)
        if self._left[worker] == 0:
            self._begin(worker, now)
        else:
            self._left[worker] -= 1
            self._waiting[replica].append(worker)
        return replica

    def _simulate(self, worker: int, now: float) -> None:
        self.simulated_s += self._pace[worker]
        heapq.heappush(self._events, (now + self._pace[worker], worker, False))

    def _plan(self, replica: int, now: float) -> None:
        waiting = self._waiting[replica]
        if self._planning[replica] or not waiting:
            return
        batch = [waiting.popleft() for _ in range(min(self._max_batch, len(waiting)))]
        seconds = self._rates.of_batch(len(batch))
        self._planning[replica] = batch
        self.plans, self.batches = self.plans + len(batch), self.batches + 1
        self.planned_s += seconds
        heapq.heappush(self._events, (now + seconds, replica, True))
