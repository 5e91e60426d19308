"""Checkpoints as folders: weights in safetensors, the rest in JSON.

``save_checkpoint`` writes them, and ``export.export_checkpoint``, which names the weights of RDT as
the official code does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from policies.rdt.checkpoint.contract import Contract
from policies.rdt.checkpoint.location import CONFIG, CONTRACT, find_official, weight_files
from policies.rdt.checkpoint.lora import Adapter
from policies.rdt.checkpoint.official import build_model, open_fitting
from policies.rdt.checkpoint.weights import (
    StoredWeights,
    list_odd_dtypes,
    open_weights,
    read_finite,
    read_json,
    unwrapped,
)
from policies.rdt.encoders.base import (
    AnyEncodersConfig,
    EncodersConfig,
    EncoderSources,
    FrozenEncodersConfig,
)
from policies.rdt.encoders.factory import build_encoders
from policies.rdt.model.config import RDTConfig
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.shapes import Shape, shape_differences
from policies.rdt.model.transformer import RDTModel
from tasks.errors import ConfigError, SpecMismatchError, first_mistake
from tasks.files import atomic_folder, write_json

ENCODERS_CONFIG, EXTRA = "encoders.json", "extra.json"
MODEL, ENCODERS = "model.safetensors", "encoders.safetensors"
NEEDED = (CONFIG, ENCODERS_CONFIG, CONTRACT, MODEL, ENCODERS)
"""Files of a checkpoint; ``extra.json`` may be there too."""

_FIX = "Fix: give the folder of a finished checkpoint."


@dataclass(frozen=True, kw_only=True)
class CheckpointParts:
    """The configs and the contract of a checkpoint of ours, each fitting the others."""

    folder: Path
    config: RDTConfig
    encoders: AnyEncodersConfig
    contract: Contract


def save_checkpoint(
    folder: Path | str,
    network: RDTPolicyNetwork,
    contract: Contract,
    *,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint; a reader sees all of it or nothing.

    Args:
        folder: The folder to write, which is given back; an earlier checkpoint is replaced.
        network: The weights.
        contract: The contract of the network.
        extra: Anything JSON can hold, such as the training step.

    Raises:
        ConfigError: The folder holds something that is not a checkpoint.
        SpecMismatchError: The contract does not describe the network.
    """
    folder = Path(folder)
    contract.check_network(network)
    if folder.exists() and not _replaceable(folder):
        raise ConfigError(
            f"Cannot save a checkpoint to '{folder}': it holds something else. "
            "Allowed: a new folder, an empty one, or an earlier checkpoint. Fix: give another name."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    encoders: TypeAdapter[AnyEncodersConfig] = TypeAdapter(AnyEncodersConfig)
    with atomic_folder(folder) as draft:
        write_json(draft / CONFIG, network.config.to_hub())
        encoders_config = encoders.dump_python(network.encoders_config, mode="json")
        write_json(draft / ENCODERS_CONFIG, encoders_config)
        (draft / CONTRACT).write_text(contract.to_json(), encoding="utf-8")
        if extra is not None:
            write_json(draft / EXTRA, extra)
        save_file(_tensors(network.rdt), draft / MODEL)
        save_file(_tensors(_encoders_of(network)), draft / ENCODERS)
    return folder


def load_checkpoint(
    folder: Path | str,
    *,
    sources: EncoderSources | None = None,
    device: str | torch.device = "cpu",
    adapter: Adapter | None = None,
) -> tuple[RDTPolicyNetwork, Contract]:
    """Read a checkpoint, strictly.

    Args:
        folder: The folder of a checkpoint of ours.
        sources: Frozen encoders, if it was trained with such; it holds none.
        device: Device of frozen encoders.
        adapter: An adapter to merge into RDT.

    Returns:
        The network, on the CPU in fp32 and in evaluation mode, and its contract.

    Raises:
        ConfigError: There is no whole checkpoint there, or a source is missing or wrong.
        SpecMismatchError: Its parts do not belong together, a weight is not finite, or the sources
            hold other encoders.
        PrerequisiteError: A source is on the hub and the hub cannot be reached.
    """
    parts = read_parts(folder)
    # Names and shapes are compared before anything is built: a config may ask for any size.
    stored = open_encoders(parts)
    # Fresh weights are drawn and overwritten: leave the caller's random numbers alone.
    with torch.random.fork_rng(devices=[]):
        encoders = build_encoders(parts.encoders, sources, device=device)
    network = RDTPolicyNetwork(load_rdt(parts, adapter), encoders)
    _encoders_of(network).load_state_dict(read_finite(stored, torch.float32), strict=True)
    return network.eval(), parts.contract


def load_rdt(parts: CheckpointParts, adapter: Adapter | None = None) -> RDTModel:
    """Read RDT without its encoders, on the CPU in fp32 and in evaluation mode.

    Raises:
        ConfigError: No weight file can be read.
        SpecMismatchError: The weights are not those of the config, or not finite.
    """
    stored = open_fitting(find_official(parts.folder), parts.config)
    return build_model(
        parts.config, stored, adapter, dtype=torch.float32, norm=parts.contract.norm, copy=True
    )


def read_parts(folder: Path | str) -> CheckpointParts:
    """Read the configs and the contract of a checkpoint of ours.

    Raises:
        ConfigError: There is no whole checkpoint there.
        SpecMismatchError: They do not belong together, or a newer version wrote them.
    """
    folder = _checked(folder)
    parts = CheckpointParts(
        folder=folder,
        config=RDTConfig.from_hub(read_json(folder / CONFIG)),
        encoders=_read_encoders_config(folder / ENCODERS_CONFIG),
        contract=Contract.from_json(_read_text(folder / CONTRACT)),
    )
    parts.contract.check_parts(parts.config, parts.encoders)
    return parts


def open_encoders(parts: CheckpointParts) -> StoredWeights:
    """Open the tensors of a checkpoint's encoders; those of frozen ones are not saved.

    Raises:
        ConfigError: The file is damaged.
        SpecMismatchError: They are not those of its config.
    """
    stored = unwrapped(open_weights(parts.folder / ENCODERS))
    shapes: dict[str, Shape] = {}
    if isinstance(parts.encoders, EncodersConfig):
        with torch.device("meta"):
            built = build_encoders(parts.encoders)
            modules = nn.ModuleDict({"image": built.image, "text": built.text})
        shapes = {key: tuple(value.shape) for key, value in modules.state_dict().items()}
    if mismatch := shape_differences(shapes, stored.shapes) or list_odd_dtypes(stored):
        raise SpecMismatchError(
            f"The tensors in {stored.quoted} are not those of its config: {mismatch}. "
            f"Fix: keep {ENCODERS} and {ENCODERS_CONFIG} of one checkpoint together."
        )
    return stored


def load_contract(folder: Path | str) -> Contract:
    """Read the contract of a checkpoint of ours.

    Raises:
        ConfigError: There is no whole checkpoint there.
        SpecMismatchError: A newer version wrote it.
    """
    return Contract.from_json(_read_text(_checked(folder) / CONTRACT))


def load_extra(folder: Path | str) -> dict[str, Any]:
    """Read the ``extra`` of a checkpoint of ours; empty if there is none.

    Raises:
        ConfigError: The folder is not a whole checkpoint.
    """
    path = _checked(folder) / EXTRA
    return read_json(path) if path.exists() else {}


def save_extra(folder: Path | str, extra: Mapping[str, Any]) -> None:
    """Replace the ``extra`` of a checkpoint of ours; a reader sees the old or the new.

    Raises:
        ConfigError: The folder is not a whole checkpoint.
    """
    write_json(_checked(folder) / EXTRA, extra)


def _checked(folder: Path | str) -> Path:
    """Return a folder that holds the files of a checkpoint; refuse others."""
    folder = Path(folder)
    if not folder.exists():
        raise ConfigError(f"There is no checkpoint '{folder}'. {_FIX}")
    if not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file; a checkpoint is a folder. {_FIX}")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if MODEL in missing and weight_files(folder):
        missing.remove(MODEL)
    if missing:
        raise ConfigError(
            f"'{folder}' is not a checkpoint: {', '.join(missing)} missing. "
            f"It must hold {', '.join(NEEDED)}. {_FIX}"
        )
    return folder


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{path}' is not text ({error}). {_FIX}") from error


def _read_encoders_config(path: Path) -> AnyEncodersConfig:
    raw = read_json(path)
    kind = FrozenEncodersConfig if "image_identity" in raw else EncodersConfig
    try:
        return TypeAdapter[AnyEncodersConfig](kind).validate_python(raw)
    except ValidationError as error:
        place, why = first_mistake(error)
        raise ConfigError(f"'{path}': {place}: {why}. {_FIX}") from error


def _encoders_of(network: RDTPolicyNetwork) -> nn.ModuleDict:
    return nn.ModuleDict({"image": network.image_encoder, "text": network.text_encoder})


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}


def _replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return not any(folder.iterdir()) or all((folder / name).is_file() for name in NEEDED)
