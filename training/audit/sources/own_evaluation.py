"""Evaluations of this project: ``libero-bench eval`` commands, recipes and ``run.json``."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.rdt.actions.layout_file import get_layout
from tasks.errors import ConfigError
from tasks.observation import CONTROL_HZ
from tasks.protocols import Protocol, get_protocol
from training.audit.sources.command import Invocation
from training.audit.sources.contract import describe_layout
from training.audit.sources.extracted import ExtractedFacts, is_unreadable
from training.audit.sources.own_training import read_training, read_training_command, whole_number

EXEC_HORIZON = 16
"""Steps of a plan that the policy ``rdt`` executes by default; its own constant is beside torch."""

_EVALUATION_FACTS = {
    "resolution": "evaluated.render_size",
    "episodes": "evaluation.episodes",
    "exec_horizon": "evaluation.exec_horizons",
    "suite": "evaluation.suite",
    "checkpoint": "evaluation.checkpoint",
}


def read_own_command(
    run: Invocation, extracted: ExtractedFacts, options: Mapping[str, Collection[str]]
) -> None:
    """Extract facts from ``libero-bench train …`` or ``libero-bench eval …``.

    ``options`` are those of each command that are no settings of a training.
    """
    kind = run.kind.removeprefix("own-")
    others = options.get(kind)
    if kind == "train":
        read_training_command(run, extracted, others or ())
    else:
        if others is not None:
            names = {name: name.partition(".")[0] for name in run.flags}
            extracted.unknown_flags += [
                f"--{name}" for name, first in names.items() if first not in others
            ]
        _read_evaluation_command(run, extracted)


def _read_evaluation_command(run: Invocation, extracted: ExtractedFacts) -> None:
    settings: dict[str, Any] = {}
    policy_options: dict[str, str] = {}
    for name, words in run.flags.items():
        if name.startswith("option.") and words:
            policy_options[name.removeprefix("option.")] = words[0]
        elif name in _EVALUATION_FACTS and any(map(is_unreadable, words)):
            extracted.note_unreadable(_EVALUATION_FACTS[name], f"--{name}", words)
        elif words:
            settings[name] = words[0]
    horizons = [word for word in settings.get("exec_horizon", "").split(",") if word]
    read_evaluation(settings | {"options": policy_options}, extracted, horizons=horizons)


def read_evaluation(
    settings: Mapping[str, Any], extracted: ExtractedFacts, *, horizons: Sequence[Any] = ()
) -> None:
    """Extract facts from settings of our evaluation.

    Args:
        settings: By the names of ``EvaluationConfig``, and ``checkpoint`` and ``options``.
        extracted: Where facts are set.
        horizons: Steps executed per plan; several for a sweep.
    """
    resolution = settings.get("resolution")
    protocol = get_protocol(
        settings.get("protocol") or "openvla",
        resolution=None if resolution is None else whole_number(resolution),
    )
    suite = settings.get("suite")
    extracted.checkpoint = settings.get("checkpoint")
    extracted.set(
        "evaluation",
        suite=suite,
        checkpoint=extracted.checkpoint,
        exec_horizons=tuple(whole_number(h) for h in horizons) or None,
        enforced=True,
        fusion=settings.get("fusion"),
        episodes=settings.get("episodes"),
        max_steps=_limit(protocol, suite),
    )
    if settings.get("policy", "rdt") == "rdt":
        extracted.default("evaluation", exec_horizons=(EXEC_HORIZON,))
    extracted.set(
        "evaluated",
        orientation=protocol.orientation,
        render_size=protocol.resolution,
        control_hz=CONTROL_HZ,
    )
    options: Mapping[str, Any] = settings.get("options") or {}
    extracted.set("evaluated", norm=options.get("norm"))
    if options.get("weights") == "ema":
        extracted.set("evaluation", averaged=True)
    if layout := options.get("layout"):
        extracted.set("evaluated", **describe_layout(get_layout(str(layout)), training=False))


_NO_SETTINGS = ("minutes", "note")
"""Entries of a stage of a recipe that are no settings."""


def read_recipe(plain: Mapping[str, Any], extracted: ExtractedFacts, *, beside: Path) -> None:
    """Extract facts from a recipe of ``libero-bench run``."""
    collect = plain.get("collect", {})
    tasks = collect.get("tasks")
    if "demos" in collect:
        demos = int(collect["demos"]) * (len(tasks) if isinstance(tasks, list) else 1)
        extracted.set("training", demos=demos)
    extracted.set("trained", render_size=collect.get("resolution"))
    if "train" in plain:
        settings = {k: v for k, v in plain["train"].items() if k not in _NO_SETTINGS}
        read_training(settings, extracted, beside=beside)
        extracted.set("training", processes=1)
    learned = [entry for entry in plain.get("entries", ()) if entry.get("policy") == "rdt"]
    if "evaluate" in plain and learned:
        horizons = [h for entry in learned for h in entry.get("exec_horizons", ())]
        fusions = [f for e in learned for f in e.get("fusions") or [e.get("fusion") or "none"]]
        checkpoint = next((e["checkpoint"] for e in learned if e.get("checkpoint")), None)
        policy = {"fusion": ", ".join(dict.fromkeys(fusions)), "checkpoint": checkpoint}
        read_evaluation({**plain["evaluate"], **policy}, extracted, horizons=horizons)


def read_run(info: Mapping[str, Any], extracted: ExtractedFacts) -> None:
    """Extract facts from the ``run.json`` of an evaluation."""
    policy, protocol = info["policy"], info["protocol"]
    suites = list(info.get("tasks", {}))
    packages = (info.get("provenance") or {}).get("packages") or {}
    mujoco = packages.get("mujoco")
    horizon = policy.get("exec_horizon")
    extracted.checkpoint = policy.get("checkpoint")
    extracted.set(
        "evaluation",
        suite=suites[0] if suites else None,
        checkpoint=extracted.checkpoint,
        exec_horizons=None if horizon is None else (horizon,),
        fusion=policy.get("fusion"),
        enforced=True,
        episodes=info.get("episodes_per_task"),
        mujoco=f"=={mujoco}" if mujoco else None,
        max_steps=dict(protocol.get("max_steps", {})).get(suites[0]) if suites else None,
    )
    extracted.set(
        "evaluated",
        orientation=protocol.get("orientation"),
        render_size=protocol.get("resolution"),
        horizon=policy.get("horizon"),
        history=policy.get("history"),
        cameras=tuple(policy["cameras"]) if policy.get("cameras") else None,
        control_hz=CONTROL_HZ,
        norm=(policy.get("options") or {}).get("norm"),
    )


def _limit(protocol: Protocol, suite: str | None) -> int | None:
    try:
        return None if suite is None else protocol.step_limit(suite)
    except ConfigError:
        return None
