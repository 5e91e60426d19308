from typing import Any

import pytest
import torch
from torch import Tensor


def close(given: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(given, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("norm", ["variance", "mean_square"])
def test_the_fast_norm_equals_the_plain_one(norm: Any) -> None:
    from policies.rdt.model.blocks import RmsNorm

    torch.manual_seed(1)
    x = (torch.randn(3, 5, 24, dtype=torch.float64) * 2 + 3).requires_grad_()
    layer = RmsNorm(24, norm)
    torch.nn.init.normal_(layer.weight)
    centre = x - x.mean(-1, keepdim=True) if norm == "variance" else x
    spread = centre.square().sum(-1, keepdim=True) / (23 if norm == "variance" else 24)
    wanted = x * torch.rsqrt(spread + 1e-6) * layer.weight.double()
    weights = torch.randn_like(x)
    grad_x, grad_w = torch.autograd.grad((wanted * weights).sum(), [x, layer.weight])
    x32 = x.detach().float().requires_grad_()
    given = layer(x32)
    given_x, given_w = torch.autograd.grad((given * weights.float()).sum(), [x32, layer.weight])
    close(given, wanted.float())
    close(given_x, grad_x.float())
    close(given_w, grad_w, 2e-5)
