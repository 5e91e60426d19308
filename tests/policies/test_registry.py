import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import ValidationError

from policies import registry
from policies.baselines import NoopPolicy
from policies.interface import PlanRequest, Policy
from policies.registry import PolicyConfig
from tasks.errors import ConfigError, PrerequisiteError


def request(seed: int) -> PlanRequest:
    return PlanRequest(window=(), instruction="do it", seed=seed)


@pytest.mark.parametrize("name", ["random", "noop"])
def test_a_recipe_builds_in_another_process(name: str) -> None:
    recipe = pickle.loads(pickle.dumps(PolicyConfig(name=name)))
    policy = recipe.build()
    assert isinstance(policy, Policy)
    assert policy.spec.name == name


def test_the_expert_takes_its_options() -> None:
    policy = PolicyConfig(name="expert", options={"speed": 0.7}).build()
    assert policy.spec.privileged
    with pytest.raises(ConfigError, match=r"speed is 2\.0"):
        PolicyConfig(name="expert", options={"speed": 2.0}).build()
    with pytest.raises(ConfigError, match="speed: 'fast' given"):
        PolicyConfig(name="expert", options={"speed": "fast"}).build()


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"Unknown policy 'expart'.*'expert'"):
        PolicyConfig(name="expart").build()
    with pytest.raises(ConfigError, match=r"'speeed'.*Allowed: speed, noise"):
        PolicyConfig(name="expert", options={"speeed": 1}).build()
    with pytest.raises(ConfigError, match="'speed' given to policy 'noop', which has none"):
        PolicyConfig(name="noop", options={"speed": 1}).build()
    with pytest.raises(ConfigError, match="takes no checkpoint"):
        PolicyConfig(name="noop", checkpoint="somewhere").build()
    with pytest.raises(ConfigError, match=r"no checkpoint.*Fix: give --checkpoint"):
        PolicyConfig(name="rdt").build()
    with pytest.raises(ValidationError):
        PolicyConfig(name="noop", chekpoint="x")  # type: ignore[call-arg]


def test_a_missing_checkpoint_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        PolicyConfig(name="rdt", checkpoint=str(tmp_path / "nowhere"), device="cpu").build()


def test_rdts_options_are_checked_before_anything_is_loaded() -> None:
    def refused(words: str, **options: object) -> None:
        with pytest.raises(ConfigError, match=words):
            PolicyConfig(name="rdt", checkpoint="x", device="cpu", options=options).build()

    refused(r"option of policy 'rdt' 'guidence'.*'guidance'", guidence="bid")
    refused("guidance: 'bidd' given", guidance="bidd")
    refused("samples is 1", guidance="bid")
    refused("solver_steps: 0 given", solver_steps=0)
    refused("dtype: 'float16' given", dtype="float16")


def build_other(*, checkpoint: str | None = None, size: int = 1) -> NoopPolicy:
    assert isinstance(size, int)
    return NoopPolicy()


def test_other_packages_offer_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elsewhere", sys.modules[__name__])
    points = [
        EntryPoint(name="mine", value="elsewhere:build_other", group=registry.ENTRY_POINTS),
        EntryPoint(name="broken", value="not_there:build", group=registry.ENTRY_POINTS),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    built_in = ("random", "noop", "expert", "rdt", "replay", "remote")
    assert registry.policy_names() == (*built_in, "mine", "broken")
    recipe = PolicyConfig(name="mine", checkpoint="here", options={"size": 3})
    assert isinstance(recipe.build(), NoopPolicy)
    for size in (True, 3.0, "3"):
        with pytest.raises(ConfigError, match=r"size: .* given"):
            PolicyConfig(name="mine", options={"size": size}).build()
    with pytest.raises(PrerequisiteError, match="not_there"):
        PolicyConfig(name="broken").build()


@pytest.mark.slow
def test_naming_policies_imports_nothing_heavy() -> None:
    code = (
        "import sys, policies, policies.registry, policies.baselines, policies.executor;"
        "print([m for m in ('torch', 'mujoco', 'libero', 'robosuite') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
