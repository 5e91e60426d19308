"""What a checkpoint says of how it was trained and what it needs."""

import json
from pathlib import Path

from training.audit.sources.origin import network_of
from training.audit.sources.own import read_training
from training.audit.sources.reading import Reading, describe_layout


def read_checkpoint(source: Path | str, reading: Reading) -> None:
    """Read a checkpoint of ours or of the official code, by its headers alone.

    Raises:
        ConfigError: It is no checkpoint, or damaged.
        SpecMismatchError: A newer version wrote it.
        PrerequisiteError: It is on a hub that cannot be reached.
    """
    from policies.rdt.checkpoint.inspection import inspect_checkpoint  # takes torch

    seen = inspect_checkpoint(source, check_numbers=False)
    contract = seen.contract
    reading.stored_dtype = next(iter(seen.dtypes), None)
    reading.say("trained", horizon=contract.horizon, history=contract.history)
    reading.say("training", network=seen.preset or network_of(seen.folder))
    if seen.mismatch:
        reading.notes.append(f"{reading.source}: tensors and config differ: {seen.mismatch}.")
    if seen.kind != "libero-bench":
        reading.say("evaluation", averaged=seen.kind == "ema" or None)
        reading.say("training", code="official")
        reading.notes.append(
            f"{reading.source}: an official checkpoint does not say its cameras, layout, gripper, "
            "frequency or norm; say them in a facts file."
        )
        return
    extra = seen.folder / "extra.json"
    if extra.is_file():
        settings = json.loads(extra.read_text(encoding="utf-8")).get("training")
        if isinstance(settings, dict):
            read_training(settings, reading)
    # After the settings: what the checkpoint promises weighs more than a layout's name.
    layout = contract.mapping
    normalised = "none" if contract.normalisation.method == "none" else "action"
    reading.say(
        "trained",
        cameras=contract.shown_cameras,
        orientation=contract.orientation,
        render_size=contract.render_size,
        image_size=contract.image_size,
        control_hz=contract.control_hz,
        norm=contract.norm,
        normalisation=normalised,
        text_encoder=contract.text_encoder,
        **describe_layout(layout, training=True),
    )
    reading.imply("evaluated", normalisation=normalised, **describe_layout(layout, training=False))
    demos = contract.demos.get("demos")
    reading.say("training", demos=demos if isinstance(demos, int) else None)
    windows = contract.demos.get("windows")
    if isinstance(windows, int) and isinstance(demos, int) and demos:
        reading.say("training", demo_steps=windows // demos)
