"""Plans for a batch of requests, whichever process asks the policy."""

from collections.abc import Sequence

import numpy as np

from harness.evaluation.messages import PlanNotes, PlanReply
from policies.executor import read_plan
from policies.interface import OptionalMembers, PlanRequest, Policy
from policies.plan_checks import PlanInspector
from tasks.errors import HarnessError, SpecMismatchError


class PlanService:
    """Plans with a policy, and inspects its plans where it has cameras.

    Args:
        policy: The policy. One without cameras is a baseline, whose plans are meant as they are.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._inspector = PlanInspector(policy) if policy.spec.cameras else None
        self._warnings: list[str] = []
        self._latency = OptionalMembers.of(policy).latency
        self._noted = self._latency() if self._latency else None

    def plan(self, requests: Sequence[PlanRequest]) -> list[PlanReply]:
        """Plan for several episodes; return one reply per request.

        Raises:
            HarnessError: The policy cannot work in this evaluation.
        """
        replies = plan_batch(self._policy, requests)
        if self._inspector is not None:
            for request, reply in zip(requests, replies, strict=True):
                if reply.plan is not None:
                    self._warnings += self._inspector.inspect(request, reply.plan)
        return replies

    def notes(self) -> PlanNotes:
        """Return what came up since the last call, or since the service was made."""
        warnings, self._warnings = tuple(self._warnings), []
        if self._latency is None or self._noted is None:
            return PlanNotes(warnings=warnings)
        before, self._noted = self._noted, self._latency()
        return PlanNotes(warnings=warnings, latency=self._noted - before or None)


def plan_batch(policy: Policy, requests: Sequence[PlanRequest]) -> list[PlanReply]:
    """Plan for several episodes; if that breaks, plan for one at a time.

    Args:
        policy: The policy.
        requests: One per episode.

    Returns:
        One reply per request.

    Raises:
        HarnessError: The policy cannot work in this evaluation.
    """
    try:
        plans = policy.plan(requests)
    except HarnessError:
        raise
    except Exception as error:
        if len(requests) > 1:
            return [plan_batch(policy, [request])[0] for request in requests]
        return [PlanReply(error=f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])]
    count = len(plans) if isinstance(plans, Sequence | np.ndarray) else None
    if count != len(requests):
        result = f"a {type(plans).__name__}" if count is None else f"{count} plans"
        raise SpecMismatchError(
            f"Policy '{policy.spec.name}' gave {result} for {len(requests)} requests. "
            "Needed: a list of one plan per request, in order."
        )
    return [PlanReply(plan=read_plan(plan)) for plan in plans]
