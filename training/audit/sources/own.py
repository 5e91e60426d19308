"""This project's own settings: training configurations, recipes, commands and evaluation runs.

What a setting means is one line of a table, under the name it has in ``TrainingConfig`` or
``EvaluationConfig``; a setting that the table lacks is reported as not looked at.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.rdt.actions.layout_file import get_layout
from policies.rdt.model.config import RDTConfig
from tasks.errors import ConfigError
from tasks.observation import CAMERAS, CONTROL_HZ
from tasks.protocols import Protocol, get_protocol
from training.audit.sources.cameras import camera_name
from training.audit.sources.command import Invocation
from training.audit.sources.launch import processes
from training.audit.sources.origin import read_origin, statistics_of
from training.audit.sources.reading import (
    Reading,
    Target,
    describe_layout,
    is_unread,
    note_unread,
    put,
)
from training.config import TrainingConfig
from training.config_sections import DEFAULT_WARMUP

ENCODER_PIXELS = 64
"""Height and width of what rdt-small's encoder takes, in which ``image_shift`` is counted. The
preset has the number too, but loading it takes torch."""

HISTORY = 2
"""Control steps of pictures that every preset takes."""

EXEC_HORIZON = 16
"""Steps that the policy ``rdt`` executes unless the user says otherwise; it lives beside torch."""


def _whole(value: Any) -> int:
    return int(float(value))


def _flag(value: Any) -> bool:
    return str(value).lower() not in ("0", "false", "none", "no", "off", "0.0")


def _named(fact: str) -> Target:
    return Target(fact, lambda value: None if value is None else str(value))


def _count(fact: str) -> Target:
    return Target(fact, lambda value: None if value is None else _whole(value))


def _amount(fact: str) -> Target:
    return Target(fact, lambda value: None if value is None else float(value))


TRAINING_SETTINGS: dict[str, Target] = {
    "preset": _named("training.network"),
    "updates": _count("training.updates"),
    "batch_size": _count("training.batch"),
    "effective_batch_size": _count("training.effective_batch"),
    "lora_rank": _count("training.lora_rank"),
    "learning_rate": _amount("training.learning_rate"),
    "schedule": _named("training.scheduler"),
    "warmup": _amount("training.warmup"),
    "clip": _amount("training.clip"),
    "ema": Target("training.ema", _flag),
    "precision": _named("training.precision"),
    "loss": _named("training.loss"),
    "image_shift": Target("training.shift", lambda pixels: float(pixels) / ENCODER_PIXELS),
    "condition_mask": _amount("training.condition_mask"),
    "state_noise_db": _amount("training.state_noise_db"),
    "targets": _named("training.targets"),
    "save_every": _count("training.save_every"),
    "keep": _count("training.keep"),
    # Without it success in simulation is the judge, as with rdt-small: no fault by itself.
    "sample_period": Target("training.sample_every", lambda value: _whole(value) or None),
    "eval_every": Target("training.judge_every", lambda value: _whole(value) or None),
    "seed": Target("training.seeded", lambda value: value is not None),
    "normalise": Target("trained.normalisation", statistics_of),
    "cameras": Target("trained.cameras", lambda names: _cameras(names)),
}
"""What a training setting says, by its name; a new one is a line."""

_CHANGES = ("crop", "colour", "blur", "motion_blur", "pixel_noise")
"""Settings that each mean that pictures are augmented."""

SETTINGS = frozenset(entry.name for entry in dataclasses.fields(TrainingConfig))
"""Every setting of a training; those without a line above have no rule."""


def read_training(settings: Mapping[str, Any], reading: Reading, *, beside: Path = Path()) -> None:
    """Read settings of our trainer; what is not given has its default.

    Args:
        settings: By the names of ``TrainingConfig``.
        reading: Where facts are noted.
        beside: Folder in which a checkpoint to start from may lie.
    """
    defaults = {
        entry.name: entry.default
        for entry in dataclasses.fields(TrainingConfig)
        if entry.default is not dataclasses.MISSING
    }
    plain = {name: getattr(default, "default", default) for name, default in defaults.items()}
    plain["warmup"], settings = _warmup(plain | dict(settings)), _in_updates(settings, plain)
    for name, value in plain.items():
        if name in TRAINING_SETTINGS and name not in settings:
            TRAINING_SETTINGS[name].put(reading, value, implied=True)
    for name, value in settings.items():
        if name in TRAINING_SETTINGS:
            put(reading, TRAINING_SETTINGS[name], name, value)
        elif name not in SETTINGS:
            reading.unknown.append(name)
    reading.say("training", code="libero-bench")
    # As its trainer is: fp32 weights under any mixed precision, clipping after accumulation.
    reading.imply(
        "training",
        weights="float32",
        deepspeed=False,
        ema_dtype="float32",
        accumulation=1,
        flips=False,
    )
    shape = RDTConfig()  # what all presets share
    reading.imply(
        "trained",
        cameras=CAMERAS,
        orientation="rotate180",
        history=HISTORY,
        horizon=shape.pred_horizon,
        control_hz=CONTROL_HZ,
    )
    reading.imply("evaluated", horizon=shape.pred_horizon)
    shift = reading.said["training"].get("shift", reading.implied["training"].get("shift", 0))
    changed = any(_flag(settings.get(name, 0)) for name in _CHANGES)
    reading.imply("training", augmentation=bool(shift) or changed)
    read_origin(settings, reading, beside)


_EVALUATION_FACTS = {
    "resolution": "evaluated.render_size",
    "episodes": "evaluation.episodes",
    "exec_horizon": "evaluation.exec_horizons",
    "suite": "evaluation.suite",
    "checkpoint": "evaluation.checkpoint",
}


def read_own_command(
    run: Invocation, reading: Reading, options: Mapping[str, Collection[str]]
) -> None:
    """Read ``libero-bench train …`` or ``libero-bench eval …``.

    Args:
        run: The command.
        reading: Where facts are noted.
        options: Options of ``train`` and of ``eval`` that are no settings of a training.
    """
    kind = run.kind.removeprefix("own-")
    others = options.get(kind)
    if kind == "train":
        _read_training_command(run, reading, others or ())
    else:
        if others is not None:
            names = {name: name.partition(".")[0] for name in run.flags}
            reading.unknown += [f"--{name}" for name, first in names.items() if first not in others]
        _read_evaluation_command(run, reading)


def _read_training_command(run: Invocation, reading: Reading, others: Collection[str]) -> None:
    settings: dict[str, Any] = {}
    for name, words in run.flags.items():
        if name in TRAINING_SETTINGS and any(map(is_unread, words)):
            note_unread(reading, TRAINING_SETTINGS[name].fact, f"--{name}", words)
        elif name not in others:
            settings[name] = words[0] if len(words) == 1 else (words or True)
    read_training(settings, reading, beside=run.folder or Path())
    reading.say("training", processes=processes(run))


def _read_evaluation_command(run: Invocation, reading: Reading) -> None:
    settings: dict[str, Any] = {}
    given: dict[str, str] = {}
    for name, words in run.flags.items():
        if name == "option":
            given |= {key: value for key, _, value in (word.partition("=") for word in words)}
        elif name.startswith("option.") and words:
            given[name.removeprefix("option.")] = words[0]
        elif name in _EVALUATION_FACTS and any(map(is_unread, words)):
            note_unread(reading, _EVALUATION_FACTS[name], f"--{name}", words)
        elif words:
            settings[name] = words[0]
    horizons = [word for word in settings.get("exec_horizon", "").split(",") if word]
    read_evaluation(settings | {"options": given}, reading, horizons=horizons)


def read_evaluation(
    settings: Mapping[str, Any], reading: Reading, *, horizons: Sequence[Any] = ()
) -> None:
    """Read settings of our evaluation.

    Args:
        settings: By the names of ``EvaluationConfig``, and ``checkpoint`` and ``options``.
        reading: Where facts are noted.
        horizons: Steps executed per plan; several for a sweep.
    """
    resolution = settings.get("resolution")
    protocol = get_protocol(
        settings.get("protocol") or "openvla",
        resolution=None if resolution is None else _whole(resolution),
    )
    suite = settings.get("suite")
    reading.checkpoint = settings.get("checkpoint")
    reading.say(
        "evaluation",
        suite=suite,
        checkpoint=reading.checkpoint,
        exec_horizons=tuple(_whole(h) for h in horizons) or None,
        enforced=True,
        fusion=settings.get("fusion"),
        episodes=settings.get("episodes"),
        max_steps=_limit(protocol, suite),
    )
    if settings.get("policy", "rdt") == "rdt":
        reading.imply("evaluation", exec_horizons=(EXEC_HORIZON,))
    reading.say(
        "evaluated",
        orientation=protocol.orientation,
        render_size=protocol.resolution,
        control_hz=CONTROL_HZ,
    )
    options: Mapping[str, Any] = settings.get("options") or {}
    reading.say("evaluated", norm=options.get("norm"))
    if options.get("weights") == "ema":
        reading.say("evaluation", averaged=True)
    if layout := options.get("layout"):
        reading.say("evaluated", **describe_layout(get_layout(str(layout)), training=False))


_STAGE = ("minutes", "note")
"""What a recipe says of a stage beside its settings."""


def read_recipe(plain: Mapping[str, Any], reading: Reading, *, beside: Path) -> None:
    """Read a recipe of ``libero-bench run``, as TOML gives it."""
    collect = plain.get("collect", {})
    tasks = collect.get("tasks")
    if "demos" in collect:
        demos = int(collect["demos"]) * (len(tasks) if isinstance(tasks, list) else 1)
        reading.say("training", demos=demos)
    reading.say("trained", render_size=collect.get("resolution"))
    if "train" in plain:
        chosen = {k: v for k, v in plain["train"].items() if k not in _STAGE}
        read_training(chosen, reading, beside=beside)
        reading.say("training", processes=1)
    learnt = [entry for entry in plain.get("entries", ()) if entry.get("policy") == "rdt"]
    if "evaluate" in plain and learnt:
        horizons = [h for entry in learnt for h in entry.get("exec_horizons", ())]
        fusions = [f for e in learnt for f in e.get("fusions") or [e.get("fusion") or "none"]]
        checkpoint = next((e["checkpoint"] for e in learnt if e.get("checkpoint")), None)
        chosen = {"fusion": ", ".join(dict.fromkeys(fusions)), "checkpoint": checkpoint}
        read_evaluation({**plain["evaluate"], **chosen}, reading, horizons=horizons)


def read_run(info: Mapping[str, Any], reading: Reading) -> None:
    """Read the ``run.json`` of an evaluation."""
    policy, protocol = info["policy"], info["protocol"]
    suites = list(info.get("tasks", {}))
    packages = (info.get("provenance") or {}).get("packages") or {}
    mujoco = packages.get("mujoco")
    horizon = policy.get("exec_horizon")
    reading.checkpoint = policy.get("checkpoint")
    reading.say(
        "evaluation",
        suite=suites[0] if suites else None,
        checkpoint=reading.checkpoint,
        exec_horizons=None if horizon is None else (horizon,),
        fusion=policy.get("fusion"),
        enforced=True,
        episodes=info.get("episodes_per_task"),
        mujoco=f"=={mujoco}" if mujoco else None,
        max_steps=dict(protocol.get("max_steps", {})).get(suites[0]) if suites else None,
    )
    reading.say(
        "evaluated",
        orientation=protocol.get("orientation"),
        render_size=protocol.get("resolution"),
        horizon=policy.get("horizon"),
        history=policy.get("history"),
        cameras=tuple(policy["cameras"]) if policy.get("cameras") else None,
        control_hz=CONTROL_HZ,
        norm=(policy.get("options") or {}).get("norm"),
    )


def _warmup(settings: Mapping[str, Any]) -> int:
    """Return the updates of warm-up where none are asked for."""
    return 0 if settings["schedule"] == "constant" else DEFAULT_WARMUP


def _in_updates(settings: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a warm-up in updates where it is a share of them."""
    given = {name: value for name, value in settings.items() if (name, value) != ("warmup", None)}
    try:
        share = float(given.get("warmup", 0))
        if 0 < share < 1:
            given["warmup"] = round(share * _whole(given.get("updates", plain["updates"])))
    except (TypeError, ValueError):
        pass  # named where the setting is read
    return given


def _cameras(names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    listed = names.split(",") if isinstance(names, str) else names
    return tuple(camera_name(name) for name in listed)


def _limit(protocol: Protocol, suite: str | None) -> int | None:
    try:
        return None if suite is None else protocol.step_limit(suite)
    except ConfigError:
        return None
