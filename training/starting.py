"""What a run starts from: its network, its data, and the contract of what it will give."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler

from policies.rdt.checkpoint import load_checkpoint, load_contract
from policies.rdt.contract import Contract
from policies.rdt.encoders import EncodersConfig, EncoderSources
from policies.rdt.frozen_encoders import load_frozen_encoders
from policies.rdt.layout import get_layout
from policies.rdt.loading import load_network
from policies.rdt.network import RDTPolicyNetwork
from policies.rdt.normalisation import Normalisation
from policies.rdt.official import is_own
from policies.rdt.presets import build_network, get_preset
from tasks.errors import ConfigError
from training.config import TrainingConfig
from training.data.normalising import choose_normalisation
from training.data.order import EndlessBatches
from training.data.sampling import DrawnBatches, WindowWeights
from training.data.selection import demos_to_train_on
from training.data.windows import DemoWindows
from training.demos.reader import read_provenance
from training.run_folder import RunFolder


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
    network, contract = _start(config, sources, device)
    given = any((sources.siglip, sources.t5, sources.language_cache))
    if given and isinstance(network.encoders_config, EncodersConfig):
        raise ConfigError(
            "--siglip, --t5 and --language-cache are for policies with large frozen encoders; this "
            "one has small ones of its own. Fix: drop them."
        )
    return network.train(), contract


def _start(
    config: TrainingConfig, sources: EncoderSources, device: str | torch.device
) -> tuple[RDTPolicyNetwork, Contract | None]:
    if config.checkpoint is not None:
        if is_own(config.checkpoint):
            network, contract = load_checkpoint(config.checkpoint, sources=sources, device=device)
            contract.check_layout(get_layout(config.layout))
        else:
            network, contract = load_network(
                config.checkpoint,
                device=device,
                encoders=sources,
                layout=config.layout,
                dtype=torch.float32,
            )
        return network, contract
    preset = get_preset(config.preset)
    if preset.encoders is not None:
        return build_network(config.preset), None
    shape = preset.rdt
    encoders = load_frozen_encoders(sources, max_words=shape.max_lang_cond_len, device=device)
    return RDTPolicyNetwork(shape, encoders), None


def find_normalisation(
    config: TrainingConfig, folder: RunFolder, start: Contract | None
) -> Normalisation:
    """Say how a run normalises; see ``normalising.choose_normalisation``.

    Args:
        config: The run.
        folder: Its folder, which may hold checkpoints to go on from.
        start: The contract of the checkpoint it starts from.

    Raises:
        ConfigError: A file cannot be used, or the run normalised otherwise before.
    """
    there = folder.shelf.updates
    before = load_contract(folder.shelf.place(there[-1])).normalisation if there else None
    return choose_normalisation(
        config,
        get_layout(config.layout),
        demos_to_train_on(config.demos, config),
        start=Normalisation() if start is None else start.normalisation,
        before=before,
    )


def read_windows(
    config: TrainingConfig,
    network: RDTPolicyNetwork,
    normalisation: Normalisation | None = None,
    *,
    held_out: bool = False,
) -> DemoWindows:
    """Read the demonstrations as this network takes them.

    Args:
        config: The run.
        network: Whose encoders prepare pictures and words.
        normalisation: Of states and actions; none by default.
        held_out: Read those that are held out instead of those to train on.

    Raises:
        ConfigError: A file cannot be used.
    """
    return DemoWindows(
        config.demos,
        layout=get_layout(config.layout),
        cameras=network.encoders_config.cameras,
        image_encoder=network.image_encoder,
        text_encoder=network.text_encoder,
        history=network.history,
        horizon=network.config.pred_horizon,
        settings=config,
        normalisation=normalisation,
        held_out=held_out,
    )


def batches(
    config: TrainingConfig, data: DemoWindows, *, start: int, together: int, rank: int, of: int
) -> Sampler[list[int]]:
    """Return the order in which a process sees windows.

    Args:
        config: The run.
        data: Its windows.
        start: Updates done.
        together: Batches of all processes in an update.
        rank: Number of this process.
        of: How many there are.

    Raises:
        ConfigError: The way of sampling gives nothing on these demonstrations.
    """
    place = {
        "seed": config.seed,
        "start": start * together,
        "stop": config.updates * together,
        "rank": rank,
        "processes": of,
    }
    if config.sampling == "uniform" and config.curriculum == "none":
        return EndlessBatches(len(data), config.batch_size, **place)
    weights = WindowWeights(data, config)
    return DrawnBatches(weights, config.batch_size, together=together, **place)


def describe_contract(
    config: TrainingConfig, network: RDTPolicyNetwork, data: DemoWindows, start: Contract | None
) -> Contract:
    """Say what the finished policy will need.

    Args:
        config: The run.
        network: What is trained.
        data: What it is trained on.
        start: The contract of the checkpoint it starts from.

    Raises:
        SpecMismatchError: The data does not fit that contract.
    """
    if start is not None:
        start.check({"render_size": data.render_size})
    made = [read_provenance(file) for file in data.files]
    description: dict[str, Any] = {
        "files": [file.name for file in data.files],
        "sha256": [_digest(file) for file in data.files],
        "demos": data.demos,
        "windows": len(data),
        "instructions": data.instructions,
        "made_by": [json.dumps(m, sort_keys=True) if m else "unknown" for m in made],
    }
    label = _label(data, made)
    if start is not None:
        description["before"] = start.demos
        label += f" after {start.demos.get('label', 'unknown demos')}"
    description["label"] = label
    return Contract.describe(
        network,
        layout=config.layout,
        render_size=data.render_size,
        orientation="rotate180",
        normalisation=data.normalisation,
        demos=description,
    )


def starting_notes(contract: Contract, start: Contract | None) -> tuple[str, ...]:
    """Say what a user should know of a run that its settings may not say.

    Args:
        contract: Of what it will give.
        start: Of the checkpoint that it starts from.
    """
    notes = []
    ours, before = contract.normalisation, start.normalisation if start else Normalisation()
    if ours.method != "none":
        whose = "the checkpoint's numbers" if ours == before else "its numbers in these demos"
        notes.append(f"States and actions are normalised: {ours.method}, {whose}.")
    if before.method != "none" and ours != before:
        notes.append(
            f"The checkpoint to start from was trained under another normalisation "
            f"({before.method}), so much is learnt anew; without --normalise its own is kept."
        )
    return tuple(notes)


def _label(data: DemoWindows, made: list[dict[str, Any]]) -> str:
    """Say in a few words which demonstrations these are: results must."""
    makers = {str(m.get("expert")) if m else "of unknown origin" for m in made}
    return f"{data.demos} {' and '.join(sorted(makers))}"


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
