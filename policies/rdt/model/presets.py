"""Named shapes of RDT."""

from dataclasses import dataclass

from policies.rdt.encoders.base import EncodersConfig
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A shape of RDT and its encoders.

    Attributes:
        encoders: Our small encoders, trained along; None where large frozen ones are needed.
        needs: The large encoders, for messages; empty where there are none.
    """

    rdt: RDTConfig
    encoders: EncodersConfig | None = None
    needs: str = ""


_LARGE = "SigLIP so400m-patch14-384 image tokens and T5-v1.1-XXL language tokens"

PRESETS: dict[str, Preset] = {
    "rdt-small": Preset(
        rdt=RDTConfig(
            hidden_size=192,
            depth=4,
            num_heads=8,
            lang_token_dim=64,
            img_token_dim=128,
            max_lang_cond_len=32,
            img_cond_len=64,
            # Single words, unlike T5's tokens, do not carry their position in the sentence.
            lang_pos_embed_config=(("lang", 32),),
            img_pos_embed_config=(("image", (2, 2, -16)),),
        ),
        encoders=EncodersConfig(),
    ),
    "rdt-170m": Preset(rdt=RDTConfig(hidden_size=1024, depth=14, num_heads=32), needs=_LARGE),
    "rdt-1b": Preset(rdt=RDTConfig(hidden_size=2048, depth=28, num_heads=32), needs=_LARGE),
}
"""Shapes by name; the last two have the sizes of the published weights."""


def get_preset(name: str) -> Preset:
    """Look a preset up.

    Raises:
        ConfigError: The name is not known.
    """
    if name not in PRESETS:
        raise unknown_name("RDT preset", name, PRESETS)
    return PRESETS[name]


def build_network(name: str) -> RDTPolicyNetwork:
    """Build a preset's network with fresh weights, drawn from torch's global generator.

    Raises:
        ConfigError: The name is not known, or the preset has no small encoders.
    """
    preset = get_preset(name)
    if preset.encoders is None:
        raise ConfigError(
            f"The preset '{name}' needs {preset.needs}, which are not built in. "
            "Fix: use 'rdt-small', or build policies.rdt.RDTModel and feed it such tokens."
        )
    return RDTPolicyNetwork(preset.rdt, preset.encoders)
