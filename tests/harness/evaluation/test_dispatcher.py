"""Plans for workers, in batches, and what becomes of a policy that breaks."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.planning import plan_batch
from harness.evaluation.run import evaluate
from policies.interface import PlanRequest
from results.folder import load_run
from tasks.errors import SpecMismatchError
from tasks.observation import FloatArray
from tests.harness.doubles import EchoSpec, FragilePolicy, RecordingPolicy
from tests.harness.evaluation.runs import make, outcome


@pytest.fixture(autouse=True)
def _no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


@pytest.mark.slow
def test_a_policy_in_the_parent_serves_all_workers(tmp_path: Path) -> None:
    policy = RecordingPolicy()
    config = make(tmp_path / "run", workers=2)
    run = evaluate(config, policy=policy, environments=EchoSpec())
    records = load_run(run)[1]
    assert sum(policy.batches) == sum(record.plans for record in records)
    assert {request.instruction for request in policy.requests} == {
        "do task 0",
        "do task 1",
        "do task 2",
    }


class Gathering(RecordingPolicy):
    """Takes its time, so that questions come together; keeps who asked with whom."""

    def __init__(self) -> None:
        super().__init__()
        self.company: list[set[str]] = []

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        self.company.append({request.instruction for request in requests})
        time.sleep(0.05)
        return super().plan(requests)


@pytest.mark.slow
def test_questions_of_several_tasks_are_answered_in_one_batch(tmp_path: Path) -> None:
    policy = Gathering()
    config = make(tmp_path / "three", workers=3)
    together = outcome(evaluate(config, policy=policy, environments=EchoSpec()))
    assert max(len(tasks) for tasks in policy.company) >= 2
    alone = Gathering()
    one = outcome(
        evaluate(make(tmp_path / "one", workers=1), policy=alone, environments=EchoSpec())
    )
    assert {len(tasks) for tasks in alone.company} == {1}
    assert one == together
    assert {r.seed: r.step for r in policy.requests} == {r.seed: r.step for r in alone.requests}


@pytest.mark.slow
def test_a_policy_that_breaks_on_one_episode_spares_the_others(tmp_path: Path) -> None:
    config = make(tmp_path / "run", tasks=(0,), workers=2)
    records = outcome(evaluate(config, policy=FragilePolicy(), environments=EchoSpec()))
    broken = [r for r in records.values() if r.outcome == "error"]
    assert [r.init_state for r in broken] == [1]
    assert broken[0].error == "ValueError: cannot look at this"


def test_a_batch_that_breaks_is_asked_one_by_one() -> None:
    def request(init_state: int) -> PlanRequest:
        seen: Any = {"ee_pos": [0, init_state, 0]}
        return PlanRequest(window=[seen], instruction="", seed=init_state)

    answers = plan_batch(FragilePolicy(), [request(0), request(1), request(2)])
    assert [answer.plan is None for answer in answers] == [False, True, False]


class GivingPolicy(RecordingPolicy):
    """Gives for all requests what it was told to, made from what a good policy gives."""

    def __init__(self, give: Callable[[list[FloatArray]], Any]) -> None:
        super().__init__()
        self.give = give

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        given: list[FloatArray] = self.give(super().plan(requests))
        return given


@pytest.mark.parametrize(
    ("give", "why"),
    [
        (lambda plans: None, "gave a NoneType for"),
        (lambda plans: iter(plans), "gave a list_iterator for"),
        (lambda plans: plans[:-1], "gave 0 plans for 1"),
        (lambda plans: [None] * len(plans), "NoneType of object"),
        (lambda plans: [(row for row in plan) for plan in plans], "generator of object"),
        (lambda plans: [plan > 0 for plan in plans], "ndarray of bool"),
    ],
)
def test_what_is_no_plan_is_refused(give: Callable[[list[FloatArray]], Any], why: str) -> None:
    with pytest.raises(SpecMismatchError, match=why):
        plan_batch(GivingPolicy(give), [PlanRequest(window=(), instruction="", seed=0)])


@pytest.mark.slow
def test_infinite_actions_are_an_error_of_their_episode(tmp_path: Path) -> None:
    config = make(tmp_path / "run", tasks=(0,), episodes=2, workers=1)
    policy = GivingPolicy(lambda plans: [plan * np.inf for plan in plans])
    records = outcome(evaluate(config, policy=policy, environments=EchoSpec()))
    assert {record.outcome for record in records.values()} == {"error"}
    assert "inf in row 0, column 0" in str(next(iter(records.values())).error)
