"""The network of the policy: RDT with its encoders."""

from typing import NotRequired, TypedDict

import torch
from torch import Tensor, nn

from policies.rdt.encoders.base import AnyEncodersConfig, Encoders
from policies.rdt.encoders.factory import build_encoders
from policies.rdt.model.config import Norm, RDTConfig
from policies.rdt.model.sampling import PlanSampler, SamplingOptions
from policies.rdt.model.transformer import Conditioning, RDTInputs, RDTModel
from tasks.errors import SpecMismatchError
from tasks.observation import CONTROL_HZ


class ConditionBatch(TypedDict):
    """Conditions of plans. B samples, L words, V the unified vector.

    Keys:
        images: (B, history, cameras, 3, S, S) uint8 from ``ImageEncoder.prepare``, oldest first.
        token_ids: (B, L) int64 or (B, L, width) from ``TextEncoder.prepare``.
        token_mask: (B, L) bool, True where there is a word.
        state: (B, V) float32.
        action_mask: (B, V) float32 of 0 and 1, the slots in use.
        ctrl_freqs: (B,) Hz, 0 for unknown; LIBERO's 20 if left out.
    """

    images: Tensor
    token_ids: Tensor
    token_mask: Tensor
    state: Tensor
    action_mask: Tensor
    ctrl_freqs: NotRequired[Tensor]


class Batch(ConditionBatch):
    """A training batch: ``ConditionBatch`` with the target actions (B, T, V) float32."""

    actions: Tensor


class RDTPolicyNetwork(nn.Module):
    """Image encoder, text encoder and RDT. Frozen encoders have no part in its state dict."""

    def __init__(
        self,
        rdt: RDTConfig | RDTModel,
        encoders: AnyEncodersConfig | Encoders,
        *,
        norm: Norm = "variance",
    ) -> None:
        """Put the parts together; parts given as configs are built with fresh weights.

        Args:
            rdt: RDT or its config.
            encoders: The encoders, or the config of encoders that are trained along.
            norm: Divisor of the norms of an RDT that is built here.

        Raises:
            SpecMismatchError: See ``check_tokens``.
        """
        super().__init__()
        config = rdt if isinstance(rdt, RDTConfig) else rdt.config
        self.encoders_config = encoders.config if isinstance(encoders, Encoders) else encoders
        check_tokens(config, self.encoders_config)
        self.history = config.img_cond_len // self.encoders_config.tokens_per_step
        built = encoders if isinstance(encoders, Encoders) else build_encoders(encoders)
        self.image_encoder = built.image
        self.text_encoder = built.text
        self.rdt = rdt if isinstance(rdt, RDTModel) else RDTModel(rdt, norm=norm)

    @property
    def config(self) -> RDTConfig:
        """The shape of RDT."""
        return self.rdt.config

    def denoising_error(
        self, batch: Batch, *, noise: Tensor | None = None, timesteps: Tensor | None = None
    ) -> Tensor:
        """Compute (B, T, V) squared errors, with gradients; see ``RDTModel.denoising_error``."""
        inputs = self._encode(batch)
        return self.rdt.denoising_error(inputs, batch["actions"], noise=noise, timesteps=timesteps)

    def loss(
        self,
        batch: Batch,
        *,
        weights: Tensor | None = None,
        noise: Tensor | None = None,
        timesteps: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the training loss.

        Args:
            batch: Samples.
            weights: Broadcast against (B, T, V) and multiplied in before the mean over all
                elements; None for the original plain mean.
            noise: See ``RDTModel.denoising_error``.
            timesteps: See ``RDTModel.denoising_error``.

        Returns:
            The loss to minimise, and 0-dim detached tensors to log: ``loss``, and ``masked_error``,
            the unweighted mean over the slots in use.
        """
        error_BTV = self.denoising_error(batch, noise=noise, timesteps=timesteps)
        loss = (error_BTV if weights is None else error_BTV * weights).mean()
        with torch.no_grad():
            mask_B1V = batch["action_mask"][:, None]
            elements = mask_B1V.sum() * error_BTV.shape[1]
            masked_error = (error_BTV * mask_B1V).sum() / elements.clamp(min=1.0)
        return loss, {"loss": loss.detach(), "masked_error": masked_error}

    # Data-parallel wrappers call `forward`.
    forward = loss

    @torch.no_grad()
    def condition(self, batch: ConditionBatch) -> Conditioning:
        """Encode the conditions of plans, once for all solver steps."""
        return self.rdt.condition(self._encode(batch))

    @torch.no_grad()
    def sample(
        self,
        batch: ConditionBatch,
        noise: Tensor | None = None,
        *,
        solver_steps: int | None = None,
    ) -> Tensor:
        """Sample plans as an evaluation does by default, with ``PlanSampler``.

        Args:
            batch: Conditions of plans, or a training batch.
            noise: (B, T, V) standard normal to start from; drawn if not given.
            solver_steps: Replaces the configured number.

        Returns:
            (B, T, V) in the unified vector, zero outside the mask.
        """
        conditions = self.condition(batch)
        state = conditions.state
        if noise is None:
            shape = (len(state), self.config.pred_horizon, self.config.action_dim)
            noise = torch.randn(shape, dtype=state.dtype, device=state.device)
        options = SamplingOptions(solver_steps=solver_steps)
        return PlanSampler(self.rdt, options, state.device).sample(conditions, noise[:, None])

    def _encode(self, batch: ConditionBatch) -> RDTInputs:
        """Encode images and text, in the dtype of RDT's adaptors."""
        dtype = next(self.rdt.state_adaptor.parameters()).dtype
        state = batch["state"]
        frequencies = batch.get("ctrl_freqs")
        if frequencies is None:
            frequencies = torch.full((len(state),), CONTROL_HZ, device=state.device)
        return RDTInputs(
            lang_tokens=self.text_encoder(batch["token_ids"]).to(dtype),
            lang_mask=batch["token_mask"],
            img_tokens=self.image_encoder(batch["images"]).to(dtype),
            state=state[:, None].to(dtype),
            action_mask=batch["action_mask"][:, None].to(dtype),
            ctrl_freqs=frequencies,
        )


def check_tokens(config: RDTConfig, encoders: AnyEncodersConfig) -> None:
    """Refuse encoders that do not give the tokens that RDT takes.

    Raises:
        SpecMismatchError: A width or a number differs.
    """
    needed = {
        "img_token_dim": (config.img_token_dim, encoders.image_token_dim),
        "lang_token_dim": (config.lang_token_dim, encoders.text_token_dim),
        "max_lang_cond_len": (config.max_lang_cond_len, encoders.max_words),
        "img_cond_len modulo tokens per step": (
            config.img_cond_len % encoders.tokens_per_step,
            0,
        ),
    }
    for what, (takes, gives) in needed.items():
        if takes != gives:
            raise SpecMismatchError(
                f"{what}: RDT has {takes}, the encoders have {gives}. They must agree. "
                "Fix: change one of the two configs, or give the encoders RDT was trained with."
            )
