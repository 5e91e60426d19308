"""Trainings of this project: settings, ``libero-bench train`` commands, and checkpoints.

A setting is a line of a table, under its name in ``TrainingConfig``.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from policies.rdt.model.config import RDTConfig
from tasks.observation import CAMERAS, CONTROL_HZ
from training.audit.sources.command import Invocation
from training.audit.sources.contract import (
    describe_layout,
    network_of,
    read_inherited,
    statistics_of,
)
from training.audit.sources.extracted import ExtractedFacts, Setting, camera_name, is_unreadable
from training.audit.sources.launcher import processes
from training.config import TrainingConfig
from training.config_sections import DEFAULT_WARMUP

ENCODER_PIXELS = 64
"""Height and width of the images of rdt-small's encoder, in whose pixels ``image_shift`` counts.
The preset has the number too, but loading it takes torch."""

HISTORY = 2
"""Control steps of images that every preset takes."""


def whole_number(value: Any) -> int:
    """Return a number of things, which may be written as ``1e5``."""
    return int(float(value))


def _is_set(value: Any) -> bool:
    return str(value).lower() not in ("0", "false", "none", "no", "off", "0.0")


def _named(fact: str) -> Setting:
    return Setting(fact, lambda value: None if value is None else str(value))


def _count(fact: str) -> Setting:
    return Setting(fact, lambda value: None if value is None else whole_number(value))


def _amount(fact: str) -> Setting:
    return Setting(fact, lambda value: None if value is None else float(value))


TRAINING_SETTINGS: dict[str, Setting] = {
    "preset": _named("training.network"),
    "updates": _count("training.updates"),
    "batch_size": _count("training.batch"),
    "effective_batch_size": _count("training.effective_batch"),
    "lora_rank": _count("training.lora_rank"),
    "learning_rate": _amount("training.learning_rate"),
    "schedule": _named("training.scheduler"),
    "warmup": _amount("training.warmup"),
    "clip": _amount("training.clip"),
    "ema": Setting("training.ema", _is_set),
    "precision": _named("training.precision"),
    "loss": _named("training.loss"),
    "image_shift": Setting("training.shift", lambda pixels: float(pixels) / ENCODER_PIXELS),
    "condition_mask": _amount("training.condition_mask"),
    "state_noise_db": _amount("training.state_noise_db"),
    "targets": _named("training.targets"),
    "save_every": _count("training.save_every"),
    "keep": _count("training.keep"),
    # Without it success in simulation decides, as with rdt-small: no fault by itself.
    "sample_period": Setting("training.sample_every", lambda value: whole_number(value) or None),
    "eval_every": Setting("training.judge_every", lambda value: whole_number(value) or None),
    "seed": Setting("training.seeded", lambda value: value is not None),
    "normalise": Setting("trained.normalisation", statistics_of),
    "cameras": Setting("trained.cameras", lambda names: _camera_names(names)),
}
"""The fact that a training setting sets, by the setting's name."""

AUGMENTATIONS = ("crop", "colour", "blur", "motion_blur", "pixel_noise")
"""Settings each of which means that images are augmented."""

SETTINGS = frozenset(entry.name for entry in dataclasses.fields(TrainingConfig))
"""Every setting of a training, also those that no rule looks at."""


def read_training(
    settings: Mapping[str, Any], extracted: ExtractedFacts, *, beside: Path = Path()
) -> None:
    """Extract facts from settings of our trainer, by name, and from the defaults of the others.

    ``beside`` is a folder that may hold the checkpoint to start from.
    """
    defaults = {
        entry.name: entry.default
        for entry in dataclasses.fields(TrainingConfig)
        if entry.default is not dataclasses.MISSING
    }
    plain = {name: getattr(default, "default", default) for name, default in defaults.items()}
    plain["warmup"], settings = (
        _default_warmup(plain | dict(settings)),
        _in_updates(settings, plain),
    )
    for name, value in plain.items():
        if name in TRAINING_SETTINGS and name not in settings:
            extracted.default_from(TRAINING_SETTINGS[name], value)
    for name, value in settings.items():
        if name in TRAINING_SETTINGS:
            extracted.set_from(TRAINING_SETTINGS[name], name, value)
        elif name not in SETTINGS:
            extracted.unknown_flags.append(name)
    extracted.set("training", code="libero-bench")
    # Our trainer has fp32 weights under any mixed precision, and clips after accumulation.
    extracted.default(
        "training",
        weights="float32",
        deepspeed=False,
        ema_dtype="float32",
        accumulation=1,
        flips=False,
    )
    shape = RDTConfig()  # what all presets share
    extracted.default(
        "trained",
        cameras=CAMERAS,
        orientation="rotate180",
        history=HISTORY,
        horizon=shape.pred_horizon,
        control_hz=CONTROL_HZ,
    )
    extracted.default("evaluated", horizon=shape.pred_horizon)
    shift = extracted.stated["training"].get(
        "shift", extracted.defaults["training"].get("shift", 0)
    )
    changed = any(_is_set(settings.get(name, 0)) for name in AUGMENTATIONS)
    extracted.default("training", augmentation=bool(shift) or changed)
    read_inherited(settings, extracted, beside)


def read_training_command(
    run: Invocation, extracted: ExtractedFacts, others: Collection[str]
) -> None:
    """Read a ``libero-bench train`` command; ``others`` are its options that are no settings."""
    settings: dict[str, Any] = {}
    for name, words in run.flags.items():
        if name in TRAINING_SETTINGS and any(map(is_unreadable, words)):
            extracted.note_unreadable(TRAINING_SETTINGS[name].fact, f"--{name}", words)
        elif name not in others:
            settings[name] = words[0] if len(words) == 1 else (words or True)
    read_training(settings, extracted, beside=run.folder or Path())
    extracted.set("training", processes=processes(run))


def _default_warmup(settings: Mapping[str, Any]) -> int:
    """Return the updates of warm-up where none are asked for."""
    return 0 if settings["schedule"] == "constant" else DEFAULT_WARMUP


def _in_updates(settings: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a warm-up in updates where it is given as a share of them."""
    stated = {name: value for name, value in settings.items() if (name, value) != ("warmup", None)}
    try:
        share = float(stated.get("warmup", 0))
        if 0 < share < 1:
            stated["warmup"] = round(share * whole_number(stated.get("updates", plain["updates"])))
    except (TypeError, ValueError):
        pass  # reported where the setting is read
    return stated


def _camera_names(names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    listed = names.split(",") if isinstance(names, str) else names
    return tuple(camera_name(name) for name in listed)


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
    # After the settings: the checkpoint's contract counts more than a layout's name.
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
