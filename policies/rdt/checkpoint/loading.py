"""Loading a network with its contract from our checkpoints, official ones, and adapters."""

import shlex
from pathlib import Path
from typing import Literal

import torch
from pydantic import TypeAdapter, ValidationError

from policies.rdt.actions.layout import DEFAULT_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout, shipped_layouts
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract, Orientation
from policies.rdt.checkpoint.hub import find_source
from policies.rdt.checkpoint.location import Weights, is_own_checkpoint
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
from tasks.settings import settings

DtypeName = Literal["float32", "bfloat16"]

_PUBLISHED_CAMERAS = 3

NORMALISATION = "normalisation.json"
"""The normalisation alone, for the official code; exports of older versions lack a contract."""


@settings
class LoadingOptions(EncoderSources):
    """What a checkpoint may not say itself; an official one says none of this.

    What our own checkpoint says itself may be repeated here, but not contradicted.
    """

    form: Form = "official"
    """How instructions are written for T5: capitalised with a period, or as they are."""

    dtype: DtypeName | None = None
    """Of RDT and of the image encoder; the checkpoint's if not given."""

    layout: str | None = None
    """Mapping to RDT's vector, by its name or file; what the checkpoint says, or ``eef-velocity``
    for official ones, if not given."""

    norm: Norm | None = None
    """What RDT's norms divide by, where the checkpoint does not say; ``variance``, the default,
    fits weights trained with timm up to 1.0.12."""

    weights: Weights = "auto"
    """Of an official checkpoint, the raw or the averaged ones."""

    control_hz: float | None = None
    """Control frequency that RDT is told, Hz; 20 for official checkpoints."""

    orientation: Orientation | None = None
    """Of the images an official checkpoint was trained on; ``rotate180`` if not given."""

    config: str | None = None
    """The config.json of weights that have none beside them, or its folder."""

    base: str | None = None
    """Folder or hub name of what a LoRA adapter is merged into: any checkpoint but an adapter."""


def load_network(
    source: Path | str,
    options: LoadingOptions | None = None,
    *,
    device: str | torch.device = "cpu",
) -> tuple[RDTPolicyNetwork, Contract]:
    """Load a network with its encoders, in evaluation mode, and its contract.

    Args:
        source: A folder that ``save_checkpoint`` wrote, official weights (see
            ``location.find_official``), the hub name of either, or an adapter for one.
        options: What the checkpoint does not say.
        device: Device of frozen encoders.

    Raises:
        ConfigError: There is no whole checkpoint there, or an option does not apply to it.
        SpecMismatchError: Parts do not belong together, or an option contradicts the checkpoint.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    options = options or LoadingOptions()
    layout = None if options.layout is None else get_layout(options.layout)
    dtype: torch.dtype | None = None if options.dtype is None else getattr(torch, options.dtype)
    path, adapter = find_parts(source, options.base, options.weights)
    if is_own_checkpoint(path):
        network, contract = load_checkpoint(path, sources=options, device=device, adapter=adapter)
        stated = {name: getattr(options, name) for name in ("norm", "control_hz", "orientation")}
        contract.check({name: value for name, value in stated.items() if value is not None})
        if layout is not None:
            contract.check_layout(layout)
        _refuse_unused(network, options)
        return (network if dtype is None else network.to(dtype)), contract
    normalisation = read_older_normalisation(path, layout)
    rdt = load_official(
        path,
        dtype=dtype,
        norm=options.norm or "variance",
        weights=options.weights,
        config=options.config,
        adapter=adapter,
    )
    frozen = load_frozen_encoders(
        options,
        slots=rdt.config.image_axes[1] if rdt.config.image_axes else _PUBLISHED_CAMERAS,
        max_words=rdt.config.max_lang_cond_len,
        form=options.form,
        dtype=next(rdt.parameters()).dtype,
        device=device,
    )
    network = RDTPolicyNetwork(rdt, frozen).eval()
    contract = Contract.describe(
        network,
        layout=layout or DEFAULT_LAYOUT,
        render_size=ANY_SIZE,
        control_hz=CONTROL_HZ if options.control_hz is None else options.control_hz,
        orientation=options.orientation or "rotate180",
        normalisation=normalisation,
    )
    return network, contract


def _refuse_unused(network: RDTPolicyNetwork, options: LoadingOptions) -> None:
    """Refuse options that a checkpoint of ours would silently ignore."""
    sources = (options.siglip, options.t5, options.language_cache)
    if any(source is not None for source in sources) and isinstance(
        network.encoders_config, EncodersConfig
    ):
        raise ConfigError(
            "This checkpoint holds its own small encoders, so siglip, t5 and language_cache are "
            "of no use. Fix: leave them out."
        )
    if options.weights != "auto":
        raise ConfigError(
            f"weights '{options.weights}' cannot be chosen: the checkpoint holds one kind. "
            "Fix: leave it out."
        )
    if options.config is not None:
        raise ConfigError(
            f"config '{options.config}' is of no use: the checkpoint has its own. "
            "Fix: leave it out."
        )


def find_parts(
    source: Path | str, base: str | None, weights: Weights = "auto"
) -> tuple[Path, Adapter | None]:
    """Find a checkpoint, or an adapter and its base; see ``load_network`` and ``LoadingOptions``.

    Returns:
        The path of the weights, a folder of ours or a source for ``find_official``, and the adapter
        to merge into them, if there is one.

    Raises:
        ConfigError: An adapter lacks its base, or a base was given for something else.
        PrerequisiteError: Something is on the hub and the hub cannot be reached.
    """
    path = find_source(source, ema=weights == "ema")
    if (folder := find_adapter(path)) is None:
        if base is not None:
            raise ConfigError(
                f"base '{base}' was given, but '{source}' is no adapter. Fix: leave the base out."
            )
        return _checkpoint_folder(path), None
    adapter = read_adapter(folder)
    if base is None:
        name = shlex.quote(str(source))
        raise ConfigError(
            f"'{source}' is {adapter.describe()}. It works only merged into its base. Fix: give "
            "the base, a folder or a hub name, with --option.base BASE (inspect: --base BASE); or "
            f"merge it for good: libero-bench export-checkpoint {name} --base BASE --out FOLDER"
        )
    base_path = find_source(base, ema=weights == "ema")
    if find_adapter(base_path) is not None:
        raise ConfigError(
            f"The base '{base}' is an adapter itself. Fix: merge it first (libero-bench "
            "export-checkpoint), and give what that wrote."
        )
    return _checkpoint_folder(base_path), adapter


def _checkpoint_folder(path: Path) -> Path:
    """Give the folder with the contract of a weight file; other paths as they are."""
    return path.parent if path.is_file() and is_own_checkpoint(path.parent) else path


def read_older_normalisation(checkpoint: Path, layout: Layout | None) -> Normalisation:
    """Read the normalisation beside an export of an older version, which has no contract.

    Args:
        checkpoint: A checkpoint in the official layout.
        layout: The layout of its training, as the user states it.

    Raises:
        ConfigError: There is a normalisation, but no layout was stated.
        SpecMismatchError: The normalisation is of another layout.
    """
    path = (checkpoint.parent if checkpoint.is_file() else checkpoint) / NORMALISATION
    if not path.is_file():
        return Normalisation()
    try:
        normalisation = TypeAdapter(Normalisation).validate_python(read_json(path))
    except ValidationError as error:
        where, why = first_mistake(error)
        raise ConfigError(f"'{path}': {where}: {why}. Fix: export the checkpoint anew.") from error
    if layout is None:
        fitting = [name for name in shipped_layouts() if _fits(normalisation, get_layout(name))]
        raise ConfigError(
            f"'{path}' says how states and actions were normalised "
            f"({normalisation.method}), but not in which layout: an older version "
            f"exported this. Its slots fit {', '.join(fitting)}. "
            "Fix: export the checkpoint anew (libero-bench export-checkpoint), or give the layout "
            "that it was trained with: --option.layout NAME (inspect: --layout NAME)."
        )
    normalisation.applied_to(layout)  # refuses slots of another
    return normalisation


def _fits(normalisation: Normalisation, layout: Layout) -> bool:
    try:
        normalisation.applied_to(layout)
    except SpecMismatchError:
        return False
    return True
