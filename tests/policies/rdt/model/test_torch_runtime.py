"""Compiled and recorded denoising steps against the plain one."""

import numpy as np
import pytest
import torch

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.sampling import SamplingOptions
from policies.rdt.policy import RDTPolicy
from tasks.errors import ConfigError, PrerequisiteError
from tests.policies.rdt.test_policy import ask


@pytest.mark.slow
def test_compiled_steps_give_the_same_plans(network: RDTPolicyNetwork, contract: Contract) -> None:
    plain = RDTPolicy(network, contract, batch_size=2).plan([ask(0), ask(1)])
    options = SamplingOptions(compile=True)
    compiled = RDTPolicy(network, contract, batch_size=2, sampling=options)
    np.testing.assert_allclose(compiled.plan([ask(0), ask(1)]), plain, atol=1e-5)
    np.testing.assert_allclose(compiled.plan([ask(1)])[0], plain[1], atol=1e-5)


@pytest.mark.slow
def test_a_missing_compiler_is_named(
    network: RDTPolicyNetwork, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    torch._dynamo.reset()
    policy = RDTPolicy(
        network, contract, batch_size=1, sampling=SamplingOptions(compile=True, solver_steps=1)
    )
    with pytest.raises(PrerequisiteError, match=r"cannot compile here.*apt-get install g\+\+"):
        policy.plan([ask(0)])
    torch._dynamo.reset()


def test_cuda_graphs_need_cuda(network: RDTPolicyNetwork, contract: Contract) -> None:
    with pytest.raises(ConfigError, match=r"cuda_graphs was asked for on device 'cpu'.*Fix"):
        RDTPolicy(network, contract, sampling=SamplingOptions(cuda_graphs=True))


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_recorded_steps_give_the_same_plans(
    network: RDTPolicyNetwork, contract: Contract, compiled: bool
) -> None:
    plain = RDTPolicy(network, contract, batch_size=2, device="cuda")
    options = SamplingOptions(cuda_graphs=True, compile=compiled)
    recorded = RDTPolicy(network, contract, batch_size=2, device="cuda", sampling=options)
    for requests in ([ask(0), ask(1)], [ask(2)], [ask(1), ask(0)]):
        np.testing.assert_allclose(recorded.plan(requests), plain.plan(requests), atol=1e-4)
