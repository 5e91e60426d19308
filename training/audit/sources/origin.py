"""What a training of ours takes over from the checkpoint that it starts from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.audit.sources.reading import Reading

_HIDDEN = {2048: "rdt-1b", 1024: "rdt-170m"}
"""Widths of the published networks."""


def read_origin(settings: Mapping[str, Any], reading: Reading, beside: Path) -> None:
    """Note where a training starts, and what it keeps of that.

    Args:
        settings: By the names of ``TrainingConfig``.
        reading: Where facts are noted, with those of the settings themselves.
        beside: Folder in which a checkpoint to start from may lie.
    """
    _start(settings, reading, beside)
    _kept(settings, reading, beside)


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


def _start(settings: Mapping[str, Any], reading: Reading, beside: Path) -> None:
    start = settings.get("checkpoint")
    reading.say("training", start=str(start) if start else "")
    if start:
        # The preset is that of the checkpoint, whatever the setting's default says.
        for section in (reading.said, reading.implied):
            section["training"].pop("network", None)
        folders = (Path(start), beside / Path(start))
        known = next((name for name in map(network_of, folders) if name), None)
        reading.say("training", network=known)


def _kept(settings: Mapping[str, Any], reading: Reading, beside: Path) -> None:
    """Note what a checkpoint to start from hands on, and that an evaluation does the same.

    An evaluation reads the contract: it undoes what training did, and shows the same cameras.
    """
    contract: dict[str, Any] = {}
    if start := settings.get("checkpoint"):
        for folder in (beside / Path(str(start)), Path(str(start))):
            try:
                contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
                break
            except (OSError, ValueError):
                continue
    said = reading.said["trained"]
    given = contract.get("normalisation", "none")
    method = given.get("method") if isinstance(given, dict) else given
    how = said.get("normalisation", statistics_of(method))
    reading.imply("trained", normalisation=how)
    reading.imply("evaluated", normalisation=how)
    if "cameras" not in said and (cameras := contract.get("cameras")):
        missing = contract.get("missing_cameras", ())
        reading.imply("trained", cameras=tuple(each for each in cameras if each not in missing))
