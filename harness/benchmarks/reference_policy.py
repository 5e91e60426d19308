"""RDT in the straightforward order of computation, that of the official code; slow on purpose.

It is what this project's order is measured against and must agree with. The conditions' adaptors
run once per plan, but each block projects its condition's keys and values anew at every denoising
step; images are prepared and encoded anew at every plan, frames that the plan before saw and the
background of slots without a camera included; and episodes are planned one after the other, without
padding. The norms follow their formulas. Attention is PyTorch's own in both orders.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from policies.interface import PlanRequest
from policies.rdt.actions.slots import SIZE
from policies.rdt.checkpoint.contract import Contract
from policies.rdt.encoders.base import ImageEncoder
from policies.rdt.encoders.images import BACKGROUND, square_frame
from policies.rdt.encoders.siglip import SiglipImageEncoder
from policies.rdt.model.diffusion import DPMSolver, alphas_cumprod
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.transformer import RDTModel
from tasks.observation import FloatArray, Image, stack_robot_states

Stages = Callable[[str], AbstractContextManager[None]]
"""Opens a stage by its name: ``encoder``, ``conditions`` or ``denoising``."""

_EPS = 1e-6


def untimed(stage: str) -> AbstractContextManager[None]:
    """Do nothing: the stages of a plan that nobody times."""
    return nullcontext()


class ReferencePlanner:
    """Plans with a network's weights, in the official order.

    Args:
        network: The weights, where they are to compute, in evaluation mode.
        contract: What they need.
        solver_steps: Instead of the configured number.
        stages: Told when a stage begins and ends.
    """

    def __init__(
        self,
        network: RDTPolicyNetwork,
        contract: Contract,
        *,
        solver_steps: int | None = None,
        stages: Stages = untimed,
    ) -> None:
        self.network, self.contract = network, contract
        self.layout = contract.mapping
        self.solver_steps, self.stages = solver_steps, stages
        first = next(network.rdt.parameters())
        self._device, self._dtype = first.device, first.dtype

    @torch.no_grad()
    def vectors(self, request: PlanRequest) -> Tensor:
        """Plan for one episode; the history must be whole.

        Returns:
            (1, T, V), the plan as unified vectors.
        """
        now, device, dtype = request.window[-1], self._device, self._dtype
        frames = np.stack(
            [[seen[camera] for camera in self.contract.cameras] for seen in request.window]  # type: ignore[literal-required]
        )
        words, word_mask = self.network.text_encoder.prepare([request.instruction])
        length = int(word_mask.sum())
        state = self.layout.encode_state(stack_robot_states([now]))[0]
        generator = torch.Generator().manual_seed(request.seed)
        noise = torch.randn(1, self.contract.horizon, SIZE, generator=generator)
        pictures = _prepare(self.network.image_encoder, frames)
        with self.stages("encoder"):
            images = _encode(self.network.image_encoder, pictures).to(dtype)
            lang = self.network.text_encoder(words[:, :length].to(device)).to(dtype)
        return predict_action(
            self.network.rdt,
            lang,
            None,
            images,
            torch.from_numpy(state)[None, None].to(device, dtype),
            torch.from_numpy(self.layout.mask)[None, None].to(device, dtype),
            torch.tensor([self.contract.control_hz], device=device),
            noise=noise.to(device, dtype),
            solver_steps=self.solver_steps,
            stages=self.stages,
        )

    def actions(self, vectors: Tensor) -> FloatArray:
        """Read the actions of a plan: (T, 7)."""
        actions: FloatArray = self.layout.decode_actions(vectors[0].float().cpu().numpy())
        return actions


@torch.no_grad()
def predict_action(
    rdt: RDTModel,
    lang_tokens: Tensor,
    lang_mask: Tensor | None,
    img_tokens: Tensor,
    state: Tensor,
    action_mask: Tensor,
    ctrl_freqs: Tensor,
    *,
    noise: Tensor,
    solver_steps: int | None = None,
    stages: Stages = untimed,
) -> Tensor:
    """Sample plans; equal to ``PlanSampler`` without options but for rounding.

    Args:
        rdt: The weights.
        lang_tokens: (B, L, lang_token_dim).
        lang_mask: (B, L) bool, True where there is a word; None for everywhere.
        img_tokens: (B, N, img_token_dim).
        state: (B, 1, V).
        action_mask: (B, 1, V) of 0 and 1.
        ctrl_freqs: (B,) Hz.
        noise: (B, T, V) standard normal to start from.
        solver_steps: Instead of the configured number.
        stages: Told when a stage begins and ends.

    Returns:
        (B, T, V).
    """
    schedule = rdt.config.noise_scheduler
    solver = DPMSolver(
        alphas_cumprod(schedule.num_train_timesteps),
        solver_steps or schedule.num_inference_timesteps,
        schedule.prediction_type,
    )
    with stages("conditions"):
        lang, images = rdt.lang_adaptor(lang_tokens), rdt.img_adaptor(img_tokens)
    mask = action_mask.expand(-1, noise.shape[1], -1)
    with stages("denoising"):
        state_token = rdt.state_adaptor(torch.cat([state, action_mask], dim=2))
        x, previous = noise, None
        for index, timestep in enumerate(solver.timesteps):
            action_tokens = rdt.state_adaptor(torch.cat([x, mask], dim=2))
            tokens = torch.cat([state_token, action_tokens], dim=1)
            t = torch.tensor([timestep], device=x.device)
            output = _trunk(rdt, tokens, ctrl_freqs, t, lang, images, lang_mask, stages)
            x, previous = solver.step(index, output, x, previous)
    return x * action_mask


def _prepare(encoder: ImageEncoder, frames: Image) -> Tensor:
    """Give (history, slots, 3, S, S): every image of the plan, missing cameras included."""
    if not isinstance(encoder, SiglipImageEncoder):
        return encoder.prepare(frames)
    history, cameras = frames.shape[:2]
    missing = np.full_like(frames[:, :1], BACKGROUND).repeat(encoder.slots - cameras, axis=1)
    every = np.concatenate([frames, missing], axis=1)
    size = encoder.tower.image_size
    prepared = [square_frame(frame, size) for frame in every.reshape(-1, *frames.shape[2:])]
    return torch.stack(prepared).reshape(history, encoder.slots, 3, size, size)


def _encode(encoder: ImageEncoder, pictures: Tensor) -> Tensor:
    """Encode all images of a plan together: (1, N, width)."""
    if isinstance(encoder, SiglipImageEncoder):
        return encoder.tower.encode(pictures.flatten(0, 1)).flatten(0, 1)[None]
    encoded: Tensor = encoder(pictures[None])
    return encoded


def _trunk(
    rdt: RDTModel,
    tokens: Tensor,
    ctrl_freqs: Tensor,
    t: Tensor,
    lang: Tensor,
    images: Tensor,
    lang_mask: Tensor | None,
    stages: Stages,
) -> Tensor:
    trunk, batch = rdt.model, tokens.shape[0]
    times = trunk.t_embedder(t).expand(batch, -1)[:, None]
    frequencies = trunk.freq_embedder(ctrl_freqs)[:, None]
    x = torch.cat([times, frequencies, tokens], dim=1) + trunk.x_pos_embed
    lang = lang + trunk.lang_cond_pos_embed[:, : lang.shape[1]]
    images = images + trunk.img_cond_pos_embed
    attend = None if lang_mask is None else lang_mask[:, None, None, :]
    blocks: Any = trunk.blocks
    for index, block in enumerate(blocks):
        condition, mask = (images, None) if index % 2 else (lang, attend)
        x = x + _self_attention(block.attn, _norm(block.norm1, x))
        x = x + _cross_attention(block.cross_attn, _norm(block.norm2, x), condition, mask, stages)
        x = x + block.ffn(_norm(block.norm3, x))
    final: Any = trunk.final_layer
    out: Tensor = final.ffn_final(_norm(final.norm_final, x))[:, -trunk.horizon :]
    return out


def _self_attention(attention: Any, x: Tensor) -> Tensor:
    q, k, v = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    return _attend(attention, q, _norm(attention.k_norm, k), v, None)


def _cross_attention(
    attention: Any, x: Tensor, condition: Tensor, mask: Tensor | None, stages: Stages
) -> Tensor:
    with stages("conditions"):
        k, v = attention.kv(condition).unflatten(-1, (2, attention.num_heads, -1)).unbind(2)
        k = _norm(attention.k_norm, k)
    q = attention.q(x).unflatten(-1, (attention.num_heads, -1))
    return _attend(attention, q, k, v, mask)


def _attend(attention: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    q = _norm(attention.q_norm, q)
    mixed = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
    )
    projected: Tensor = attention.proj(mixed.transpose(1, 2).flatten(2))
    return projected


def _norm(norm: Any, x: Tensor) -> Tensor:
    """Divide by the root of the unbiased variance, or of the mean square."""
    if norm.norm == "variance":
        spread = x.var(-1, keepdim=True)
    else:
        spread = x.square().mean(-1, keepdim=True)
    scaled: Tensor = x * torch.rsqrt(spread + _EPS) * norm.weight
    return scaled
