"""What a run starts from: its network, its data, and the contract of what it will give."""

import hashlib
import json
from pathlib import Path
from typing import Any

from policies.rdt.checkpoint import load_checkpoint
from policies.rdt.contract import Contract
from policies.rdt.layout import Layout, get_layout
from policies.rdt.network import RDTPolicyNetwork
from policies.rdt.presets import build_network
from training.config import TrainingConfig
from training.data.windows import DemoWindows
from training.demo_reader import read_provenance


def start_network(config: TrainingConfig) -> tuple[RDTPolicyNetwork, Contract | None]:
    """Build a fresh network, or load the checkpoint to start from and its contract.

    Raises:
        ConfigError: There is no such preset or checkpoint.
        SpecMismatchError: The checkpoint has another layout.
    """
    if config.checkpoint is None:
        return build_network(config.preset), None
    network, contract = load_checkpoint(config.checkpoint)
    contract.check_layout(get_layout(config.layout))
    return network.train(), contract


def read_windows(config: TrainingConfig, network: RDTPolicyNetwork, layout: Layout) -> DemoWindows:
    """Read the demonstrations as this network takes them.

    Raises:
        ConfigError: A file cannot be used.
    """
    encoders = network.encoders_config
    return DemoWindows(
        config.demos,
        layout=layout,
        cameras=encoders.cameras,
        image_size=encoders.image_size,
        history=network.history,
        horizon=network.config.pred_horizon,
        max_words=encoders.max_words,
    )


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
        demos=description,
    )


def _label(data: DemoWindows, made: list[dict[str, Any]]) -> str:
    """Say in a few words which demonstrations these are: results must."""
    makers = {str(m.get("expert")) if m else "of unknown origin" for m in made}
    return f"{data.demos} {' and '.join(sorted(makers))}"


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
