"""The policies of docs/policies.md: extracted, registered by entry points and evaluated."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from harness.evaluation import plan as evaluation_plan
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import LiberoSpec
from harness.evaluation.run import evaluate
from policies.interface import PlanRequest
from policies.registry import PolicyConfig
from tasks.protocols import get_protocol
from tests.harness.doubles import EchoEnvironment, EchoSpec
from tests.harness.evaluation.runs import outcome

DOCUMENT = Path(__file__).parents[2] / "docs/policies.md"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the document's policies an installed package."""
    text = DOCUMENT.read_text(encoding="utf-8")
    site = tmp_path / "site"
    (site / "my_policies-1.0.dist-info").mkdir(parents=True)
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    (site / "my_policies.py").write_text(code, encoding="utf-8")
    (points,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    (site / "my_policies-1.0.dist-info" / "entry_points.txt").write_text(points)
    about = "Metadata-Version: 2.1\nName: my-policies\nVersion: 1.0\n"
    (site / "my_policies-1.0.dist-info" / "METADATA").write_text(about)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(__import__("sys").modules, "my_policies", raising=False)
    monkeypatch.setattr(evaluation_plan, "collect_provenance", lambda renderer: {})


def config(out: Path, policy: PolicyConfig, **changes: object) -> EvaluationConfig:
    settings = {"suite": "libero_object", "episodes": 3, "tasks": (0, 1), **changes}
    return EvaluationConfig(policy=policy, out=out, **settings)  # type: ignore[arg-type]


@pytest.mark.usefixtures("installed")
def test_policies_of_the_document_are_evaluated_by_name(tmp_path: Path) -> None:
    weights = tmp_path / "step.txt"
    weights.write_text("0.25")
    assert PolicyConfig(name="wander", checkpoint=str(weights)).build().step == 0.25  # type: ignore[union-attr]
    wander = PolicyConfig(name="wander", options={"step": 1.0})
    records = outcome(evaluate(config(tmp_path / "run", wander), environments=EchoSpec()))
    assert len(records) == 6
    assert {record.outcome for record in records.values()} <= {"success", "failure"}


@pytest.mark.usefixtures("installed")
def test_memory_is_of_the_episode_whatever_is_asked_beside_it(tmp_path: Path) -> None:
    recurrent = PolicyConfig(name="recurrent")
    one = config(tmp_path / "one", recurrent, workers=1)
    two = config(tmp_path / "two", recurrent, workers=2)
    alone = outcome(evaluate(one, environments=EchoSpec()))
    assert outcome(evaluate(two, environments=EchoSpec())) == alone
    assert max(record.plans for record in alone.values()) > 1
    policy = recurrent.build()
    for kept in (2, 1024):  # a batch that breaks leaves no trace
        policy.kept = kept  # type: ignore[union-attr]
        assert _plans_of("a", policy, broken=True) == _plans_of("b", recurrent.build())


def _plans_of(episode: str, policy: object, *, broken: bool = False) -> list[list[float]]:
    env = EchoEnvironment()
    first, _ = env.reset(options={"init_state": 1, "cameras": ()})
    seen, plans = first, []
    for step in range(0, 12, 4):
        request = PlanRequest(
            window=(seen,),  # type: ignore[arg-type]
            instruction="",
            seed=0,
            step=step,
            episode=episode,
        )
        if broken and step:
            unknown = dataclasses.replace(request, episode="never begun")
            with pytest.raises(KeyError):
                policy.plan([request, unknown])  # type: ignore[attr-defined]
        plan = policy.plan([request])[0]  # type: ignore[attr-defined]
        plans.append(plan[0].tolist())
        seen = env.execute(np.asarray(plan[:4])).observations[-1]  # type: ignore[assignment]
    return plans


@pytest.mark.sim
@pytest.mark.usefixtures("installed")
def test_they_act_in_libero(tmp_path: Path) -> None:
    protocol = dataclasses.replace(get_protocol("openvla"), max_steps={"libero_object": 12})
    places = LiberoSpec(suite="libero_object", protocol=protocol)
    for name in ("wander", "recurrent"):
        asked = config(tmp_path / name, PolicyConfig(name=name), tasks=(0,), episodes=1, workers=1)
        (record,) = outcome(evaluate(asked, environments=places)).values()
        assert (record.outcome, record.steps) == ("failure", 12)
