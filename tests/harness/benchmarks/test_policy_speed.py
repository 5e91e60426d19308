"""The official order of computation, and what ``bench policy`` says of both orders."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from harness.benchmarks import policy_workload
from harness.benchmarks.config import PolicyCase
from harness.benchmarks.joined_plans import METHODS
from harness.benchmarks.policy_speed import STAGES
from harness.benchmarks.policy_workload import Episodes, ProbedNetwork, build_case
from harness.benchmarks.reference_policy import ReferencePlanner, predict_action
from harness.cli import main
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.encoders.base import Encoders, FrozenEncodersConfig
from policies.rdt.encoders.siglip import SiglipImageEncoder, SiglipTower
from policies.rdt.model import presets
from policies.rdt.model.config import NoiseScheduleConfig, RDTConfig
from policies.rdt.model.sampling import SamplingOptions
from policies.rdt.model.transformer import RDTModel
from policies.rdt.policy import RDTPolicy
from tests.harness.benchmarks.figures import policy_figures
from tests.policies.rdt.model.sampled import sample_plans
from tests.policies.rdt.model.test_transformer import batch, tiny

STEPS = 5


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def answering(config: RDTConfig, **choices: Any) -> RDTModel:
    """A model whose weights and answers are not zero."""
    torch.manual_seed(0)
    model = RDTModel(config, **choices)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["variance", "mean_square"])
@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("masked", [False, True])
def test_both_orders_sample_the_same_plans(norm: Any, prediction: Any, masked: bool) -> None:
    config = tiny(depth=3, noise_scheduler=NoiseScheduleConfig(prediction_type=prediction))
    model = answering(config, norm=norm)
    if prediction == "epsilon":
        # Solving for the actions divides by 5e-5 at the first step, rounding errors included.
        model.model.final_layer.ffn_final.fc2.weight.data.mul_(0.1)
    given = batch(config)
    mask = torch.arange(4) < torch.tensor([[4], [2], [3]])
    given["lang_mask"] = mask if masked else None
    noise = torch.randn(3, config.pred_horizon, config.action_dim)
    for steps in (None, 1, 3):
        ours = sample_plans(model, **given, noise=noise, steps=steps)
        official = predict_action(model, **given, noise=noise, solver_steps=steps)
        scale = ours.abs().max().clamp(min=1.0)
        assert ours.abs().max() > 0.1
        torch.testing.assert_close(official / scale, ours / scale, rtol=0, atol=1e-5)


def siglip_network(slots: int) -> tuple[ProbedNetwork, Contract]:
    """RDT with a tower of two patches a side, two cameras and ``slots`` pictures a step."""
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    shape = SiglipVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    tower = SiglipTower.holding(SiglipVisionModel(shape))
    config = FrozenEncodersConfig(
        slots=slots,
        image_size=28,
        tokens_per_image=4,
        image_token_dim=16,
        max_words=32,
        text_token_dim=8,
        image_identity=tower.identity,
        text_identity="given",
    )
    from harness.benchmarks.policy_workload import GivenText

    rdt = answering(
        tiny(
            action_dim=128,
            lang_token_dim=8,
            max_lang_cond_len=32,
            img_token_dim=16,
            img_cond_len=8 * slots,
            img_pos_embed_config=(("image", (2, slots, -4)),),
        )
    )
    image = SiglipImageEncoder(tower, cameras=2, slots=slots)
    network = ProbedNetwork(rdt, Encoders(config=config, image=image, text=GivenText(config)))
    return network.eval(), Contract.describe(network, render_size=ANY_SIZE)


def test_both_orders_plan_the_same_from_observations() -> None:
    small = build_case(PolicyCase(preset="rdt-small"))
    for (network, contract), slots in ((small, 2), (siglip_network(3), 3)):
        assert network.config.img_cond_len % slots == 0
        requests = Episodes(PolicyCase(batch=3), contract).requests(0)
        policy = RDTPolicy(
            network, contract, batch_size=3, sampling=SamplingOptions(solver_steps=2)
        )
        planner = ReferencePlanner(network, contract, solver_steps=2)
        for request, plan in zip(requests, policy.plan(requests), strict=True):
            official = planner.actions(planner.vectors(request))
            assert np.abs(plan[:, :6]).max() > 0.01
            np.testing.assert_allclose(official, plan, atol=1e-5)


def counted(module: torch.nn.Module) -> list[int]:
    """Rows of every call from now on."""
    rows: list[int] = []
    module.register_forward_hook(lambda _module, given, _result: rows.append(len(given[0])))
    return rows


@pytest.mark.parametrize(("exec_horizon", "new"), [(1, 2), (16, 4)])
def test_what_each_order_computes(exec_horizon: int, new: int) -> None:
    network, contract = siglip_network(3)
    tower = network.image_encoder.tower
    encode, seen = tower.encode, []
    tower.encode = lambda pictures: seen.append(len(pictures)) or encode(pictures)
    keys_values = counted(network.rdt.model.blocks[1].cross_attn.kv)
    episodes = Episodes(PolicyCase(batch=2, exec_horizon=exec_horizon), contract)
    policy = RDTPolicy(network, contract, batch_size=2)
    planner = ReferencePlanner(network, contract)
    for side, pictures, projections in (
        (policy.plan, 2 * new, [2]),
        (lambda requests: [planner.vectors(r) for r in requests], 2 * 6, [1] * 2 * STEPS),
    ):
        for turn in range(2):
            seen.clear()
            keys_values.clear()
            side(episodes.requests(turn))
        assert sum(seen) == pictures
        assert keys_values == projections


def test_plans_in_float32_must_be_equal() -> None:
    joined = {"none": 0.049, "rtc": 0.101}
    figures = policy_figures(PolicyCase(batch=8), joined=joined, difference=2e-5)
    assert not figures.equal
    assert dataclasses.replace(figures, difference=1e-6).equal
    assert dataclasses.replace(figures, case=PolicyCase(dtype="bfloat16")).equal
    assert figures.delays == {"none": 1, "rtc": 3}
    assert (figures.plans_per_s.official, figures.plans_per_s.ours) == (4.0, 8.0)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--no-encoder", "--dtype", "bfloat16")])
def test_the_command(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    given = ["bench", "policy", "--batch", "1,2", "--repeats", "1", "--solver-steps", "2"]
    assert main([*given, *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["case"]["batch"] for each in said] == [1, 2]
    for each in said:
        assert each["equal"] is True
        assert each["solver_steps"] == 2
        assert set(each["stages"]) == set(STAGES)
        assert set(each["joined"]) == set(each["delay_steps"]) == set(METHODS)
        assert min(each["delay_steps"].values()) >= 1
        assert min(stage["ours"] for stage in each["stages"].values()) > 0
        assert each["memory_mb"]["process"] > 100
        assert 0 < each["difference"] < (1e-5 if not words else 1.0)
        assert each["plans_per_s"]["ours"] == each["case"]["batch"] / each["median"]["ours"]
    assert main([*given, *words]) == 0
    table = capsys.readouterr().out
    for word in ("rdt-small", "plans/s", "denoising", "official order"):
        assert word in table


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--preset", "rdt-smal"), "Did you mean 'rdt-small'?"),
        (("--batch", "0"), "--batch"),
        (("--batch", "many"), "--batch 'many'"),
        (("--device", "gpu"), "Unknown device 'gpu'"),
        (("--device", "cpu", "--cuda-graphs"), "cuda_graphs was asked for on device 'cpu'"),
        (("--solver-steps", "0"), "solver-steps"),
    ],
)
def test_what_cannot_be_measured(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    assert main(["bench", "policy", "--repeats", "1", *words]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_large_presets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With pictures, tokens and slots of the published size; widths and depths are cut down."""
    shape = {"intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    monkeypatch.setattr(policy_workload, "SO400M", {**policy_workload.SO400M, **shape})
    small = RDTConfig(hidden_size=32, depth=2, num_heads=2)
    monkeypatch.setitem(presets.PRESETS, "rdt-1b", presets.Preset(rdt=small, needs="much"))
    words = ["--preset", "rdt-1b", "--batch", "1", "--repeats", "1", "--solver-steps", "2"]
    assert main(["bench", "policy", *words, "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert 0 < said["difference"] < 1e-5
