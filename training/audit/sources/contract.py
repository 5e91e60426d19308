"""Facts that a training of ours inherits from the contract of its start checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.rdt.actions.layout import DEFAULT_LAYOUT, FRESH_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout, parse_layout
from tasks.errors import ConfigError
from training.audit.sections import Gripper
from training.audit.sources.extracted import ExtractedFacts
from training.data_settings import DataSettings

_HIDDEN = {2048: "rdt-1b", 1024: "rdt-170m"}
"""Widths of the published networks."""

_GRIPPERS: Mapping[str, Gripper] = {
    "gripper_open": "opening",
    "finger": "fingers",
    "fingers": "fingers",
    "gripper_opening": "opening",
    "gripper_command": "command",
    "gripper_closing": "closing",
}
"""Conventions of gripper channels, by the channel's source."""


def describe_layout(layout: Layout, *, training: bool) -> dict[str, Any]:
    """Return the facts of a mapping to the unified vector, as ``PolicyInterface`` has them."""
    sources = {channel.source: channel for channel in layout.action}
    deltas = [slot for c in layout.action if c.source.startswith("delta_") for slot in c.slots]
    grip = next(channel for channel in layout.action if channel.source in _GRIPPERS)
    fingers = [channel for channel in layout.state if channel.source in _GRIPPERS]
    rotation = "joints" if "future_joint_pos" in sources else "pose"
    return {
        "state_slots": layout.state_slots,
        "action_slots": layout.action_slots,
        "delta_slots": tuple(deltas),
        "goals": layout.holds_goals,
        "rotation": "delta-axis-angle" if "delta_rot" in sources else rotation,
        "mask": layout.masks.training if training else layout.masks.evaluation,
        "gripper": _GRIPPERS[grip.source],
        "gripper_slot": grip.slots[0],
        "gripper_state": _GRIPPERS[fingers[0].source] if fingers else None,
        "gripper_state_slot": fingers[0].slots[0] if fingers else None,
    }


def read_inherited(settings: Mapping[str, Any], extracted: ExtractedFacts, beside: Path) -> None:
    """Set a training's start, and the facts that it inherits from there.

    Args:
        settings: By the names of ``TrainingConfig``.
        extracted: The facts, those of the settings included.
        beside: Folder that may hold the checkpoint to start from.
    """
    _set_start(settings, extracted, beside)
    contract = _contract(settings, beside)
    layout = _set_layout(settings, contract, extracted)
    _set_interface(contract, layout, extracted)


def network_of(folder: Path) -> str | None:
    """Return the preset of RDT of a checkpoint's config; None if that is not known."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        hidden = int(config["rdt"]["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _HIDDEN.get(hidden, "rdt-small" if hidden < min(_HIDDEN) else None)


def statistics_of(method: Any) -> str | None:
    """Return the owner of a normalisation's statistics, ``none`` or ``action``, if it is known."""
    if method is None:
        return None
    return "none" if method == "none" else "action"


def _set_start(settings: Mapping[str, Any], extracted: ExtractedFacts, beside: Path) -> None:
    start = settings.get("checkpoint")
    extracted.set("training", start=str(start) if start else "")
    if start:
        # The preset is that of the checkpoint, whatever the setting's default says.
        for section in (extracted.stated, extracted.defaults):
            section["training"].pop("network", None)
        folders = (Path(start), beside / Path(start))
        known = next((name for name in map(network_of, folders) if name), None)
        extracted.set("training", network=known)


def _contract(settings: Mapping[str, Any], beside: Path) -> dict[str, Any] | None:
    """Return the contract of the checkpoint to start from: empty if it has none, None if fresh."""
    start = settings.get("checkpoint")
    if not start:
        return None
    for folder in (beside / Path(str(start)), Path(str(start))):
        try:
            contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(contract, dict):
            return contract
    return {}


def _set_layout(
    settings: Mapping[str, Any], contract: dict[str, Any] | None, extracted: ExtractedFacts
) -> Layout | None:
    """Set the layout; an evaluation has the same, as the checkpoint's contract demands."""
    default = FRESH_LAYOUT if contract is None else contract.get("layout", DEFAULT_LAYOUT)
    name, rules = settings.get("layout"), (contract or {}).get("layout_rules")
    try:
        if not name and rules:
            layout = parse_layout(rules, f"{extracted.source}: the checkpoint's contract")
        else:
            layout = get_layout(str(name or default))
    except ConfigError as error:
        extracted.notes.append(f"{extracted.source}: {error}")
        return None
    extracted.set("trained", **describe_layout(layout, training=True))
    extracted.default("evaluated", **describe_layout(layout, training=False))
    return layout


def _set_interface(
    contract: dict[str, Any] | None, layout: Layout | None, extracted: ExtractedFacts
) -> None:
    """Set normalisation and cameras of the checkpoint to start from.

    An evaluation reads the contract, so it normalises alike.
    """
    stated = extracted.stated["trained"]
    method = (contract or {}).get("normalisation", "none")
    if isinstance(method, dict):
        method = method.get("method")
    if contract is None and layout is not None:
        method = DataSettings().method_for(layout)
    statistics = stated.get("normalisation", statistics_of(method))
    extracted.default("trained", normalisation=statistics)
    extracted.default("evaluated", normalisation=statistics)
    if contract and "cameras" not in stated and (cameras := contract.get("cameras")):
        missing = contract.get("missing_cameras", ())
        extracted.default("trained", cameras=tuple(name for name in cameras if name not in missing))
