"""The rates of an evaluation on this machine: simulation beside planning, and batches of plans."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from harness.benchmarks.throughput_config import WallTimeConfig
from harness.benchmarks.wall_time import EpisodeRate, Prediction, Rates
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.latency import torch_threads
from harness.evaluation.run import evaluate
from harness.evaluation.workload import resolve_workload
from policies.interface import PlanRequest, Policy
from policies.registry import PolicyConfig
from results.folder import load_run
from results.records import EpisodeRecord
from tasks.errors import SimulatorError
from tasks.observation import FloatArray

_REPEATS = 5
_KEPT = 256

Report = Callable[[str, int], None]
"""Takes what runs, and how many episodes are over."""


class TimedPolicy:
    """A policy that keeps its requests and how long it took for them.

    Attributes:
        requests: The last requests, oldest first.
        seconds: Seconds of planning by the name of the episode.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.requests: list[PlanRequest] = []
        self.seconds: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        """Return the policy's own member."""
        return getattr(self._policy, name)

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Plan; one request at a time, as a single worker asks."""
        begun = time.perf_counter()
        plans = self._policy.plan(requests)
        for request in requests:
            spent = (time.perf_counter() - begun) / len(requests)
            self.seconds[request.episode] = self.seconds.get(request.episode, 0.0) + spent
        self.requests = [*self.requests, *requests][-_KEPT:]
        return plans


def check_settings(config: WallTimeConfig) -> None:
    """Refuse episodes that do not exist, before any is played.

    Raises:
        ConfigError: A suite, a task or that many episodes of it do not exist.
    """
    played = config.check if config.rates is not None else max(config.measured, config.check)
    if played:
        resolve_workload(_settings(config, config.workers[0], played, Path("run")))


def measure_rates(config: WallTimeConfig, report: Report = lambda what, done: None) -> Rates:
    """Play some episodes with one worker, and time batches of their requests.

    Args:
        config: What to measure.
        report: Called as episodes finish.

    Raises:
        HarnessError: The policy does not fit, or episodes broke.
    """
    if config.rates is not None:
        return config.rates
    built = build(config)
    policy = TimedPolicy(built)
    seconds, records = play(config, policy, 1, config.measured, report)
    planned = sum(policy.seconds.values())
    asked = sum(record.plans for record in records)
    episodes = tuple(
        EpisodeRate(
            plans=record.plans,
            simulation_s=max(0.0, record.wall_s - planned * record.plans / asked),
        )
        for record in records
    )
    batches = config.batches
    if batches is None:
        report("batches", len(records))
        with torch_threads(1):
            batches = {size: _time_batch(built, policy.requests, size) for size in config.sizes}
    start_s = max(0.0, seconds - sum(record.wall_s for record in records))
    return Rates(start_s=start_s, episodes=episodes, batch_s=batches)


def _time_batch(policy: Policy, requests: Sequence[PlanRequest], size: int) -> float:
    """Return the median seconds of a batch, each of other requests."""
    supply = cycle(requests)
    policy.plan(list(islice(supply, size)))
    seconds = []
    for _ in range(_REPEATS):
        batch = list(islice(supply, size))
        begun = time.perf_counter()
        policy.plan(batch)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A prediction and what came of it.

    Attributes:
        episodes: Episodes that were played.
        predicted: What was predicted for them.
        measured_s: Seconds that they took.
    """

    episodes: int
    predicted: Prediction
    measured_s: float


def check(
    config: WallTimeConfig, rates: Rates, report: Report = lambda what, done: None
) -> Checked:
    """Play episodes with the first number of workers, and predict how long they take."""
    workers = config.workers[0]
    seconds, records = play(config, build(config), workers, config.check, report)
    foretold = config.predict(rates, len(records), workers, 1)
    return Checked(episodes=len(records), predicted=foretold, measured_s=seconds)


def build(config: WallTimeConfig) -> Policy:
    """Load the checkpoint as a policy."""
    policy = PolicyConfig(name="rdt", checkpoint=config.checkpoint, device=config.device).build()
    assert isinstance(policy, Policy)
    return policy


def _settings(config: WallTimeConfig, workers: int, episodes: int, out: Path) -> EvaluationConfig:
    """Return the evaluation that plays episodes, as many of each task."""
    assert config.suite is not None
    return EvaluationConfig(
        policy=PolicyConfig(name="rdt", checkpoint=config.checkpoint, device=config.device),
        suite=config.suite,
        tasks=config.tasks,
        episodes=-(-episodes // len(config.tasks)),
        exec_horizon=config.exec_horizon,
        resolution=config.resolution,
        workers=workers,
        max_batch=config.max_batch,
        record=0,
        out=out,
    )


def play(
    config: WallTimeConfig,
    policy: Policy,
    workers: int,
    episodes: int,
    report: Report = lambda what, done: None,
) -> tuple[float, list[EpisodeRecord]]:
    """Evaluate, and return the seconds from the start to the last record, and the records.

    Args:
        config: The tasks, and how the policy was built.
        policy: The policy.
        workers: Number of workers.
        episodes: Episodes in all, as many of each task.
        report: Called as episodes finish.

    Raises:
        SimulatorError: An episode broke.
        HarnessError: The policy does not fit.
    """
    what = f"playing, {workers} worker{'s' if workers > 1 else ''}"
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(config, workers, episodes, Path(folder) / "run")
        begun = time.perf_counter()
        run = evaluate(settings, policy=policy, progress=lambda status: report(what, status.done))
        seconds = time.perf_counter() - begun
        records = load_run(run)[1]
    if broken := [record.error for record in records if record.outcome == "error"]:
        raise SimulatorError(f"{len(broken)} of {len(records)} episodes broke: {broken[0]}")
    return seconds, records
