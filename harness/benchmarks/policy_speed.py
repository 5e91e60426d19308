"""How fast RDT plans: this project's order of computation against the official one."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch

from harness.benchmarks.config import PolicyCase, PolicySpeedConfig
from harness.benchmarks.gpu_memory import in_gpu_memory
from harness.benchmarks.joined_plans import delay_steps, time_joined, timed_methods
from harness.benchmarks.policy_backends import OfficialBackend, OurBackend, PolicyBackend
from harness.benchmarks.policy_workload import Episodes, build_case
from harness.benchmarks.process_memory import resident_mb
from harness.benchmarks.reference_policy import untimed
from harness.benchmarks.stage_profiler import wait_for
from harness.benchmarks.subprocess_runner import BackendPair
from policies.interface import PlanRequest
from policies.rdt.model.presets import get_preset
from policies.rdt.model.torch_runtime import resolve_device, use_threads

STAGES = ("encoder", "conditions", "denoising", "rest")
"""Encoding images and text; adapting them and projecting keys and values; the denoising steps; and
the rest: preparing images and states, drawing noise, decoding actions."""

TOLERANCE = 1e-5
"""Largest difference of plans in float32."""

_WARM_UPS = 2
_BREAKDOWNS = 3

Report = Callable[[str], None]
"""Takes a few words on the next step."""


@dataclass(frozen=True, kw_only=True)
class PolicyFigures:
    """Figures of one case; seconds are those of planning for all episodes."""

    case: PolicyCase
    """The case."""

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
    """Median CPU seconds of all threads, which other processes hardly change."""

    stages: dict[str, BackendPair]
    """Median seconds by stage, from separate plans."""

    memory_mb: dict[str, float]
    """10⁶ bytes: on CUDA the peak of each backend, weights included; otherwise the process, which
    holds both backends."""

    joined: dict[str, float]
    """Median seconds by the method that joins a plan to the one before; ``none`` for no method."""

    difference: float
    """Largest difference between the plans of the two backends, as unified vectors."""

    @property
    def plans_per_s(self) -> BackendPair:
        """Plans per second."""
        batch = self.case.batch
        return BackendPair(official=batch / self.median.official, ours=batch / self.median.ours)

    @property
    def equal(self) -> bool:
        """Whether the plans are equal; in bfloat16 rounding alone makes them differ."""
        return self.case.dtype != "float32" or self.difference <= TOLERANCE

    @property
    def delays(self) -> dict[str, int]:
        """Control steps of delay by that method: ``--delay`` for an evaluation on this device."""
        return {method: delay_steps(seconds) for method, seconds in self.joined.items()}

    def as_dict(self) -> dict[str, object]:
        """Return the figures as ``--json`` has them."""
        return asdict(self) | {
            "delay_steps": self.delays,
            "plans_per_s": asdict(self.plans_per_s),
            "times_faster": self.median.ratio,
            "share_of_official": self.median.ours / self.median.official,
            "equal": self.equal,
        }


def measure_all(
    config: PolicySpeedConfig, progress: Callable[[int, int, str], None]
) -> Iterator[PolicyFigures]:
    """Measure every case, and give its figures when it is measured.

    Args:
        config: What to measure.
        progress: Called with the turns done, all turns, and a few words on the next one.

    Raises:
        ConfigError: A setting is not possible.
        PrerequisiteError: There is no such device, or no compiler to compile with.
        HarnessError: The GPU's memory does not suffice.
    """
    use_threads(config.threads)
    device = resolve_device(config.device)
    dtype = config.dtype
    if dtype == "auto":
        dtype = "bfloat16" if torch.device(device).type == "cuda" else "float32"
    cases = config.cases(device, dtype)
    for case in cases:
        get_preset(case.preset)  # a misspelt one is refused before the first is measured
    total, done = sum(map(turns_of, cases)), 0

    def report(what: str) -> None:
        nonlocal done
        progress(done, total, f"{case.preset}, {case.batch} episodes: {what}")
        done += 1

    for case in cases:
        what = f"{case.preset} with {case.batch} episodes at once"
        with in_gpu_memory(what, fix="smaller numbers in --batch"):
            figures = measure(case, report)
        yield figures
    progress(total, total, "")


def turns_of(case: PolicyCase) -> int:
    """Return how often ``measure`` reports."""
    return 1 + 2 * _WARM_UPS + case.repeats + _BREAKDOWNS + len(timed_methods(case))


def measure(case: PolicyCase, report: Report = lambda what: None) -> PolicyFigures:
    """Measure one case.

    Args:
        case: What to measure.
        report: Called before each step.

    Raises:
        ConfigError: A setting is not possible, such as CUDA graphs on a CPU.
        PrerequisiteError: There is no compiler to compile with.
    """
    report("building")
    network, contract = build_case(case)
    episodes = Episodes(case, contract)
    backends: list[PolicyBackend] = []
    peaks: dict[str, float] = {}
    kinds: tuple[type[PolicyBackend], ...] = (OfficialBackend, OurBackend)
    for kind in kinds:  # one after the other, so that the peaks are apart
        backend = kind(case, network, contract)
        for turn in range(_WARM_UPS):
            report(f"warming up, {backend.name}")
            peaks[backend.name] = _peak_mb(backend, episodes.requests(turn), case.device)
        backends.append(backend)
    seconds: dict[str, list[float]] = {backend.name: [] for backend in backends}
    cpu: dict[str, list[float]] = {backend.name: [] for backend in backends}
    difference = 0.0
    for repeat in range(case.repeats):
        report("measuring")
        requests = episodes.requests(_WARM_UPS + repeat)
        for backend in backends if repeat % 2 else reversed(backends):
            wall_s, cpu_s = _timed(backend, requests, case.device)
            seconds[backend.name].append(wall_s)
            cpu[backend.name].append(cpu_s)
        gaps = backends[0].latest.float() - backends[1].latest.float()
        difference = max(difference, float(gaps.abs().max()))
    breakdowns: dict[str, list[dict[str, float]]] = {backend.name: [] for backend in backends}
    for repeat in range(_BREAKDOWNS):
        report("breaking down")
        requests = episodes.requests(_WARM_UPS + case.repeats + repeat)
        for backend in backends:
            breakdowns[backend.name].append(backend.breakdown(requests))
    network.stages = untimed
    joined = time_joined(case, network, contract, episodes, report)
    cuda = torch.device(case.device).type == "cuda"
    return PolicyFigures(
        case=case,
        device=torch.cuda.get_device_name(case.device) if cuda else "CPU",
        threads=torch.get_num_threads(),
        solver_steps=case.solver_steps or network.config.noise_scheduler.num_inference_timesteps,
        median=_pair(seconds, statistics.median),
        fastest=_pair(seconds, min),
        cpu=_pair(cpu, statistics.median),
        stages={
            stage: _pair(
                {name: [plan[stage] for plan in plans] for name, plans in breakdowns.items()},
                statistics.median,
            )
            for stage in STAGES
        },
        memory_mb=peaks if cuda else {"process": resident_mb()},
        joined=joined,
        difference=difference,
    )


def _timed(
    backend: PolicyBackend, requests: Sequence[PlanRequest], device: str
) -> tuple[float, float]:
    """Plan; return the wall seconds, and the CPU seconds of all threads."""
    wait_for(device)
    start, cpu = time.perf_counter(), time.process_time()
    backend.plan(requests)
    wait_for(device)
    return time.perf_counter() - start, time.process_time() - cpu


def _peak_mb(backend: PolicyBackend, requests: Sequence[PlanRequest], device: str) -> float:
    """Plan; return the peak of CUDA's memory, 10⁶ bytes; 0 on a CPU."""
    if torch.device(device).type != "cuda":
        backend.plan(requests)
        return 0.0
    torch.cuda.reset_peak_memory_stats(device)
    backend.plan(requests)
    wait_for(device)
    return torch.cuda.max_memory_allocated(device) / 1e6


def _pair(
    samples: dict[str, list[float]], statistic: Callable[[list[float]], float]
) -> BackendPair:
    return BackendPair(**{name: statistic(values) for name, values in samples.items()})
