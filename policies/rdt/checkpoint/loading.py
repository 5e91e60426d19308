"""A network ready to act, from our own checkpoints and from official ones."""

from pathlib import Path
from typing import TypedDict

import torch

from policies.rdt.actions.layout import DEFAULT_LAYOUT, get_layout
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract, Orientation
from policies.rdt.checkpoint.files import load_checkpoint
from policies.rdt.checkpoint.foreign.finding import Weights, is_own
from policies.rdt.checkpoint.foreign.source import find_parts, read_older_normalisation
from policies.rdt.checkpoint.official import load_official
from policies.rdt.encoders.base import EncodersConfig, EncoderSources, Form
from policies.rdt.encoders.frozen import load_frozen_encoders
from policies.rdt.model.config import Norm
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError
from tasks.observation import CONTROL_HZ

_SLOTS = 3


class LoadingOptions(TypedDict, total=False):
    """What a checkpoint may not say itself; an official one says none of this.

    Keys:
        encoders: Where frozen encoders come from.
        dtype: Of RDT and of the image encoder; that of the weights if not given.
        layout: Mapping to the unified vector, by its name or file.
        norm: What RDT's norms divide by.
        weights: Raw or averaged weights.
        control_hz: Control frequency that RDT is told, Hz.
        orientation: Of the pictures that it was trained on.
        form: How instructions are written for T5.
        config: The ``config.json`` of weights that have none beside them, or its folder.
        base: What an adapter is merged into: any checkpoint but an adapter.
    """

    encoders: EncoderSources | None
    dtype: torch.dtype | None
    layout: str | None
    norm: Norm | None
    weights: Weights
    control_hz: float | None
    orientation: Orientation | None
    form: Form
    config: str | None
    base: str | None


def load_network(
    source: Path | str,
    *,
    device: str | torch.device = "cpu",
    encoders: EncoderSources | None = None,
    dtype: torch.dtype | None = None,
    layout: str | None = None,
    norm: Norm | None = None,
    weights: Weights = "auto",
    control_hz: float | None = None,
    orientation: Orientation | None = None,
    form: Form = "official",
    config: str | None = None,
    base: str | None = None,
) -> tuple[RDTPolicyNetwork, Contract]:
    """Load a network with its encoders, and the contract it was or must have been trained under.

    Args:
        source: A folder that ``save_checkpoint`` wrote, or official weights: see
            ``official.load_official``; the hub name of either; or an adapter for one.
        device: Where frozen encoders are loaded to.
        encoders: See ``LoadingOptions``, as all that follow. What our own checkpoint says itself
            may be repeated here, but not contradicted.
        dtype: See there.
        layout: See there; ``eef-velocity`` if nobody says.
        norm: See there; ``variance`` if nobody says.
        weights: See there.
        control_hz: See there; LIBERO's 20 if nobody says.
        orientation: See there; ``rotate180`` if nobody says.
        form: See there.
        config: See there.
        base: See there.

    Returns:
        The network in evaluation mode, and the contract.

    Raises:
        ConfigError: There is no whole checkpoint there, or a setting does not apply to it.
        SpecMismatchError: Parts do not belong together, or a setting contradicts the checkpoint.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    said: dict[str, object] = {"norm": norm, "control_hz": control_hz, "orientation": orientation}
    mapping = None if layout is None else get_layout(layout)
    given = {key: value for key, value in said.items() if value is not None}
    place, adapter = find_parts(source, base, weights)
    if is_own(place):
        network, contract = load_checkpoint(place, sources=encoders, device=device, adapter=adapter)
        contract.check(given)
        if mapping is not None:
            contract.check_layout(mapping)
        _refuse_unused(network, encoders, weights, config)
        return (network if dtype is None else network.to(dtype)), contract
    normalisation = read_older_normalisation(place, mapping)
    rdt = load_official(
        place,
        dtype=dtype,
        norm=norm or "variance",
        weights=weights,
        config=config,
        adapter=adapter,
    )
    shape = rdt.config
    # Published positions say (history, cameras, patches); without them, three cameras as published.
    axes = shape.img_pos_embed_config[0][1] if shape.img_pos_embed_config else ()
    frozen = load_frozen_encoders(
        encoders or EncoderSources(),
        slots=abs(axes[1]) if isinstance(axes, tuple) and len(axes) == 3 else _SLOTS,
        max_words=shape.max_lang_cond_len,
        form=form,
        dtype=next(rdt.parameters()).dtype,
        device=device,
    )
    network = RDTPolicyNetwork(rdt, frozen).eval()
    contract = Contract.describe(
        network,
        layout=mapping or DEFAULT_LAYOUT,
        render_size=ANY_SIZE,
        control_hz=CONTROL_HZ if control_hz is None else control_hz,
        orientation=orientation or "rotate180",
        normalisation=normalisation,
    )
    return network, contract


def _refuse_unused(
    network: RDTPolicyNetwork,
    encoders: EncoderSources | None,
    weights: Weights,
    config: str | None,
) -> None:
    """Refuse settings that a checkpoint of ours would quietly leave unused."""
    sources = encoders is not None and encoders != EncoderSources()
    if sources and isinstance(network.encoders_config, EncodersConfig):
        raise ConfigError(
            "This checkpoint holds its own small encoders, so siglip, t5 and language_cache are "
            "of no use. Fix: leave them out."
        )
    if weights != "auto":
        raise ConfigError(
            f"weights '{weights}' cannot be chosen: the checkpoint holds one kind. "
            "Fix: leave it out."
        )
    if config is not None:
        raise ConfigError(
            f"config '{config}' is of no use: the checkpoint has its own. Fix: leave it out."
        )
