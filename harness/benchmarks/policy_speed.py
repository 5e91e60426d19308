"""How fast RDT plans: this project's order of computation against the official one, in turns."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from harness.benchmarks.config import PolicyCase, PolicySpeedConfig
from harness.benchmarks.environment_speed import BackendPair
from harness.benchmarks.policy_workload import Episodes, ProbedNetwork, build_case
from harness.benchmarks.reference_policy import ReferencePlanner, Stages, untimed
from harness.benchmarks.subprocess_runner import resident_mb
from policies.interface import PlanRequest
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.presets import get_preset
from policies.rdt.model.sampling import PlanSampler, PreviousPlans, SamplingOptions
from policies.rdt.model.torch_runtime import resolve_device
from policies.rdt.model.transformer import Conditioning
from policies.rdt.policy import RDTPolicy

STAGES = ("encoder", "conditions", "denoising", "rest")
"""Encoding pictures and words; adapting them and projecting keys and values; the denoising steps;
and preparing pictures and states, noise and reading actions from the result."""

TOLERANCE = 1e-5
"""Largest difference of plans in float32."""

_WARM_UPS = 2
_BREAKDOWNS = 3

Report = Callable[[str], None]
"""Told what is done next."""


@dataclass(frozen=True, kw_only=True)
class PolicyFigures:
    """What was measured; seconds are those of planning for all episodes."""

    case: PolicyCase
    """What was asked."""

    device: str
    """The device in words."""

    threads: int
    """CPU threads."""

    solver_steps: int
    """Denoising steps."""

    median: BackendPair
    """Median seconds."""

    fastest: BackendPair
    """Least seconds."""

    cpu: BackendPair
    """Median CPU seconds of the process, all threads, which other processes hardly change."""

    stages: dict[str, BackendPair]
    """Median seconds by stage, measured in plans of their own."""

    memory_mb: dict[str, float]
    """10⁶ bytes: on CUDA the peak of each side, weights included; otherwise the process, in which
    both sides are."""

    difference: float
    """Largest difference between the plans of the two sides, as unified vectors."""

    @property
    def plans_per_s(self) -> BackendPair:
        """Plans per second."""
        batch = self.case.batch
        return BackendPair(official=batch / self.median.official, ours=batch / self.median.ours)

    @property
    def equal(self) -> bool:
        """Whether the plans are equal; in bfloat16 rounding alone makes them differ."""
        return self.case.dtype != "float32" or self.difference <= TOLERANCE

    def as_dict(self) -> dict[str, object]:
        """Return the figures as ``--json`` has them."""
        return asdict(self) | {
            "plans_per_s": asdict(self.plans_per_s),
            "times_faster": self.median.ratio,
            "share_of_official": self.median.ours / self.median.official,
            "equal": self.equal,
        }


def measure_all(
    config: PolicySpeedConfig, progress: Callable[[int, int, str], None]
) -> list[PolicyFigures]:
    """Measure every case.

    Args:
        config: What to measure.
        progress: Called with the turns done, the turns in all and the words for the next one.

    Raises:
        ConfigError: A setting is not possible.
        PrerequisiteError: There is no such device, or no compiler to compile with.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device)
    dtype = config.dtype
    if dtype == "auto":
        dtype = "bfloat16" if torch.device(device).type == "cuda" else "float32"
    cases = config.cases(device, dtype)
    for case in cases:
        get_preset(case.preset)  # a misspelt one is refused before the first is measured
    total, done = sum(map(turns_of, cases)), 0
    figures = []

    def report(what: str) -> None:
        nonlocal done
        progress(done, total, f"{case.preset}, {case.batch} episodes: {what}")
        done += 1

    for case in cases:
        figures.append(measure(case, report))
    progress(total, total, "")
    return figures


def turns_of(case: PolicyCase) -> int:
    """Return how often ``measure`` reports."""
    return 1 + 2 * _WARM_UPS + case.repeats + _BREAKDOWNS


def measure(case: PolicyCase, report: Report = lambda what: None) -> PolicyFigures:
    """Measure one case.

    Args:
        case: What to measure.
        report: Told what is done next.

    Raises:
        ConfigError: A setting is not possible, such as CUDA graphs on a CPU.
        PrerequisiteError: There is no compiler to compile with.
    """
    report("building")
    network, contract = build_case(case)
    episodes = Episodes(case, contract)
    sides: list[_Side] = []
    peaks: dict[str, float] = {}
    kinds: tuple[type[_Official] | type[_Ours], ...] = (_Official, _Ours)
    for kind in kinds:  # each alone, so that its memory is its own
        side: _Side = kind(case, network, contract)
        for turn in range(_WARM_UPS):
            report(f"warming up, {side.name}")
            peaks[side.name] = _peak_mb(side, episodes.requests(turn), case.device)
        sides.append(side)
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    cpu: dict[str, list[float]] = {side.name: [] for side in sides}
    difference = 0.0
    for repeat in range(case.repeats):
        report("measuring")
        requests = episodes.requests(_WARM_UPS + repeat)
        for side in sides if repeat % 2 else reversed(sides):
            passed, spent = _timed(side, requests, case.device)
            seconds[side.name].append(passed)
            cpu[side.name].append(spent)
        apart = sides[0].latest.float() - sides[1].latest.float()
        difference = max(difference, float(apart.abs().max()))
    parts: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
    for repeat in range(_BREAKDOWNS):
        report("breaking down")
        requests = episodes.requests(_WARM_UPS + case.repeats + repeat)
        for side in sides:
            parts[side.name].append(side.breakdown(requests))
    cuda = torch.device(case.device).type == "cuda"
    return PolicyFigures(
        case=case,
        device=torch.cuda.get_device_name(case.device) if cuda else "CPU",
        threads=torch.get_num_threads(),
        solver_steps=case.solver_steps or network.config.noise_scheduler.num_inference_timesteps,
        median=_pair(seconds, statistics.median),
        fastest=_pair(seconds, min),
        cpu=_pair(cpu, statistics.median),
        stages={stage: _median_stage(parts, stage) for stage in STAGES},
        memory_mb=peaks if cuda else {"process": resident_mb()},
        difference=difference,
    )


class _Side:
    """One order of computation; ``latest`` are its latest plans, (B, T, V)."""

    name = ""
    latest: Tensor

    def __init__(self, case: PolicyCase, network: ProbedNetwork) -> None:
        self.network, self.profiler = network, StageProfiler(case.device)

    def plan(self, requests: Sequence[PlanRequest]) -> None:
        raise NotImplementedError

    def breakdown(self, requests: Sequence[PlanRequest]) -> dict[str, float]:
        raise NotImplementedError


class _Official(_Side):
    name = "official"

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        super().__init__(case, network)
        steps = case.solver_steps
        self._planner = ReferencePlanner(network, contract, solver_steps=steps)
        self._timed = ReferencePlanner(network, contract, solver_steps=steps, stages=self.profiler)

    def plan(self, requests: Sequence[PlanRequest]) -> None:
        self.latest = torch.cat([self._plan(self._planner, request) for request in requests])

    def breakdown(self, requests: Sequence[PlanRequest]) -> dict[str, float]:
        with self.profiler.profile() as spent:
            for request in requests:
                self._plan(self._timed, request)
        return spent

    @staticmethod
    def _plan(planner: ReferencePlanner, request: PlanRequest) -> Tensor:
        vectors = planner.vectors(request)
        planner.actions(vectors)
        return vectors


class _ProbedSampler(PlanSampler):
    """Keeps what it sampled, and is a stage that can be timed."""

    latest: Tensor
    stages: Stages = staticmethod(untimed)

    def sample(
        self, conditions: Conditioning, noise: Tensor, precedent: PreviousPlans | None = None
    ) -> Tensor:
        with self.stages("denoising"):
            self.latest = super().sample(conditions, noise, precedent)
        return self.latest


class _ProbedPolicy(RDTPolicy):
    """The policy as evaluations have it, with a sampler that can be looked at."""

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        sampling = SamplingOptions(
            solver_steps=case.solver_steps, compile=case.compile, cuda_graphs=case.cuda_graphs
        )
        super().__init__(
            network, contract, device=case.device, batch_size=case.batch, sampling=sampling
        )
        self.sampler = _ProbedSampler(self.network.rdt, sampling, self.device)
        self._sampler = self.sampler


class _Ours(_Side):
    name = "ours"

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        super().__init__(case, network)
        self._policy = _ProbedPolicy(case, network, contract)

    def plan(self, requests: Sequence[PlanRequest]) -> None:
        self._policy.plan(requests)
        self.latest = self._policy.sampler.latest

    def breakdown(self, requests: Sequence[PlanRequest]) -> dict[str, float]:
        self.network.stages = self._policy.sampler.stages = self.profiler
        try:
            with self.profiler.profile() as spent:
                self._policy.plan(requests)
        finally:
            del self.network.stages, self._policy.sampler.stages
        return spent


def _timed(side: _Side, requests: Sequence[PlanRequest], device: str) -> tuple[float, float]:
    """Plan; return the seconds that passed, and those of the process' threads."""
    wait_for(device)
    start, cpu = time.perf_counter(), time.process_time()
    side.plan(requests)
    wait_for(device)
    return time.perf_counter() - start, time.process_time() - cpu


def _peak_mb(side: _Side, requests: Sequence[PlanRequest], device: str) -> float:
    """Plan; return the most memory that CUDA had given out meanwhile, in 10⁶ bytes."""
    if torch.device(device).type != "cuda":
        side.plan(requests)
        return 0.0
    torch.cuda.reset_peak_memory_stats(device)
    side.plan(requests)
    wait_for(device)
    return torch.cuda.max_memory_allocated(device) / 1e6


def _pair(found: dict[str, list[float]], of: Callable[[list[float]], float]) -> BackendPair:
    return BackendPair(**{name: of(values) for name, values in found.items()})


def _median_stage(parts: dict[str, list[dict[str, float]]], stage: str) -> BackendPair:
    return _pair(
        {name: [part[stage] for part in found] for name, found in parts.items()},
        statistics.median,
    )


REST = "rest"
"""The stage outside all others."""


class StageProfiler:
    """Times stages; one inside another is not counted twice.

    On a GPU, marks are laid into its stream and read afterwards, so that it is never waited for
    between stages.

    Args:
        device: Where the work is done.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._cuda = torch.device(device).type == "cuda"
        self._open = [REST]
        self._marks: list[tuple[str, Any]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a stage."""
        self._marks.append((self._open[-1], self._mark()))
        self._open.append(stage)
        try:
            yield
        finally:
            self._marks.append((self._open.pop(), self._mark()))

    @contextmanager
    def profile(self) -> Iterator[dict[str, float]]:
        """Time a piece of work.

        Yields:
            Seconds by stage, ``rest`` included, filled at the end.
        """
        spent: dict[str, float] = defaultdict(float)
        before = self._mark()
        self._marks = []
        yield spent
        self._marks.append((REST, self._mark()))
        if self._cuda:
            torch.cuda.synchronize()
        for stage, mark in self._marks:
            spent[stage] += before.elapsed_time(mark) / 1e3 if self._cuda else mark - before
            before = mark

    def _mark(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def wait_for(device: torch.device | str) -> None:
    """Wait until a device has done all it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
