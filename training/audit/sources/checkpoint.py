"""Facts of a checkpoint: how it was trained and what it needs."""

import json
from pathlib import Path

from training.audit.sources.contract import describe_layout, network_of, statistics_of
from training.audit.sources.extracted import ExtractedFacts
from training.audit.sources.own_training import read_training


def read_checkpoint(source: Path | str, extracted: ExtractedFacts) -> None:
    """Read a checkpoint of ours or of the official code, by its headers alone.

    Raises:
        ConfigError: It is no checkpoint, or damaged.
        SpecMismatchError: A newer version wrote it.
        PrerequisiteError: It is on a hub that cannot be reached.
    """
    from policies.rdt.checkpoint.inspection import inspect_checkpoint  # takes torch

    seen = inspect_checkpoint(source, check_numbers=False)
    contract = seen.contract
    extracted.stored_dtype = next(iter(seen.dtypes), None)
    extracted.set("trained", horizon=contract.horizon, history=contract.history)
    extracted.set("training", network=seen.preset or network_of(seen.folder))
    if seen.mismatch:
        extracted.notes.append(f"{extracted.source}: tensors and config differ: {seen.mismatch}.")
    if seen.kind != "libero-bench":
        extracted.set("evaluation", averaged=seen.kind == "ema" or None)
        extracted.set("training", code="official")
        extracted.notes.append(
            f"{extracted.source}: an official checkpoint does not say its cameras, layout, "
            "gripper, frequency or norm; say them in a facts file."
        )
        return
    extra = seen.folder / "extra.json"
    if extra.is_file():
        settings = json.loads(extra.read_text(encoding="utf-8")).get("training")
        if isinstance(settings, dict):
            read_training(settings, extracted)
    # After the settings: what the checkpoint promises weighs more than a layout's name.
    layout = contract.mapping
    normalised = statistics_of(contract.normalisation.method)
    extracted.set(
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
    extracted.default(
        "evaluated", normalisation=normalised, **describe_layout(layout, training=False)
    )
    demos = contract.demos.get("demos")
    extracted.set("training", demos=demos if isinstance(demos, int) else None)
    windows = contract.demos.get("windows")
    if isinstance(windows, int) and isinstance(demos, int) and demos:
        extracted.set("training", demo_steps=windows // demos)
