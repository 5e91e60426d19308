"""How many simulations a policy can plan for, and in what batches, measured before a run.

One simulation runs for some plans and is timed between them; the policy is timed on batches of
made-up requests. No outcome depends on either, and no record is kept of the episode that was begun.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.evaluation.engine import Engine, PoolRequest, SimulationPool
from harness.evaluation.latency import instruction_of, made_up_observation
from harness.evaluation.messages import (
    EpisodeDone,
    EpisodeFailed,
    Fatal,
    Heartbeat,
    Planning,
    PlanQuery,
    Ready,
    RunEpisode,
)
from harness.evaluation.plan import EvaluationPlan
from harness.evaluation.planning import PlanService
from policies.interface import PlanRequest

LOAD = 0.8
"""Most of a policy's plans per second that simulations may ask for. Above it requests queue up."""

SIMULATION_S = 35.0
BATCHES_S = 20.0
"""Seconds that measuring a simulation, its building included, and measuring batches may take."""

_INTERVALS = 12
_REPEATS = 3
_NEAR_BEST = 0.95
_LITTLE_GAIN = 1.05

Clock = Callable[[], float]
TimeBatch = Callable[[Sequence[PlanRequest]], float]
"""Has the policy plan for requests at once; returns the seconds it takes."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What was measured and settled.

    Attributes:
        workers: Simulations.
        max_batch: Plans that the policy is asked for at once, at most.
        fitting: Simulations that the machines have room for.
        simulation_s: Seconds of a simulation between two plans.
        batch_s: Seconds of a policy for a batch, by its size.
        replicas: Copies of the policy.
    """

    workers: int
    max_batch: int
    fitting: int
    simulation_s: float
    batch_s: Mapping[int, float]
    replicas: int

    @property
    def demand(self) -> float:
        """Plans per second that the simulations ask for."""
        return self.workers / self.simulation_s

    @property
    def supply(self) -> float:
        """Plans per second that the replicas give in batches of ``max_batch``."""
        return self.replicas * self.max_batch / self.batch_s[self.max_batch]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for the run."""
        return {
            "workers": self.workers,
            "max_batch": self.max_batch,
            "fitting_workers": self.fitting,
            "simulation_ms_per_plan": round(1e3 * self.simulation_s, 2),
            "batch_ms": {str(size): round(1e3 * s, 2) for size, s in self.batch_s.items()},
            "replicas": self.replicas,
            "demand_plans_per_s": round(self.demand, 2),
            "supply_plans_per_s": round(self.supply, 2),
        }

    def __str__(self) -> str:
        """Return it as a sentence."""
        return (
            f"Measured: a simulation takes {1e3 * self.simulation_s:.0f} ms between plans, the "
            f"policy {1e3 * self.batch_s[self.max_batch]:.0f} ms for {self.max_batch}. Settled: "
            f"--workers {self.workers} of {self.fitting} that fit, --max-batch {self.max_batch}; "
            f"{self.demand:.1f} of {self.supply:.1f} plans/s are asked for."
        )


def settle(
    simulation_s: float,
    batch_s: Mapping[int, float],
    *,
    fitting: int,
    replicas: int,
    workers: int | None = None,
) -> Tuning:
    """Choose the smallest batch that gives nearly most plans, and workers that it can plan for.

    Args:
        simulation_s: Seconds of a simulation between two plans.
        batch_s: Seconds of a policy for a batch, by its size; at least one.
        fitting: Simulations that the machines have room for.
        replicas: Copies of the policy.
        workers: The simulations, if the user has said how many.
    """
    rates = {size: size / seconds for size, seconds in batch_s.items()}
    best = max(rates.values())
    max_batch = min(size for size, rate in rates.items() if rate >= _NEAR_BEST * best)
    affordable = int(LOAD * replicas * rates[max_batch] * simulation_s)
    return Tuning(
        workers=workers or max(min(fitting, affordable), 1),
        max_batch=max_batch,
        fitting=fitting,
        simulation_s=simulation_s,
        batch_s=dict(batch_s),
        replicas=replicas,
    )


def time_batches(
    time_batch: TimeBatch,
    make_request: Callable[[int], PlanRequest],
    *,
    largest: int,
    clock: Clock = time.monotonic,
) -> dict[int, float]:
    """Time a policy on batches of 1, 2, 4 and so on, as long as larger ones give more plans.

    Args:
        time_batch: Times one batch.
        make_request: Gives the request of a number.
        largest: Requests that can wait at once.
        clock: Gives the time in seconds.

    Returns:
        The median seconds for a batch, by its size.
    """
    deadline = clock() + BATCHES_S
    seconds: dict[int, float] = {}
    time_batch([make_request(0)])  # it warms up
    for size in _sizes(largest):
        requests = [make_request(number) for number in range(size)]
        time_batch(requests)
        measured = [
            time_batch(requests) for _ in range(_REPEATS) if not seconds or clock() < deadline
        ]
        if not measured:
            break
        seconds[size] = statistics.median(measured)
        rates = [size / s for size, s in seconds.items()]
        if clock() >= deadline or (len(rates) > 2 and rates[-1] < _LITTLE_GAIN * max(rates[:-1])):
            break
    return seconds


def tune(
    plan: EvaluationPlan, engine: Engine, request: PoolRequest, job: RunEpisode
) -> Tuning | None:
    """Measure for up to a minute and settle workers and batches.

    Args:
        plan: The run.
        engine: What will run it.
        request: What the run needs; ``workers`` and ``max_batch`` are None where they are to be
            settled.
        job: An episode to begin.

    Returns:
        What was settled; None for a policy that plans beside each simulation, and where the
        simulation got no further than its first plan.

    Raises:
        HarnessError: No episode can run.
    """
    if request.setup.policy is not None:
        return None
    fitting = engine.default_workers()
    service = None if engine.replicas else PlanService(plan.policy)
    with engine.open_pool(replace(request, workers=1, news_every_s=0.0)) as pool:
        simulation_s = time_simulation(pool, job, service)
        if simulation_s is None:
            return None
        time_batch = pool.time_batch if service is None else _timed(service)
        largest = min(request.workers or fitting, request.episodes)
        batch_s = time_batches(
            time_batch,
            _request_maker(plan),
            largest=min(largest, request.max_batch or largest),
        )
    if request.max_batch is not None:
        batch_s = {max(batch_s): batch_s[max(batch_s)]}
    return settle(
        simulation_s,
        batch_s,
        fitting=fitting,
        replicas=max(engine.replicas, 1),
        workers=request.workers,
    )


def _timed(service: PlanService) -> TimeBatch:
    def time_batch(requests: Sequence[PlanRequest]) -> float:
        begun = time.perf_counter()
        service.plan(requests)
        return time.perf_counter() - begun

    return time_batch


def _request_maker(plan: EvaluationPlan) -> Callable[[int], PlanRequest]:
    spec, workload = plan.policy.spec, plan.workload
    instruction = instruction_of(workload.environments, workload.tasks[0], workload.protocol)
    resolution = workload.protocol.resolution

    def make_request(number: int) -> PlanRequest:
        return PlanRequest(
            window=[made_up_observation(spec.cameras, resolution, number)] * spec.history,
            instruction=instruction,
            seed=number,
            episode=f"tuning-{number}",
        )

    return make_request


def _sizes(largest: int) -> Iterator[int]:
    size = 1
    while size < largest:
        yield size
        size *= 2
    yield largest


def time_simulation(
    pool: SimulationPool,
    job: RunEpisode,
    service: PlanService | None,
    *,
    clock: Clock = time.monotonic,
) -> float | None:
    """Time one simulation between the plans that it gets and those that it asks for.

    Args:
        pool: A pool of one worker, which is of no use afterwards.
        job: The episode to begin.
        service: Plans for it; None where the pool has replicas.
        clock: Gives the time in seconds.

    Returns:
        The median; None if it was not asked for two plans in time.

    Raises:
        HarnessError: No episode can run.
    """
    deadline = clock() + SIMULATION_S
    stopwatch = _Stopwatch(clock)
    while clock() < deadline and len(stopwatch.intervals) < _INTERVALS:
        for worker in pool.readable(1.0):
            message = pool.receive(worker)
            match message:
                case Ready() | EpisodeDone() | EpisodeFailed():
                    stopwatch.stop(count=False)
                    pool.send(worker, job)
                case PlanQuery(request=request) if service is not None:
                    stopwatch.stop()
                    pool.send(worker, service.plan([request])[0])
                    stopwatch.start()
                case Planning():
                    stopwatch.stop()
                case Heartbeat():
                    stopwatch.start()
                case Fatal():
                    raise message.exception()
                case None:
                    return None
    return statistics.median(stopwatch.intervals) if stopwatch.intervals else None


class _Stopwatch:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self.intervals: list[float] = []

    def start(self) -> None:
        self._since = self._clock()

    def stop(self, *, count: bool = True) -> None:
        if self._since is not None and count:
            self.intervals.append(self._clock() - self._since)
        self._since = None
