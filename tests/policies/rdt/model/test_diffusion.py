from typing import Any

import pytest
import torch

from policies.rdt.model.diffusion import DPMSolver, alphas_cumprod


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_solver_equals_diffusers(prediction: Any, dtype: torch.dtype, steps: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DPMSolverMultistepScheduler(
        num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type=prediction
    )
    theirs.set_timesteps(steps)
    ours = DPMSolver(alphas_cumprod(), steps, prediction)
    assert torch.equal(alphas_cumprod(), theirs.alphas_cumprod)
    assert list(ours.timesteps) == theirs.timesteps.tolist()
    torch.manual_seed(steps)
    x = y = torch.randn(2, 4, 3).to(dtype)
    previous = None
    for index, t in enumerate(theirs.timesteps):
        out = torch.randn(2, 4, 3).to(dtype)
        x, previous = ours.step(index, out, x, previous)
        y = theirs.step(out, t, y).prev_sample
        assert x.dtype == y.dtype
        assert torch.equal(x, y), index
