"""Official weights with their encoders as a policy, against the steps written out one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.loading import LoadingOptions, load_network
from policies.rdt.checkpoint.official import export_official, load_official
from policies.rdt.checkpoint.storage import save_checkpoint
from policies.rdt.encoders.base import EncoderSources
from policies.rdt.encoders.factory import load_frozen_encoders
from policies.rdt.encoders.language import encode_instructions
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.policy import RDTPolicy
from policies.registry import PolicyConfig
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import stack_robot_states
from tests.policies.rdt.checkpoint.official_files import build_model
from tests.policies.rdt.encoders.frozen_files import write_siglip, write_t5
from tests.policies.rdt.encoders.test_siglip import by_transformers
from tests.policies.rdt.model.sampled import sample_plans
from tests.policies.rdt.test_policy import ask, load_policy, observe

WORDS = "open it"  # official checkpoints of the tests take 12 tokens


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an official checkpoint, its encoders, and a language cache."""
    home = tmp_path_factory.mktemp("official")
    export_official(home / "rdt", build_model(dtype=torch.float32))
    write_siglip(home / "siglip")
    write_t5(home / "t5")
    encode_instructions(["Open it."], t5=str(home / "t5"), out=home / "cache")
    return home


def options(home: Path, **changes: Any) -> dict[str, Any]:
    return {
        "siglip": str(home / "siglip"),
        "language_cache": str(home / "cache"),
        "dtype": "float32",
        **changes,
    }


def build(home: Path, **changes: Any) -> RDTPolicy:
    recipe = PolicyConfig(
        name="rdt",
        checkpoint=str(home / "rdt"),
        device="cpu",
        options=options(home, **changes),
    )
    policy = recipe.build()
    assert isinstance(policy, RDTPolicy)
    return policy


@pytest.mark.slow
def test_a_plan_is_what_the_parts_give_one_by_one(home: Path) -> None:
    policy = build(home)
    request = ask(3, instruction=WORDS, window=[observe(3), observe(4)])
    (plan,) = policy.plan([request])

    rdt = load_official(home / "rdt", dtype=torch.float32)
    grey = np.full((48, 48, 3), 127, np.uint8)
    images = [
        image for seen in request.window for image in (seen["agentview"], seen["wrist"], grey)
    ]
    tokens = torch.cat([by_transformers(home / "siglip", image) for image in images])
    words = load_frozen_encoders(
        EncoderSources(siglip=str(home / "siglip"), t5=str(home / "t5"))
    ).text.prepare([WORDS])
    now = request.window[-1]
    state = policy.layout.encode_state(stack_robot_states([now]))[0]
    vectors = sample_plans(
        rdt,
        words[0][:, :12].float(),
        words[1][:, :12],
        tokens[None],
        torch.from_numpy(state)[None, None],
        torch.from_numpy(policy.layout.mask)[None, None],
        torch.tensor([20.0]),
        noise=torch.randn(1, 8, 128, generator=torch.Generator().manual_seed(3)),
    )
    wanted = policy.layout.decode_actions(vectors.numpy())
    np.testing.assert_allclose(plan, wanted[0], atol=1e-5)
    assert policy.spec.cameras == ("agentview", "wrist")
    assert policy.contract.history == 2
    assert policy.files == home / "rdt"


def test_missing_history_is_the_background(home: Path) -> None:
    now, policy = observe(4), build(home)
    blank: Any = {**now, "agentview": np.full_like(now["agentview"], 127)}
    blank["wrist"] = blank["agentview"]
    short, padded = policy.plan(
        [
            ask(4, instruction=WORDS, window=[now]),
            ask(4, instruction=WORDS, window=[blank, now]),
        ]
    )
    np.testing.assert_array_equal(short, padded)


def test_dtype_layout_and_images_of_any_size(home: Path) -> None:
    half = build(home, dtype="bfloat16", layout="tj-chen", control_hz=25, orientation="raw")
    assert half.contract.layout == "tj-chen"
    assert (half.contract.control_hz, half.contract.orientation) == (25.0, "raw")
    for side in (32, 64):
        window = [observe(1, side), observe(2, side)]
        (plan,) = half.plan([ask(0, instruction=WORDS, window=window)])
        assert plan.shape == (8, 7)
        assert np.isfinite(plan).all()


def test_what_is_missing_is_named(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"No text encoder.*language_cache"):
        build(home, language_cache=None)
    with pytest.raises(ConfigError, match=r"Unknown layout 'tjchen'.*'tj-chen'"):
        build(home, layout="tjchen")
    with pytest.raises(
        SpecMismatchError, match=r"lang_token_dim: RDT has 24, the encoders have 32"
    ):
        encode_instructions(
            ["Open it."],
            t5=str(write_t5(home / "wide", width=32)),
            out=home / "wide-cache",
        )
        build(home, language_cache=str(home / "wide-cache"))


@pytest.mark.slow
def test_a_checkpoint_of_ours_with_frozen_encoders(home: Path, tmp_path: Path) -> None:
    sources = EncoderSources(siglip=str(home / "siglip"), t5=str(home / "t5"))
    frozen = load_frozen_encoders(sources, max_words=12)
    network = RDTPolicyNetwork(load_official(home / "rdt", dtype=torch.float32), frozen)
    folder = save_checkpoint(tmp_path / "ours", network, Contract.describe(network, render_size=48))
    cached = {"siglip": str(home / "siglip"), "language_cache": str(home / "cache")}
    loaded = load_policy(folder, **cached)
    request = ask(3, instruction=WORDS)
    np.testing.assert_array_equal(loaded.plan([request]), build(home).plan([request]))
    other = cached | {"siglip": str(write_siglip(tmp_path / "other", seed=1))}
    with pytest.raises(SpecMismatchError, match=r"other encoders: image_identity.*Fix"):
        load_network(folder, LoadingOptions(**other))
    with pytest.raises(ConfigError, match="weights 'ema' cannot be chosen"):
        load_network(folder, LoadingOptions(**cached, weights="ema"))


def test_settings_that_small_encoders_leave_unused_are_refused(
    tmp_path: Path, network: RDTPolicyNetwork, contract: Contract
) -> None:
    folder = save_checkpoint(tmp_path / "small", network, contract)
    with pytest.raises(ConfigError, match=r"its own small encoders.*leave them out"):
        load_network(folder, LoadingOptions(siglip="x"))
    with pytest.raises(SpecMismatchError, match="control_hz is 25"):
        load_network(folder, LoadingOptions(control_hz=25.0))
