"""The setup of a run: its network, its windows, and the contract of its policy."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import torch

from policies.rdt.actions.layout import FRESH_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout, shipped_layouts
from policies.rdt.actions.normalisation import Normalisation
from policies.rdt.checkpoint.contract import ANY_SIZE, Contract
from policies.rdt.checkpoint.hub import is_hub_name
from policies.rdt.checkpoint.inspection import inspect_checkpoint
from policies.rdt.checkpoint.loading import LoadingOptions, load_network
from policies.rdt.checkpoint.location import is_own_checkpoint
from policies.rdt.checkpoint.storage import load_checkpoint, load_contract
from policies.rdt.encoders.base import EncodersConfig, EncoderSources
from policies.rdt.encoders.factory import load_frozen_encoders
from policies.rdt.model.network import RDTPolicyNetwork
from policies.rdt.model.presets import build_network, get_preset
from tasks.errors import ConfigError, SpecMismatchError, list_some
from training.config import TrainingConfig
from training.data.demo_files import LoadedDemos, load_demos
from training.data.images import CameraSlots
from training.data.normalisation import choose_normalisation
from training.data.windows import DemoWindows
from training.run_folder import RunFolder
from training.setup_notes import setup_notes


@dataclass(frozen=True, kw_only=True)
class RunSetup:
    """The network that a run trains, and the windows that it trains on."""

    network: RDTPolicyNetwork
    """Fresh, or of the checkpoint to start from."""
    layout: Layout
    """Mapping of states and actions to RDT's vector."""
    contract: Contract
    """Of the trained policy."""
    windows: DemoWindows
    held_out: DemoWindows | None
    """Windows of the held-out demonstrations; None without any."""
    notes: tuple[str, ...]


def set_up(
    config: TrainingConfig, folder: RunFolder, device: str | torch.device = "cpu"
) -> RunSetup:
    """Build the network of a run and read its demonstrations.

    Args:
        config: The run.
        folder: Its folder; the normalisation of checkpoints in it is kept.
        device: Where frozen encoders compute.

    Raises:
        ConfigError: A preset, checkpoint, encoder or demo file cannot be used, or the settings do
            not fit these.
        SpecMismatchError: The layout, the encoders or the demonstrations do not fit the checkpoint
            to start from.
    """
    network, start = start_network(config, device)
    layout = get_layout(config.layout or FRESH_LAYOUT) if start is None else start.plain_layout
    cameras = network.encoders_config.cameras
    slots = CameraSlots(cameras=cameras, missing=_missing_cameras(config, cameras, start))
    demos = load_demos(config.demos, config, slots, network.image_encoder.prepare)
    _check_joints(layout, demos)
    normalisation = choose_normalisation(
        config,
        layout,
        [loaded.demo for loaded in demos.training],
        start=None if start is None else start.normalisation,
        before=_resumed_normalisation(folder),
    )

    def cut(*, held_out: bool) -> DemoWindows:
        return DemoWindows(
            demos.held_out if held_out else demos.training,
            layout=layout,
            text_encoder=network.text_encoder,
            history=network.history,
            horizon=network.config.pred_horizon,
            settings=config,
            normalisation=normalisation,
            held_out=held_out,
        )

    windows = cut(held_out=False)
    if start is not None:
        _check_render_size(start.render_size, demos.render_size)
    contract = Contract.describe(
        network,
        layout=layout,
        render_size=demos.render_size,
        orientation="rotate180",
        normalisation=normalisation,
        missing_cameras=slots.missing,
        demos=_describe_demos(demos, windows, start),
    )
    return RunSetup(
        network=network,
        layout=layout,
        contract=contract,
        windows=windows,
        held_out=cut(held_out=True) if config.held_out else None,
        notes=setup_notes(config, contract, start, demos, windows),
    )


def check_start(config: TrainingConfig) -> Contract | None:
    """Refuse a start that cannot work, without loading a network.

    Returns:
        The contract of the checkpoint to start from; None for a fresh network, and for a checkpoint
        on the hub.

    Raises:
        ConfigError: There is no such preset, layout or checkpoint, or encoders are missing.
        SpecMismatchError: The checkpoint has another layout.
    """
    layout = None if config.layout is None else get_layout(config.layout)
    if config.checkpoint is None:
        preset = get_preset(config.preset)
        if preset.encoders is None and not (config.t5 or config.language_cache):
            raise ConfigError(
                f"The preset '{config.preset}' needs {preset.needs}. Fix: give t5 or "
                "language_cache, or take the preset rdt-small."
            )
        _refuse_sources(config, small=preset.encoders is not None)
        return None
    if is_hub_name(config.checkpoint):
        return None
    contract = inspect_checkpoint(config.checkpoint, check_numbers=False).contract
    if layout is not None and is_own_checkpoint(config.checkpoint):
        contract.check_layout(layout)
    return contract


def _refuse_sources(config: TrainingConfig, *, small: bool) -> None:
    if small and any((config.siglip, config.t5, config.language_cache)):
        raise ConfigError(
            "--siglip, --t5 and --language-cache are for policies with large frozen encoders; this "
            "one has small ones of its own. Fix: drop them."
        )


def start_network(
    config: TrainingConfig, device: str | torch.device = "cpu"
) -> tuple[RDTPolicyNetwork, Contract | None]:
    """Build a fresh network, or load the checkpoint to start from and its contract.

    Args:
        config: The run.
        device: Where frozen encoders compute.

    Raises:
        ConfigError: There is no such preset or checkpoint, or an encoder is missing.
        SpecMismatchError: The checkpoint has another layout, or other encoders.
    """
    sources = EncoderSources(
        siglip=config.siglip, t5=config.t5, language_cache=config.language_cache
    )
    if config.checkpoint is None:
        network, contract = _fresh_network(config, sources, device), None
    elif is_own_checkpoint(config.checkpoint):
        network, contract = load_checkpoint(config.checkpoint, sources=sources, device=device)
        if config.layout is not None:
            contract.check_layout(get_layout(config.layout))
    else:
        options = LoadingOptions(**asdict(sources), layout=config.layout, dtype="float32")
        network, contract = load_network(config.checkpoint, options, device=device)
    _refuse_sources(config, small=isinstance(network.encoders_config, EncodersConfig))
    return network.train(), contract


def _fresh_network(
    config: TrainingConfig, sources: EncoderSources, device: str | torch.device
) -> RDTPolicyNetwork:
    preset = get_preset(config.preset)
    if preset.encoders is not None:
        return build_network(config.preset)
    shape = preset.rdt
    encoders = load_frozen_encoders(sources, max_words=shape.max_lang_cond_len, device=device)
    return RDTPolicyNetwork(shape, encoders)


def _missing_cameras(
    config: TrainingConfig, cameras: tuple[str, ...], start: Contract | None
) -> tuple[str, ...]:
    """Return the cameras of the network whose slots show the background."""
    if config.cameras is None:
        return () if start is None else start.missing_cameras
    if unknown := [camera for camera in config.cameras if camera not in cameras]:
        raise ConfigError(
            f"--cameras {' '.join(config.cameras)}: the network has no place for "
            f"{', '.join(unknown)}. Allowed: {', '.join(cameras)}. Fix: give some of these."
        )
    return tuple(camera for camera in cameras if camera not in config.cameras)


def _resumed_normalisation(folder: RunFolder) -> Normalisation | None:
    updates = folder.checkpoints.updates
    return load_contract(folder.checkpoints.path(updates[-1])).normalisation if updates else None


def _check_joints(layout: Layout, demos: LoadedDemos) -> None:
    """Refuse a layout that needs joints where demonstrations have none."""
    without = [
        file.path
        for file in demos.files
        if not all(each.demo.has_joints for each in (*file.training, *file.held_out))
    ]
    if layout.reads_joints and without:
        working = [name for name in shipped_layouts() if not get_layout(name).reads_joints]
        raise ConfigError(
            f"'{without[0]}' has no joint positions, and the layout '{layout.name}' needs them. "
            f"Allowed: {', '.join(working)}. Fix: --layout hand-goal, or demos that have "
            "joints."
        )


def _check_render_size(needed: int, size: int) -> None:
    if needed not in (ANY_SIZE, size):
        raise SpecMismatchError(
            f"The demos have pictures of {size} pixels, the checkpoint to start from was trained "
            f"on {needed}. Fix: render the demos anew (libero-bench demos regenerate --resolution "
            f"{needed}), or start from another checkpoint."
        )


def _perturbations(demos: LoadedDemos) -> set[str]:
    """Return under which perturbations demonstrations were made."""
    texts = (file.provenance.get("perturbation") for file in demos.files)
    return {text for text in texts if isinstance(text, str)}


def _found_conventions(demos: LoadedDemos) -> dict[str, Any]:
    """Return what was found out about foreign data, by data set; nothing for HDF5 files."""
    found = {str(f.path.parent): f.conventions for f in demos.files if f.conventions}
    return {"found": found} if found else {}


def _describe_demos(
    demos: LoadedDemos, windows: DemoWindows, start: Contract | None
) -> dict[str, Any]:
    """Return a contract's entry on the demonstrations; results show the label."""
    makers = {
        str(file.provenance.get("expert")) if file.provenance else "of unknown origin"
        for file in demos.files
    }
    label = f"{windows.demos} {' and '.join(sorted(makers))}"
    description: dict[str, Any] = {
        "files": [file.path.name for file in demos.files],
        "sha256": [file.digest for file in demos.files],
        "demos": windows.demos,
        "windows": len(windows),
        "instructions": windows.instructions,
        "conventions": [file.timing.convention for file in demos.files],
        **_found_conventions(demos),
        "made_by": [
            json.dumps(file.provenance, sort_keys=True) if file.provenance else "unknown"
            for file in demos.files
        ],
    }
    if seen := _perturbations(demos):
        description["perturbations"] = sorted(seen)
        label += f" under {list_some('perturbations', seen)}"
    if start is not None:
        description["before"] = start.demos
        label += f" after {start.demos.get('label', 'unknown demos')}"
    description["label"] = label
    return description
