"""The parts of an RDT block: norms, attention, feed-forward, embedders, adaptors."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from policies.rdt.model.config import Norm
from policies.rdt.model.shapes import FREQUENCIES, adaptor_linears
from tasks.errors import ConfigError

_EPS = 1e-6


def _mean_and_reciprocal(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and 1/√(var + eps) over the last axis; ``Tensor.var`` is slow on a CPU."""
    n = x.shape[-1]
    # The layer norm's kernel gives mean and 1/√(var·(n−1)/n + eps') in one stable pass.
    _, mean, rstd = torch.native_layer_norm(x, [n], None, None, _EPS * (n - 1) / n)
    return mean, rstd * math.sqrt((n - 1) / n)


class _VarianceNorm(torch.autograd.Function):
    """x·rsqrt(var(x) + eps)·w in one pass each way.

    With r = rsqrt(var + eps) and n entries, dr/dx = −r³(x − mean)/(n − 1).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        mean, r = _mean_and_reciprocal(x)
        ctx.save_for_backward(x, weight, mean, r)
        return (x * r).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight, mean, r = ctx.saved_tensors
        n = x.shape[-1]
        gx = grad * x
        grad_weight = (gx * r).flatten(0, -2).sum(0)
        pull = gx.matmul(weight).unsqueeze(-1) * (r * r * r / (n - 1))
        grad_x = (grad * r).mul_(weight).addcmul_(x - mean, pull, value=-1)
        return grad_x, grad_weight


class RmsNorm(nn.Module):
    """A norm over the last axis with a weight and no bias, in the dtype of its input.

    ``mean_square`` is the textbook RMS norm. RDT's published weights were trained with
    ``variance``, which divides by the root of the unbiased variance without subtracting the mean.
    Their parameters look alike; only one fits a given checkpoint.
    """

    def __init__(self, dim: int, norm: Norm) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (..., dim)."""
        if self.norm == "mean_square":
            mean_square = x.square().mean(-1, keepdim=True)
            return x * torch.rsqrt(mean_square + _EPS) * self.weight
        if x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32:
            if not torch.is_grad_enabled():  # the same numbers without autograd's bookkeeping
                return (x * _mean_and_reciprocal(x)[1]).mul_(self.weight)
            result: Tensor = _VarianceNorm.apply(x, self.weight)  # type: ignore[no-untyped-call]
            return result
        variance: Tensor = x.var(-1, keepdim=True)
        return x * torch.rsqrt(variance + _EPS) * self.weight


class SelfAttention(nn.Module):
    """Multi-head self-attention with normed queries and keys; no mask, not causal."""

    def __init__(self, hidden_size: int, num_heads: int, norm: Norm) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.q_norm = RmsNorm(hidden_size // num_heads, norm)
        self.k_norm = RmsNorm(hidden_size // num_heads, norm)
        self.proj = nn.Linear(hidden_size, hidden_size)

    def forward(self, x_BNH: Tensor) -> Tensor:
        """Mix the tokens (B, N, H) among themselves."""
        qkv = self.qkv(x_BNH).unflatten(-1, (3, self.num_heads, -1))
        q_BNAd, k_BNAd, v_BNAd = qkv.unbind(2)
        q, k = self.q_norm(q_BNAd).transpose(1, 2), self.k_norm(k_BNAd).transpose(1, 2)
        mixed_BANd = F.scaled_dot_product_attention(q, k, v_BNAd.transpose(1, 2))
        projected: Tensor = self.proj(mixed_BANd.transpose(1, 2).flatten(2))
        return projected


class CrossAttention(nn.Module):
    """Attention from the sequence to a condition, which is not normalised."""

    def __init__(self, hidden_size: int, num_heads: int, norm: Norm) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(hidden_size, hidden_size)
        self.kv = nn.Linear(hidden_size, 2 * hidden_size)
        self.q_norm = RmsNorm(hidden_size // num_heads, norm)
        self.k_norm = RmsNorm(hidden_size // num_heads, norm)
        self.proj = nn.Linear(hidden_size, hidden_size)

    def keys_values(self, condition_BLH: Tensor) -> tuple[Tensor, Tensor]:
        """Project an adapted condition to keys and values, (B, A, L, d), for all solver steps."""
        kv = self.kv(condition_BLH).unflatten(-1, (2, self.num_heads, -1))
        k_BLAd, v_BLAd = kv.unbind(2)
        return self.k_norm(k_BLAd).transpose(1, 2), v_BLAd.transpose(1, 2)

    def forward(
        self, x_BNH: Tensor, keys_values: tuple[Tensor, Tensor], mask_BL: Tensor | None
    ) -> Tensor:
        """Attend from ``x_BNH`` to the condition where the mask is True."""
        q_BNAd = self.q_norm(self.q(x_BNH).unflatten(-1, (self.num_heads, -1)))
        mask = None if mask_BL is None else mask_BL[:, None, None, :]
        mixed_BANd = F.scaled_dot_product_attention(
            q_BNAd.transpose(1, 2), *keys_values, attn_mask=mask
        )
        projected: Tensor = self.proj(mixed_BANd.transpose(1, 2).flatten(2))
        return projected


class FeedForward(nn.Module):
    """Linear, tanh-GELU, linear; the hidden width is the input width."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, dim)
        self.fc2 = nn.Linear(dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., dim) to (..., out_dim)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return out


class Block(nn.Module):
    """Pre-norm self-attention, cross-attention and feed-forward, each added to its input."""

    def __init__(self, hidden_size: int, num_heads: int, norm: Norm) -> None:
        super().__init__()
        self.norm1 = RmsNorm(hidden_size, norm)
        self.attn = SelfAttention(hidden_size, num_heads, norm)
        self.cross_attn = CrossAttention(hidden_size, num_heads, norm)
        self.norm2 = RmsNorm(hidden_size, norm)
        self.ffn = FeedForward(hidden_size, hidden_size)
        self.norm3 = RmsNorm(hidden_size, norm)

    def forward(
        self, x_BNH: Tensor, condition: Tensor | tuple[Tensor, Tensor], mask_BL: Tensor | None
    ) -> Tensor:
        """Return the sequence (B, N, H) after this block.

        Args:
            x_BNH: The sequence before it.
            condition: The adapted condition (B, L, H), or its keys and values.
            mask_BL: bool, True where the condition counts; None for everywhere.
        """
        if isinstance(condition, Tensor):
            condition = self.cross_attn.keys_values(condition)
        x_BNH = x_BNH + self.attn(self.norm1(x_BNH))
        x_BNH = x_BNH + self.cross_attn(self.norm2(x_BNH), condition, mask_BL)
        out_BNH: Tensor = x_BNH + self.ffn(self.norm3(x_BNH))
        return out_BNH


class FinalLayer(nn.Module):
    """Norm and feed-forward from the trunk's width to the unified vector."""

    def __init__(self, hidden_size: int, out_dim: int, norm: Norm) -> None:
        super().__init__()
        self.norm_final = RmsNorm(hidden_size, norm)
        self.ffn_final = FeedForward(hidden_size, out_dim)

    def forward(self, x_BNH: Tensor) -> Tensor:
        """Map (B, N, H) to (B, N, V)."""
        out: Tensor = self.ffn_final(self.norm_final(x_BNH))
        return out


class ScalarEmbedder(nn.Module):
    """Embeds one number per sample, a timestep or a control frequency in Hz (0 = unknown)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(FREQUENCIES, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size)
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return next(self.parameters()).dtype

    def forward(self, value_B: Tensor) -> Tensor:
        """Embed (B,) numbers as (B, H): cosines, then sines, of value·exp(−ln(10⁴)·k/128)."""
        half = FREQUENCIES // 2
        k = torch.arange(half, dtype=torch.float32, device=value_B.device)
        angles = value_B[:, None].float() * torch.exp(-math.log(10000) * k / half)[None]
        waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)
        embedded: Tensor = self.mlp(waves.to(self.dtype))
        return embedded


def build_adaptor(kind: str, in_dim: int, hidden_size: int) -> nn.Module:
    """Build the map from a modality's width to the trunk's; linears sit at even indices.

    Args:
        kind: ``linear``, or ``mlpKx_gelu`` for K linears with tanh-GELU between.
        in_dim: Width of the modality.
        hidden_size: H.

    Raises:
        ConfigError: The kind is not known.
    """
    if kind == "linear":
        return nn.Linear(in_dim, hidden_size)
    count = adaptor_linears(kind)
    if not count:
        raise ConfigError(
            f"Unknown adaptor '{kind}'. Allowed: linear, or mlpKx_gelu with a number K such as "
            "mlp2x_gelu. Fix: correct it in the RDT config."
        )
    layers: list[nn.Module] = [nn.Linear(in_dim, hidden_size)]
    for _ in range(count - 1):
        layers += [nn.GELU(approximate="tanh"), nn.Linear(hidden_size, hidden_size)]
    return nn.Sequential(*layers)
