"""The Robotics Diffusion Transformer (Liu et al. 2024, arXiv 2410.07864): model, loss, sampling."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from policies.rdt.model.blocks import Block, FinalLayer, ScalarEmbedder, build_adaptor
from policies.rdt.model.config import Norm, RDTConfig
from policies.rdt.model.diffusion import (
    SOLVERS,
    Solver,
    SolverName,
    add_noise,
    alphas_cumprod,
)
from policies.rdt.model.positions import condition_positions, sequence_positions

KeysValues = tuple[tuple[Tensor, Tensor], ...]


class RDTInputs(NamedTuple):
    """RDT's inputs. B samples, L language tokens, N image tokens, V the unified vector.

    Attributes:
        lang_tokens: (B, L, lang_token_dim).
        lang_mask: (B, L) bool, True where there is a word; None for everywhere.
        img_tokens: (B, N, img_token_dim), flattened (history, camera, patch).
        state: (B, 1, V), the current state.
        action_mask: (B, 1, V) of 0 and 1: the slots in use, of state and action alike.
        ctrl_freqs: (B,) Hz, 0 if unknown.
    """

    lang_tokens: Tensor
    lang_mask: Tensor | None
    img_tokens: Tensor
    state: Tensor
    action_mask: Tensor
    ctrl_freqs: Tensor


class Conditioning(NamedTuple):
    """Inputs that stay the same while a plan is sampled; others as in ``RDTInputs``.

    Attributes:
        keys_values: One pair of (B, A, L or N, d) tensors per block.
        state: (B, 1, H), the adapted state.
    """

    keys_values: KeysValues
    state: Tensor
    action_mask: Tensor
    ctrl_freqs: Tensor
    lang_mask: Tensor | None


class RDTTrunk(nn.Module):
    """The transformer over [timestep, frequency, state, actions].

    Even blocks attend to language, odd ones to images. The timestep acts only as a token.
    """

    def __init__(self, config: RDTConfig, *, dtype: torch.dtype, norm: Norm) -> None:
        super().__init__()
        hidden, horizon = config.hidden_size, config.pred_horizon
        self.horizon = horizon
        self.recompute = False
        """Whether ``forward`` recomputes blocks for their gradients instead of storing them."""
        self.t_embedder = ScalarEmbedder(hidden)
        self.freq_embedder = ScalarEmbedder(hidden)
        self.x_pos_embed = nn.Parameter(torch.zeros(1, horizon + 3, hidden))
        self.lang_cond_pos_embed = nn.Parameter(torch.zeros(1, config.max_lang_cond_len, hidden))
        self.img_cond_pos_embed = nn.Parameter(torch.zeros(1, config.img_cond_len, hidden))
        self.blocks = nn.ModuleList(
            Block(hidden, config.num_heads, norm) for _ in range(config.depth)
        )
        self.final_layer = FinalLayer(hidden, config.action_dim, norm)
        self._initialise(config)
        self.to(dtype)

    def _initialise(self, config: RDTConfig) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        hidden = config.hidden_size
        lang = config.max_lang_cond_len, config.lang_pos_embed_config
        img = config.img_cond_len, config.img_pos_embed_config
        tables = (
            (self.x_pos_embed, sequence_positions(hidden, config.pred_horizon)),
            (self.lang_cond_pos_embed, condition_positions(hidden, *lang)),
            (self.img_cond_pos_embed, condition_positions(hidden, *img)),
        )
        with torch.no_grad():
            for parameter, table in tables:
                parameter.copy_(torch.from_numpy(table)[None])
        for embedder in (self.t_embedder, self.freq_embedder):
            for module in embedder.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(self.final_layer.ffn_final.fc2.weight)
        nn.init.zeros_(self.final_layer.ffn_final.fc2.bias)

    def project_conditions(self, lang_BLH: Tensor, img_BNH: Tensor) -> KeysValues:
        """Compute every block's keys and values, (B, A, L or N, d) each, once for all solver steps.

        Args:
            lang_BLH: Adapted language tokens, L at most the configured length.
            img_BNH: Adapted image tokens, N exactly the configured length.
        """
        lang_BLH = lang_BLH + self.lang_cond_pos_embed[:, : lang_BLH.shape[1]]
        img_BNH = img_BNH + self.img_cond_pos_embed
        return tuple(
            block.cross_attn.keys_values(img_BNH if index % 2 else lang_BLH)  # type: ignore[union-attr,operator]
            for index, block in enumerate(self.blocks)
        )

    def denoise(
        self,
        x_BNH: Tensor,
        ctrl_freqs_B: Tensor,
        t: Tensor,
        keys_values: KeysValues,
        lang_mask_BL: Tensor | None,
    ) -> Tensor:
        """Predict (B, T, V) from conditions that are already projected.

        Args:
            x_BNH: Adapted state token, then T adapted action tokens.
            ctrl_freqs_B: Control frequency, Hz.
            t: Timesteps, (B,) or (1,).
            keys_values: From ``project_conditions``.
            lang_mask_BL: bool, True where there is a word; None for everywhere.
        """
        x_BNH = self._embed(x_BNH, ctrl_freqs_B, t)
        for index, block in enumerate(self.blocks):
            x_BNH = block(x_BNH, keys_values[index], None if index % 2 else lang_mask_BL)
        # The final layer acts on each token alone, so it only needs those of the actions.
        out_BTV: Tensor = self.final_layer(x_BNH[:, -self.horizon :])
        return out_BTV

    def forward(
        self,
        x_BNH: Tensor,
        ctrl_freqs_B: Tensor,
        t: Tensor,
        lang_BLH: Tensor,
        img_BNH: Tensor,
        lang_mask_BL: Tensor | None = None,
    ) -> Tensor:
        """Predict (B, T, V) from adapted tokens; see ``denoise`` and ``project_conditions``.

        Each block's weights are used within its own call only, so that FSDP can gather them for
        that call.
        """
        conditions = (
            lang_BLH + self.lang_cond_pos_embed[:, : lang_BLH.shape[1]],
            img_BNH + self.img_cond_pos_embed,
        )
        frugal = self.recompute and torch.is_grad_enabled()
        x_BNH = self._embed(x_BNH, ctrl_freqs_B, t)
        for index, block in enumerate(self.blocks):
            inputs = (x_BNH, conditions[index % 2], None if index % 2 else lang_mask_BL)
            # A block's keys and values are recomputed too: over all image tokens they take the most
            # memory.
            x_BNH = checkpoint(block, *inputs, use_reentrant=False) if frugal else block(*inputs)
        out_BTV: Tensor = self.final_layer(x_BNH[:, -self.horizon :])
        return out_BTV

    def _embed(self, x_BNH: Tensor, ctrl_freqs_B: Tensor, t: Tensor) -> Tensor:
        """Prepend the tokens of timestep and frequency, and add positions."""
        batch = x_BNH.shape[0]
        t_BH = self.t_embedder(t).expand(batch, -1)
        freq_BH = self.freq_embedder(ctrl_freqs_B).expand(batch, -1)
        return torch.cat([t_BH[:, None], freq_BH[:, None], x_BNH], dim=1) + self.x_pos_embed


class RDTModel(nn.Module):
    """RDT with its adaptors, its training loss and its sampler.

    The state dict has the published names and shapes, so published weights load strictly. Letters:
    B batch, T horizon, V 128-vector, L language tokens, N image tokens.
    """

    def __init__(
        self, config: RDTConfig, *, dtype: torch.dtype = torch.float32, norm: Norm = "variance"
    ) -> None:
        """Build with fresh weights of a dtype; see ``blocks.RmsNorm`` for ``norm``.

        Raises:
            ConfigError: An adaptor's name is not known.
        """
        super().__init__()
        hidden = config.hidden_size
        self.config = config
        self.norm = norm
        self.model = RDTTrunk(config, dtype=dtype, norm=norm)
        self.lang_adaptor = build_adaptor(config.lang_adaptor, config.lang_token_dim, hidden)
        self.img_adaptor = build_adaptor(config.img_adaptor, config.img_token_dim, hidden)
        self.state_adaptor = build_adaptor(config.state_adaptor, 2 * config.action_dim, hidden)
        self.to(dtype)
        self._alphas = alphas_cumprod(config.noise_scheduler.num_train_timesteps)

    def denoising_error(
        self,
        inputs: RDTInputs,
        actions: Tensor,
        *,
        noise: Tensor | None = None,
        timesteps: Tensor | None = None,
    ) -> Tensor:
        """Noise the actions, denoise them once, and compute the squared error of every element.

        Args:
            inputs: RDT's inputs.
            actions: (B, T, V), the target.
            noise: (B, T, V) standard normal; drawn if not given.
            timesteps: (B,) int64 in [0, 1000); drawn if not given, after the noise.

        Returns:
            (B, T, V) squared error against the actions (against the noise for ``epsilon``).
        """
        if noise is None:
            noise = torch.randn_like(actions)
        if timesteps is None:
            timesteps = torch.randint(
                0, len(self._alphas), (actions.shape[0],), device=actions.device
            )
        noisy = add_noise(actions, noise, timesteps, self._alphas)
        x_BNH = self._adapt(torch.cat([inputs.state, noisy], dim=1), inputs.action_mask)
        lang_BLH, img_BNH = self._adapt_tokens(inputs)
        out = self.model(x_BNH, inputs.ctrl_freqs, timesteps, lang_BLH, img_BNH, inputs.lang_mask)
        epsilon = self.config.noise_scheduler.prediction_type == "epsilon"
        error: Tensor = (out - (noise if epsilon else actions)) ** 2
        return error

    def compute_loss(
        self,
        inputs: RDTInputs,
        actions: Tensor,
        *,
        noise: Tensor | None = None,
        timesteps: Tensor | None = None,
    ) -> Tensor:
        """Give the mean of ``denoising_error`` over all B·T·V elements, masked slots included."""
        return self.denoising_error(inputs, actions, noise=noise, timesteps=timesteps).mean()

    def condition(self, inputs: RDTInputs) -> Conditioning:
        """Compute the part of the forward pass that all solver steps share."""
        return Conditioning(
            keys_values=self.model.project_conditions(*self._adapt_tokens(inputs)),
            state=self._adapt(inputs.state, inputs.action_mask),
            action_mask=inputs.action_mask,
            ctrl_freqs=inputs.ctrl_freqs,
            lang_mask=inputs.lang_mask,
        )

    def denoise(self, conditions: Conditioning, x: Tensor, t: Tensor) -> Tensor:
        """Predict the clean actions (B, T, V), or for ``epsilon`` the noise.

        Args:
            conditions: From ``condition``.
            x: (B, T, V), the noisy actions.
            t: (1,) or (B,), the timestep.
        """
        adapted = self._adapt(x, conditions.action_mask)
        x_BNH = torch.cat([conditions.state, adapted], dim=1)
        return self.model.denoise(
            x_BNH, conditions.ctrl_freqs, t, conditions.keys_values, conditions.lang_mask
        )

    def solver(self, steps: int | None = None, name: SolverName = "dpm-solver++") -> Solver:
        """Give a solver; None takes the configured number of steps, one out of range is refused."""
        schedule = self.config.noise_scheduler
        return SOLVERS[name](
            self._alphas,
            schedule.num_inference_timesteps if steps is None else steps,
            schedule.prediction_type,
        )

    def _adapt_tokens(self, inputs: RDTInputs) -> tuple[Tensor, Tensor]:
        return self.lang_adaptor(inputs.lang_tokens), self.img_adaptor(inputs.img_tokens)

    def _adapt(self, vectors_BNV: Tensor, mask_B1V: Tensor) -> Tensor:
        """Map each pair of a vector and its mask to the trunk's width."""
        pair = torch.cat([vectors_BNV, mask_B1V.expand(-1, vectors_BNV.shape[1], -1)], dim=2)
        adapted: Tensor = self.state_adaptor(pair)
        return adapted
