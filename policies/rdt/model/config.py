"""The shape of an RDT: one frozen record that reads and writes the flat hub ``config.json``."""

import math
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from tasks.errors import ConfigError, first_mistake
from tasks.settings import settings

Norm = Literal["variance", "mean_square"]
"""Divisor of a norm: the root of the unbiased variance, or of the mean square."""

PredictionType = Literal["sample", "epsilon"]
"""Output of the network: the clean actions, or the noise."""

AxisLengths = int | tuple[int, ...]
PositionEntry = tuple[str, AxisLengths]

_TRUNK = ("hidden_size", "depth", "num_heads")
_TRUNK_KEYS = (*_TRUNK, "cond_pos_embed_type")


@settings
class NoiseScheduleConfig:
    """The diffusion process and how many steps the sampler takes through it."""

    num_train_timesteps: int = Field(default=1000, ge=2)
    """Timesteps of the noising process."""

    num_inference_timesteps: int = Field(default=5, ge=1, le=999)
    """Solver steps when sampling."""

    beta_schedule: Literal["squaredcos_cap_v2"] = "squaredcos_cap_v2"
    """Noise schedule: the squared-cosine one, betas capped at 0.999."""

    prediction_type: PredictionType = "sample"
    """Output of the network."""

    clip_sample: Literal[False] = False
    """Present in hub files; samples are never clipped inside the solver."""

    type: str = "ddpm"
    """Present in hub files; not used."""


@settings
class EMAConfig:
    """Present in hub files; published weights are the raw ones, and nothing here reads it."""

    update_after_step: int = 0
    """Updates before averaging starts."""

    inv_gamma: float = 1.0
    """Scale of the warm-up of the decay."""

    power: float = 0.75
    """Exponent of the warm-up of the decay."""

    min_value: float = 0.0
    """Least decay."""

    max_value: float = 0.9999
    """Greatest decay."""


@settings
class RDTConfig:
    """Sizes and choices that fix an RDT's parameters and its arithmetic (norm and dtype aside)."""

    hidden_size: int = Field(default=2048, ge=4)
    """Width H of the trunk; a multiple of 4 and of ``num_heads``."""

    depth: int = Field(default=28, ge=1)
    """Number of blocks D; even ones attend to language, odd ones to images."""

    num_heads: int = Field(default=32, ge=1)
    """Attention heads A."""

    action_dim: int = Field(default=128, ge=1)
    """Length V of the unified state and action vector."""

    pred_horizon: int = Field(default=64, ge=1)
    """Control steps T in a predicted plan."""

    lang_token_dim: int = Field(default=4096, ge=1)
    """Width of the language tokens that come in."""

    img_token_dim: int = Field(default=1152, ge=1)
    """Width of the image tokens that come in."""

    max_lang_cond_len: int = Field(default=1024, ge=1)
    """Most language tokens."""

    img_cond_len: int = Field(default=4374, ge=1)
    """Image tokens: history times cameras times patches; always all of them."""

    lang_pos_embed_config: tuple[PositionEntry, ...] | None = (("lang", -1024),)
    """Initial language positions; a negative length means that all tokens share one position."""

    img_pos_embed_config: tuple[PositionEntry, ...] | None = (("image", (2, 3, -729)),)
    """Initial image positions; negative axes carry none."""

    lang_adaptor: str = "mlp2x_gelu"
    """``linear`` or ``mlpKx_gelu`` from language tokens to H."""

    img_adaptor: str = "mlp2x_gelu"
    """``linear`` or ``mlpKx_gelu`` from image tokens to H."""

    state_adaptor: str = "mlp3x_gelu"
    """``linear`` or ``mlpKx_gelu`` from a (vector, mask) pair to H."""

    noise_scheduler: NoiseScheduleConfig = field(default_factory=NoiseScheduleConfig)
    """The diffusion process."""

    ema: EMAConfig = field(default_factory=EMAConfig)
    """Present in hub files; not used."""

    cond_pos_embed_type: str = "multimodal"
    """Present in hub files; not used."""

    @model_validator(mode="after")
    def _check_sizes(self) -> "RDTConfig":
        if self.hidden_size % 4:
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of 4")
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}"
            )
        for what, entries, length in (
            ("lang_pos_embed_config", self.lang_pos_embed_config, self.max_lang_cond_len),
            ("img_pos_embed_config", self.img_pos_embed_config, self.img_cond_len),
        ):
            if entries is not None and (tokens := sum(map(entry_length, entries))) != length:
                raise ValueError(f"{what} describes {tokens} tokens, but there are {length}")
        return self

    @classmethod
    def from_hub(cls, hub: Mapping[str, Any]) -> "RDTConfig":
        """Read the flat ``config.json`` of a hub checkpoint.

        Args:
            hub: The parsed file. Values that it leaves out are those of the published
                configurations, except the three sizes under ``rdt``, which are required, and
                positions beside a length of their own, which are then plain. ``dtype`` is ignored.

        Raises:
            ConfigError: A key is missing or unknown, or a value is not allowed.
        """
        flat = {key: value for key, value in hub.items() if key != "dtype"}
        trunk = flat.pop("rdt", None)
        if not isinstance(trunk, Mapping) or not set(trunk) >= set(_TRUNK):
            raise ConfigError(
                f"Not an RDT config: 'rdt' is {trunk!r}. It must be an object with hidden_size, "
                "depth and num_heads. Fix: use the config.json of an RDT checkpoint."
            )
        known = {entry.name for entry in fields(cls)} - set(_TRUNK_KEYS)
        for where, section, allowed in (
            ("", flat, {"rdt", "dtype", "state_token_dim", *known}),
            (" under 'rdt'", trunk, set(_TRUNK_KEYS)),
        ):
            if unknown := sorted(map(str, set(section) - allowed)):
                raise ConfigError(
                    f"Unknown RDT settings {unknown}{where}. Allowed: "
                    f"{', '.join(sorted(allowed))}. Fix: remove them from config.json."
                )
        action_dim = flat.get("action_dim", cls.action_dim)
        state_dim = flat.pop("state_token_dim", action_dim)
        if state_dim != action_dim:
            raise ConfigError(
                f"state_token_dim {state_dim} and action_dim {action_dim} differ. State "
                "and actions share one adaptor. Fix: give both the same value."
            )
        for length, positions in (
            ("max_lang_cond_len", "lang_pos_embed_config"),
            ("img_cond_len", "img_pos_embed_config"),
        ):
            if length in flat and flat[length] != getattr(cls, length):
                flat.setdefault(positions, None)
        try:
            return TypeAdapter(cls).validate_python({**flat, **trunk})
        except ValidationError as error:
            place, why = first_mistake(error)
            raise ConfigError(
                f"RDT config: {place}: {why}. Fix: correct it in config.json."
            ) from error

    @property
    def image_axes(self) -> tuple[int, int, int] | None:
        """(history, cameras, patches) of the image tokens; None where their positions are plain."""
        axes = self.img_pos_embed_config[0][1] if self.img_pos_embed_config else ()
        if not isinstance(axes, tuple) or len(axes) != 3:
            return None
        return abs(axes[0]), abs(axes[1]), abs(axes[2])

    def to_hub(self) -> dict[str, Any]:
        """Give the flat layout of the hub's ``config.json``, without ``dtype``, for JSON."""
        schedule = self.noise_scheduler
        return {
            "action_dim": self.action_dim,
            "pred_horizon": self.pred_horizon,
            "lang_token_dim": self.lang_token_dim,
            "img_token_dim": self.img_token_dim,
            "state_token_dim": self.action_dim,
            "max_lang_cond_len": self.max_lang_cond_len,
            "img_cond_len": self.img_cond_len,
            "lang_pos_embed_config": _as_lists(self.lang_pos_embed_config),
            "img_pos_embed_config": _as_lists(self.img_pos_embed_config),
            "lang_adaptor": self.lang_adaptor,
            "img_adaptor": self.img_adaptor,
            "state_adaptor": self.state_adaptor,
            "rdt": {
                "hidden_size": self.hidden_size,
                "depth": self.depth,
                "num_heads": self.num_heads,
                "cond_pos_embed_type": self.cond_pos_embed_type,
            },
            "noise_scheduler": {
                "type": schedule.type,
                "num_train_timesteps": schedule.num_train_timesteps,
                "num_inference_timesteps": schedule.num_inference_timesteps,
                "beta_schedule": schedule.beta_schedule,
                "prediction_type": schedule.prediction_type,
                "clip_sample": schedule.clip_sample,
            },
            "ema": asdict(self.ema),
        }


def entry_length(entry: PositionEntry) -> int:
    """Count the tokens of one position entry: the product of its axes, signs ignored."""
    axes = entry[1] if isinstance(entry[1], tuple) else (entry[1],)
    return math.prod(map(abs, axes))


def _as_lists(entries: tuple[PositionEntry, ...] | None) -> list[list[Any]] | None:
    if entries is None:
        return None
    return [[name, list(axes) if isinstance(axes, tuple) else axes] for name, axes in entries]
