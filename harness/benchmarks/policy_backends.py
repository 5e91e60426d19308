"""The two orders of computation that ``bench policy`` compares, with stages to be timed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.benchmarks.config import PolicyCase
from harness.benchmarks.policy_workload import ProbedNetwork
from harness.benchmarks.reference_policy import ReferencePlanner, Stages, untimed
from harness.benchmarks.stage_profiler import StageProfiler
from policies.interface import PlanRequest
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.joining import PreviousPlans
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.transformer import Conditioning
from policies.rdt.policy import RDTPolicy


class PolicyBackend:
    """One order of computation; ``latest`` holds its latest plans, (B, T, V)."""

    name = ""
    latest: Tensor

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        self.network, self.profiler = network, StageProfiler(case.device)

    def plan(self, requests: Sequence[PlanRequest]) -> None:
        """Plan for each request."""
        raise NotImplementedError

    def breakdown(self, requests: Sequence[PlanRequest]) -> dict[str, float]:
        """Plan for each request; return the seconds by stage."""
        raise NotImplementedError


class OfficialBackend(PolicyBackend):
    """The official order."""

    name = "official"

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        super().__init__(case, network, contract)
        steps = case.solver_steps
        self._planner = ReferencePlanner(network, contract, solver_steps=steps)
        self._timed = ReferencePlanner(network, contract, solver_steps=steps, stages=self.profiler)

    def plan(self, requests: Sequence[PlanRequest]) -> None:
        """Plan for one request after the other."""
        self.latest = torch.cat([self._plan(self._planner, request) for request in requests])

    def breakdown(self, requests: Sequence[PlanRequest]) -> dict[str, float]:
        """Return the seconds by stage of such plans."""
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
    """Keeps the latest sample, and times the denoising as a stage."""

    latest: Tensor
    stages: Stages = staticmethod(untimed)

    def sample(
        self, conditions: Conditioning, noise: Tensor, precedent: PreviousPlans | None = None
    ) -> Tensor:
        with self.stages("denoising"):
            self.latest = super().sample(conditions, noise, precedent)
        return self.latest


class _ProbedPolicy(RDTPolicy):
    """The policy as evaluations have it, with a probed sampler."""

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        sampling = SamplingOptions(
            solver_steps=case.solver_steps, compile=case.compile, cuda_graphs=case.cuda_graphs
        )
        super().__init__(
            network, contract, device=case.device, batch_size=case.batch, sampling=sampling
        )
        self.sampler = _ProbedSampler(self.network.rdt, sampling, self.device)
        self._sampler = self.sampler


class OurBackend(PolicyBackend):
    """This project's order."""

    name = "ours"

    def __init__(self, case: PolicyCase, network: ProbedNetwork, contract: Contract) -> None:
        super().__init__(case, network, contract)
        self._policy = _ProbedPolicy(case, network, contract)

    def plan(self, requests: Sequence[PlanRequest]) -> None:
        """Plan for all requests together."""
        self._policy.plan(requests)
        self.latest = self._policy.sampler.latest

    def breakdown(self, requests: Sequence[PlanRequest]) -> dict[str, float]:
        """Return the seconds by stage of such a plan."""
        self.network.stages = self._policy.sampler.stages = self.profiler
        try:
            with self.profiler.profile() as spent:
                self._policy.plan(requests)
        finally:
            del self.network.stages, self._policy.sampler.stages
        return spent
