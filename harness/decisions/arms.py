"""The arms of a sequential comparison: runs that are there, and policies to evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.decisions.config import DecisionConfig, PolicyArm, read_arm
from harness.evaluation.environments import EnvironmentSpec
from harness.evaluation.grid import with_chunking
from harness.evaluation.plan import EvaluationPlan, plan_evaluation
from results.decisions.order import ShuffledOrder
from results.folder import LoadedRun, load_run
from results.records import EpisodeKey, Outcome, RunInfo
from results.run_names import distinct_names
from tasks.errors import ConfigError

ARMS_FOLDER = "arms"
"""Folder in which the runs of policies lie, by their letter."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One side of the comparison.

    Attributes:
        name: Name in tables, which no other arm has.
        folder: Its run folder.
        info: Its run, as begun or as it will be.
        plan: How it is evaluated; None for a run that is only read.
    """

    name: str
    folder: Path
    info: RunInfo
    plan: EvaluationPlan | None = None

    def outcomes(self, order: ShuffledOrder, final: int) -> dict[EpisodeKey, Outcome]:
        """Return what became of its episodes.

        Args:
            order: The order of the comparison.
            final: Episodes of the order, from the first, that are not tried again if they broke.
        """
        if not (self.folder / "run.json").is_file():
            return {}
        settled = set(order[:final])
        return {
            record.key: record.outcome
            for record in load_run(self.folder)[1]
            if record.outcome != "error" or self.plan is None or record.key in settled
        }


def resolve_arms(
    texts: Sequence[str],
    config: DecisionConfig,
    *,
    environments: EnvironmentSpec | None = None,
) -> tuple[list[Arm], ShuffledOrder]:
    """Settle the arms and the order of their episodes; nothing is written.

    Args:
        texts: Two or more; see ``read_arm``.
        config: The settings.
        environments: Builds the environments; LIBERO's by default.

    Raises:
        HarnessError: An arm or a setting is not allowed, or the arms follow different protocols.
        ResultsError: A run cannot be read or lacks episodes.
    """
    if len(texts) < 2:
        raise ConfigError(f"{len(texts)} arm was given. Fix: give two or more.")
    read = [read_arm(text) for text in texts]
    runs = {
        index: LoadedRun(arm, *load_run(arm))
        for index, arm in enumerate(read)
        if isinstance(arm, Path)
    }
    if len({run.folder.resolve() for run in runs.values()}) < len(runs):
        raise ConfigError("A run is given twice. Fix: give each arm once.")
    episodes = _episodes(config, list(runs.values()))
    arms = [
        _run_arm(runs[index])
        if isinstance(arm, Path)
        else _policy_arm(arm, config.out / ARMS_FOLDER / _letter(index), episodes, environments)
        for index, arm in enumerate(read)
    ]
    _check_protocols(arms)
    names = distinct_names([arm.info for arm in arms], [arm.folder for arm in arms])
    arms = [replace(arm, name=name) for arm, name in zip(arms, names, strict=True)]
    keys = _keys(arms, list(runs.values()), episodes)
    return arms, ShuffledOrder(keys, config.order_seed)


def _episodes(config: DecisionConfig, runs: Sequence[LoadedRun]) -> dict[str, Any]:
    """Return the settings of ``EvaluationConfig`` that choose episodes, runs filling the gaps."""
    given: dict[str, Any] = {
        name: getattr(config, name)
        for name in ("tasks", "episodes", "init_states", "resolution", "seed", "workers", "threads")
    }
    suite, protocol = config.suite, config.protocol
    if runs:
        info = runs[0].info
        suite = suite or info.suites[0]
        keys = [record.key for record in runs[0].records if record.suite == suite]
        if suite not in info.tasks or not keys:
            raise ConfigError(f"Run '{runs[0].folder}' has no episode of suite {suite}.")
        given["tasks"] = given["tasks"] or info.tasks[suite]
        if config.episodes is None and config.init_states is None:
            given["init_states"] = tuple(sorted({key.init_state for key in keys}))
        given["seed"] = keys[0].seed if given["seed"] is None else given["seed"]
        protocol = protocol or str(info.protocol["name"])
        given["resolution"] = given["resolution"] or info.protocol.get("resolution")
    if suite is None:
        raise ConfigError("No --suite was given, and no arm is a run. Fix: give --suite.")
    given |= {"suite": suite, "protocol": protocol or "openvla"}
    return {**given, "order_seed": config.order_seed}


def _run_arm(run: LoadedRun) -> Arm:
    return Arm(name=run.info.name, folder=run.folder, info=run.info)


def _policy_arm(
    arm: PolicyArm, out: Path, episodes: dict[str, Any], environments: EnvironmentSpec | None
) -> Arm:
    evaluation = arm.evaluation(out, episodes)
    chunking = next(iter(arm.axes.grid.chunkings), None)
    policy = with_chunking(evaluation.policy, chunking)
    plan = plan_evaluation(replace(evaluation, policy=policy), environments=environments)
    return Arm(name=plan.info.name, folder=out, info=plan.info, plan=plan)


def _check_protocols(arms: Sequence[Arm]) -> None:
    hashes = {str(arm.info.protocol["hash"]): arm for arm in arms}
    if len(hashes) > 1:
        one, other = list(hashes.values())[:2]
        raise ConfigError(
            f"{one.name} follows {one.info.protocol_name} {one.info.protocol['hash'][:8]}, and "
            f"{other.name} {other.info.protocol_name} {other.info.protocol['hash'][:8]}: their "
            "rates do not measure the same. Fix: give the --protocol and --resolution of the run."
        )


def _keys(
    arms: Sequence[Arm], runs: Sequence[LoadedRun], episodes: dict[str, Any]
) -> list[EpisodeKey]:
    """Return the episodes of the comparison; every run must have all of them."""
    planned = next((arm.plan.workload.planned for arm in arms if arm.plan is not None), None)
    if planned is None:
        keys = {record.key for run in runs for record in run.records}
        tasks = set(episodes["tasks"])
        states = episodes["init_states"] or range(episodes["episodes"])
        planned = tuple(
            key
            for key in keys
            if key.suite == episodes["suite"] and key.task in tasks and key.init_state in states
        )
    for run in runs:
        lacking = set(planned) - {record.key for record in run.records}
        if lacking:
            raise ConfigError(
                f"Run '{run.folder}' lacks {len(lacking)} of {len(set(planned))} episodes of the "
                "comparison, and what is there first was perhaps sooner done. Fix: finish the run, "
                "or give the --tasks and --init-states that it has."
            )
    return list(planned)


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"Z{index}"
