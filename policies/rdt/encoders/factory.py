"""Building the encoders that a config describes: small ones fresh, frozen ones loaded."""

from collections.abc import Sequence
from dataclasses import asdict

import torch

from policies.rdt.encoders.base import (
    AnyEncodersConfig,
    Encoders,
    EncodersConfig,
    EncoderSources,
    Form,
    FrozenEncodersConfig,
    MissingHistory,
)
from policies.rdt.encoders.language import T5TextEncoder
from policies.rdt.encoders.siglip import OFFICIAL, SiglipImageEncoder, SiglipTower
from policies.rdt.encoders.small import ConvImageEncoder, WordEncoder
from policies.rdt.encoders.t5 import MAX_TOKENS
from tasks.errors import SpecMismatchError, differing_settings
from tasks.observation import CAMERAS


def build_encoders(
    config: AnyEncodersConfig,
    sources: EncoderSources | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Encoders:
    """Build the encoders that a config describes.

    Args:
        config: The config of a preset or a checkpoint.
        sources: Sources of frozen encoders.
        dtype: Of frozen image encoders.
        device: Of frozen encoders.

    Raises:
        ConfigError: A source is missing or wrong.
        PrerequisiteError: A source is on the hub and the hub cannot be reached.
        SpecMismatchError: The sources hold other encoders than the config says.
    """
    if isinstance(config, EncodersConfig):
        return Encoders(config=config, image=ConvImageEncoder(config), text=WordEncoder(config))
    encoders = load_frozen_encoders(
        sources or EncoderSources(),
        cameras=config.cameras,
        slots=config.slots,
        max_words=config.max_words,
        form=config.form,
        missing_history=config.missing_history,
        dtype=dtype,
        device=device,
    )
    if other := differing_settings(asdict(config), asdict(encoders.config)):
        raise SpecMismatchError(
            f"The checkpoint was made with other encoders: {other}. "
            "Fix: give the encoders it was made with."
        )
    return encoders


def load_frozen_encoders(
    sources: EncoderSources,
    *,
    cameras: Sequence[str] = CAMERAS,
    slots: int = 3,
    max_words: int = MAX_TOKENS,
    form: Form = "official",
    missing_history: MissingHistory = "background",
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Encoders:
    """Load SigLIP, and T5 or a cache; settings as in ``FrozenEncodersConfig``.

    Args:
        sources: Sources of both; SigLIP is by default the official one on the hub.
        cameras: Cameras, in the order of RDT's slots: external, right wrist, left wrist.
        slots: Images per control step that RDT takes.
        max_words: Most text tokens that RDT takes.
        form: Form of the instructions.
        missing_history: Frames before an episode's start.
        dtype: Of SigLIP.
        device: Of both.

    Raises:
        ConfigError: A source is wrong, or no text encoder is given.
        SpecMismatchError: An encoder lacks weights, or there are more cameras than slots.
        PrerequisiteError: A source is on the hub and the hub cannot be reached.
    """
    # The text first: it fails at once, while an image tower takes time to load.
    text = T5TextEncoder(
        cache=sources.language_cache,
        t5=sources.t5,
        form=form,
        max_tokens=max_words,
        device=device,
    )
    if len(cameras) > slots:
        raise SpecMismatchError(
            f"{len(cameras)} cameras are asked for; this RDT takes {slots}. Fix: take fewer."
        )
    tower = SiglipTower(sources.siglip or OFFICIAL, dtype=dtype, device=device)
    config = FrozenEncodersConfig(
        cameras=tuple(cameras),
        slots=slots,
        image_size=tower.image_size,
        tokens_per_image=tower.tokens,
        image_token_dim=tower.width,
        max_words=max_words,
        text_token_dim=text.width,
        image_identity=tower.identity,
        text_identity=text.identity,
        form=form,
        missing_history=missing_history,
    )
    image = SiglipImageEncoder(tower, cameras=len(cameras), slots=slots)
    return Encoders(config=config, image=image, text=text)
