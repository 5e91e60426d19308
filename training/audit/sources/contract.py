"""What a training of ours takes over from the checkpoint that it starts from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from policies.rdt.actions.layout import DEFAULT_LAYOUT, FRESH_LAYOUT, Layout
from policies.rdt.actions.layout_file import get_layout, parse_layout
from tasks.errors import ConfigError
from training.audit.facts import Gripper
from training.audit.sources.extracted import ExtractedFacts
from training.config_sections import DataSettings

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


def read_origin(settings: Mapping[str, Any], extracted: ExtractedFacts, beside: Path) -> None:
    """Note where a training starts, and what it keeps of that.

    Args:
        settings: By the names of ``TrainingConfig``.
        extracted: Where facts are noted, with those of the settings themselves.
        beside: Folder in which a checkpoint to start from may lie.
    """
    _start(settings, extracted, beside)
    contract = _contract(settings, beside)
    layout = _layout(settings, contract, extracted)
    _kept(contract, layout, extracted)


def network_of(folder: Path) -> str | None:
    """Return the preset of RDT that a checkpoint's config has; None where that is not known."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        hidden = int(config["rdt"]["hidden_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _HIDDEN.get(hidden, "rdt-small" if hidden < min(_HIDDEN) else None)


def statistics_of(method: Any) -> str | None:
    """Return whose statistics a way of normalising uses; None where none is asked for."""
    if method is None:
        return None
    return "none" if method == "none" else "action"


def _start(settings: Mapping[str, Any], extracted: ExtractedFacts, beside: Path) -> None:
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


def _layout(
    settings: Mapping[str, Any], contract: dict[str, Any] | None, extracted: ExtractedFacts
) -> Layout | None:
    """Note the mapping; an evaluation has the same, as the checkpoint's contract demands."""
    usual = FRESH_LAYOUT if contract is None else contract.get("layout", DEFAULT_LAYOUT)
    asked, rules = settings.get("layout"), (contract or {}).get("layout_rules")
    try:
        if not asked and rules:
            layout = parse_layout(rules, f"{extracted.source}: the checkpoint's contract")
        else:
            layout = get_layout(str(asked or usual))
    except ConfigError as error:
        extracted.notes.append(f"{extracted.source}: {error}")
        return None
    extracted.set("trained", **describe_layout(layout, training=True))
    extracted.default("evaluated", **describe_layout(layout, training=False))
    return layout


def _kept(
    contract: dict[str, Any] | None, layout: Layout | None, extracted: ExtractedFacts
) -> None:
    """Note what a checkpoint to start from hands on, and that an evaluation does the same.

    An evaluation reads the contract: it undoes what training did, and shows the same cameras.
    """
    said = extracted.stated["trained"]
    given = (contract or {}).get("normalisation", "none")
    method = given.get("method") if isinstance(given, dict) else given
    if contract is None and layout is not None:
        method = DataSettings().method_for(layout)
    how = said.get("normalisation", statistics_of(method))
    extracted.default("trained", normalisation=how)
    extracted.default("evaluated", normalisation=how)
    if contract and "cameras" not in said and (cameras := contract.get("cameras")):
        missing = contract.get("missing_cameras", ())
        extracted.default("trained", cameras=tuple(each for each in cameras if each not in missing))
