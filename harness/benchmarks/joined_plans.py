"""What it costs to join a plan to the one before, and how late plans are for that."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from harness.benchmarks.config import PolicyCase
from harness.benchmarks.policy_workload import Episodes, ProbedNetwork
from harness.benchmarks.stage_profiler import wait_for
from policies.delay import steps_of
from policies.interface import PlanRequest
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.joining import GuidanceName
from policies.rdt.model.sampling import SamplingOptions
from policies.rdt.policy import RDTPolicy

METHODS: tuple[GuidanceName, ...] = ("none", "inpaint", "rtc-blend", "rtc")
"""Methods that are timed; ``bid`` costs as much as its samples in one batch."""

_PLANS = 3


def timed_methods(case: PolicyCase) -> tuple[GuidanceName, ...]:
    """Return the methods that a case can have: a CUDA graph has no gradient."""
    return tuple(m for m in METHODS if m != "rtc" or not (case.cuda_graphs or case.compile))


def time_joined(
    case: PolicyCase,
    network: ProbedNetwork,
    contract: Contract,
    episodes: Episodes,
    report: Callable[[str], None],
) -> dict[str, float]:
    """Return the median seconds of planning for all episodes of a case, by method.

    Args:
        case: What is measured.
        network: The network.
        contract: Its contract.
        episodes: Give the requests.
        report: Called before each method.
    """
    seconds: dict[str, float] = {}
    for method in timed_methods(case):
        report(f"joining plans, {method}")
        sampling = SamplingOptions(
            solver_steps=case.solver_steps,
            guidance=method,
            compile=case.compile,
            cuda_graphs=case.cuda_graphs,
        )
        policy = RDTPolicy(
            network, contract, device=case.device, batch_size=case.batch, sampling=sampling
        )
        executed = min(case.exec_horizon, contract.horizon // 2)
        plans = policy.plan(episodes.requests(0))
        times = []
        for turn in range(1, _PLANS + 2):
            requests: list[PlanRequest] = [
                replace(request, previous=plan[executed:], committed=1)
                for request, plan in zip(episodes.requests(turn), plans, strict=True)
            ]
            wait_for(case.device)
            start = time.perf_counter()
            plans = policy.plan(requests)
            wait_for(case.device)
            times.append(time.perf_counter() - start)
        seconds[method] = statistics.median(times[1:])
    return seconds


def delay_steps(seconds: float) -> int:
    """Return the control steps of delay that plans of such a duration have."""
    return steps_of(1000.0 * seconds)
