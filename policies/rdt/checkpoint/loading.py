"""A network ready to act, from our own checkpoints, official ones, and adapters for either."""

import shlex
from pathlib import Path
from typing import TypedDict

import torch
from pydantic import TypeAdapter, ValidationError

from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout, shipped_layouts
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract, Orientation
from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.location import Weights, is_own
from policies.rdt.checkpoint.lora import Adapter, find_adapter, read_adapter
from policies.rdt.checkpoint.official import load_official
from policies.rdt.checkpoint.storage import load_checkpoint
from policies.rdt.checkpoint.weights import read_json
from policies.rdt.encoders.base import EncodersConfig, EncoderSources, Form
from policies.rdt.encoders.factory import load_frozen_encoders
from policies.rdt.model.config import Norm
from policies.rdt.model.network import RDTPolicyNetwork
from tasks.errors import ConfigError, SpecMismatchError, first_mistake
from tasks.observation import CONTROL_HZ

NORMALISATION = "normalisation.json"
"""The numbers alone, for the official code; exports of older versions have no contract beside."""


def find_parts(
    source: Path | str, base: str | None, weights: Weights = "auto"
) -> tuple[Path, Adapter | None]:
    """Find a checkpoint, or an adapter and its base.

    Args:
        source: See ``loading.load_network``, as for the others.
        base: See there.
        weights: See there.

    Returns:
        Where the weights are: a folder of ours, or what ``find_official`` takes. And the adapter
        that is to be merged into them, if there is one.

    Raises:
        ConfigError: An adapter lacks its base, or a base was given for something else.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    place = find_source(source, ema=weights == "ema")
    if (folder := find_adapter(place)) is None:
        if base is not None:
            raise ConfigError(
                f"base '{base}' was given, but '{source}' is no adapter. Fix: leave the base out."
            )
        return _own_folder(place), None
    adapter = read_adapter(folder)
    if base is None:
        name = shlex.quote(str(source))
        raise ConfigError(
            f"'{source}' is {adapter.describe()}. It works only merged into its base. Fix: give "
            "the base, a folder or a hub name, with --option.base BASE (inspect: --base BASE); or "
            f"merge it for good: libero-bench export-checkpoint {name} --base BASE --out FOLDER"
        )
    under = find_source(base, ema=weights == "ema")
    if find_adapter(under) is not None:
        raise ConfigError(
            f"The base '{base}' is an adapter itself. Fix: merge it first (libero-bench "
            "export-checkpoint), and give what that wrote."
        )
    return _own_folder(under), adapter


def _own_folder(place: Path) -> Path:
    """Give the folder of ours that a weight file is in: what it needs is said there."""
    return place.parent if place.is_file() and is_own(place.parent) else place


def read_older_normalisation(place: Path, layout: Layout | None) -> Normalisation:
    """Read what exports of older versions say instead of a contract, if this is one.

    Args:
        place: A checkpoint in the official layout.
        layout: What the user says that it was trained with.

    Raises:
        ConfigError: The numbers are there, but not the layout that they are of.
        SpecMismatchError: They are of another layout.
    """
    path = (place.parent if place.is_file() else place) / NORMALISATION
    if not path.is_file():
        return Normalisation()
    try:
        found = TypeAdapter(Normalisation).validate_python(read_json(path))
    except ValidationError as error:
        where, why = first_mistake(error)
        raise ConfigError(f"'{path}': {where}: {why}. Fix: export the checkpoint anew.") from error
    if layout is None:
        fitting = [name for name in shipped_layouts() if _fits(found, get_layout(name))]
        raise ConfigError(
            f"'{path}' says how states and actions were normalised ({found.method}), but not in "
            f"which layout: an older version exported this. Its slots fit {', '.join(fitting)}. "
            "Fix: export the checkpoint anew (libero-bench export-checkpoint), or give the layout "
            "that it was trained with: --option.layout NAME (inspect: --layout NAME)."
        )
    found.laid_over(layout)  # refuses slots of another
    return found


def _fits(normalisation: Normalisation, layout: Layout) -> bool:
    try:
        normalisation.laid_over(layout)
    except SpecMismatchError:
        return False
    return True


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
