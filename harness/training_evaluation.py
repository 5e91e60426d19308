"""Evaluations of a policy in training, in simulation and from starts of their own.

A checkpoint that is chosen by its success on the initial states of later reports owes part of it to
luck. So these episodes start where LIBERO samples a start, with seeds that neither demonstrations
nor evaluations use. All evaluations of a run have the same starts and the same noise. The protocol
names the starts, which keeps these results apart from others.
"""

import gc
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from harness.evaluation.config import EvaluationConfig
from harness.evaluation.environments import SampledStartSpec
from harness.evaluation.plan import EvaluationPlan, plan_evaluation
from harness.evaluation.run import execute
from harness.evaluation.scheduler import EvaluationStatus
from policies.rdt.checkpoint.contract import Contract
from policies.registry import AnyPolicy, PolicyConfig
from results.folder import load_run
from results.records import EpisodeRecord, most_frequent_error
from results.statistics.intervals import wilson_interval
from tasks.demos.file import open_demos
from tasks.demos.folders import demo_task, find_all_demo_files
from tasks.errors import ConfigError, ResultsError, SimulatorError
from tasks.protocols import Protocol, get_protocol
from tasks.rendering import probe
from training.config import TrainingConfig
from training.monitoring.evaluation import (
    Candidate,
    EvaluationOutcome,
    EvaluationResult,
    SuccessRate,
)

FIRST_SEED = 90_000
"""Of sampled starts: beyond the seeds of evaluations, before the first of demonstrations (see
``harness.demonstrations.attempts.attempt_seed``)."""

Show = Callable[[int, EvaluationStatus], None]


class SimulationEvaluator:
    """Evaluates checkpoints on the tasks of the demonstrations they were trained on.

    Args:
        config: The training run.
        show: Called with the update and the status of its evaluation.
        say: Prints a line.
    """

    def __init__(self, config: TrainingConfig, show: Show, say: Callable[[str], None]) -> None:
        self._config, self._show, self._say = config, show, say
        self._tasks: dict[str, tuple[int, ...]] = {}
        self._protocol: Protocol | None = None

    def check(self, contract: Contract) -> None:
        """Find the tasks and refuse what could never be evaluated; see ``Evaluator``.

        A renderer that does not work is a warning, as training needs none.
        """
        self._tasks = demonstrated_tasks(self._config)
        protocol = get_protocol(
            resolution=contract.render_size or None, instructions=self._config.instructions
        )
        contract.check({"orientation": protocol.orientation})
        self._protocol = protocol
        steps = self._config.eval_exec_horizon
        if steps is not None and steps > contract.horizon:
            raise ConfigError(
                f"--eval-exec-horizon {steps}: a plan of this policy has {contract.horizon} steps. "
                f"Allowed: 1 to {contract.horizon}."
            )
        if (error := probe().error) is not None:
            self._say(f"WARNING: no checkpoint can be judged; training goes on. {error}")

    def evaluate(self, candidate: Candidate) -> EvaluationResult:
        """Evaluate a checkpoint; see ``Evaluator``.

        Raises:
            HarnessError: It cannot be evaluated, or every episode broke.
            ResultsError: The disk takes no more.
        """
        try:
            folders, conditions = self._evaluate(candidate)
        finally:
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # the training wants it
        return summarise(folders, conditions)

    def report(self, outcome: EvaluationOutcome) -> None:
        """Print the outcome of an evaluation."""
        if outcome.result is None:
            self._say(f"NOT JUDGED: {outcome}. Training goes on.")
        else:
            self._say(f"Judged {outcome}")

    def _evaluate(self, candidate: Candidate) -> tuple[list[Path], str]:
        """Evaluate on each suite; return the run folders and the conditions."""
        policy = self._recipe(candidate).build()
        plans = [self._plan(suite, candidate, policy) for suite in self._tasks]
        folders = [
            execute(plan, progress=lambda status: self._show(candidate.update, status))
            for plan in plans
        ]
        return folders, conditions_of(plans)

    def _recipe(self, candidate: Candidate) -> PolicyConfig:
        sources = ("siglip", "t5", "language_cache")
        options = {name: value for name in sources if (value := getattr(self._config, name))}
        return PolicyConfig(
            name="rdt",
            checkpoint=str(candidate.checkpoint),
            device=candidate.device,
            options=options,
        )

    def _plan(self, suite: str, candidate: Candidate, policy: AnyPolicy) -> EvaluationPlan:
        assert self._protocol is not None, "check() comes first"
        several = len(self._tasks) > 1
        config = EvaluationConfig(
            policy=self._recipe(candidate),
            suite=suite,
            out=candidate.folder / suite if several else candidate.folder,
            tasks=self._tasks[suite],
            episodes=self._config.eval_episodes,
            exec_horizon=self._config.eval_exec_horizon,
            resolution=self._protocol.resolution,
            instructions=self._protocol.instructions,
            workers=self._config.eval_workers,
            threads=self._config.threads or 1,
            label=f"{self._config.out.resolve().name}, update {candidate.update}",
        )
        environments = SampledStartSpec(suite=suite, protocol=self._protocol, first_seed=FIRST_SEED)
        try:
            return plan_evaluation(config, policy=policy, environments=environments)
        except ResultsError as error:
            # It was begun before a roll-back, or under other settings.
            self._say(f"The evaluation in '{config.out}' starts anew: {error}")
            shutil.rmtree(config.out)
            return plan_evaluation(config, policy=policy, environments=environments)


def demonstrated_tasks(config: TrainingConfig) -> dict[str, tuple[int, ...]]:
    """Return the tasks of a run's demonstrations: the indices of each suite, in order.

    Raises:
        ConfigError: A file cannot be read, or demonstrates no task that is installed.
        PrerequisiteError: LIBERO is not installed.
    """
    indices: dict[str, set[int]] = {}
    for path in find_all_demo_files(config.demos):
        with open_demos(path) as file:
            task = demo_task(file)
        indices.setdefault(task.suite, set()).add(task.index)
    return {suite: tuple(sorted(indices[suite])) for suite in sorted(indices)}


def conditions_of(plans: list[EvaluationPlan]) -> str:
    """Return 12 hexadecimal digits that identify what evaluations have in common but the policy."""
    rules = [
        {
            "protocol": plan.info.protocol["hash"],
            "tasks": plan.info.tasks,
            "episodes": plan.info.episodes_per_task,
            "seed": plan.config.seed,
            "exec_horizon": plan.config.exec_horizon,
            "starts": plan.info.provenance["init_states"],
            "mujoco": plan.info.provenance["packages"].get("mujoco"),
        }
        for plan in plans
    ]
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:12]


def summarise(folders: list[Path], conditions: str) -> EvaluationResult:
    """Summarise finished evaluations.

    Args:
        folders: Their run folders.
        conditions: See ``EvaluationResult``.

    Raises:
        SimulatorError: Every episode broke.
    """
    records = [record for folder in folders for record in load_run(folder)[1]]
    by_task: dict[str, list[EpisodeRecord]] = {}
    for record in records:
        by_task.setdefault(f"{record.suite} {record.task}", []).append(record)
    counts = Counter(record.outcome for record in records)
    broken = [record.error or "" for record in records if record.outcome == "error"]
    error = most_frequent_error(broken)[0] if broken else ""
    if counts["error"] == len(records):
        raise SimulatorError(
            f"All {len(records)} episodes broke; most often: {error}. "
            f"Fix: 'libero-bench doctor' examines the machine; workers' logs are in "
            f"'{folders[0]}'."
        )
    return EvaluationResult(
        overall=_rate(records),
        per_task={name: _rate(by_task[name]) for name in sorted(by_task, key=_in_order)},
        errors=counts["error"],
        error=error,
        conditions=conditions,
    )


def _in_order(name: str) -> tuple[str, int]:
    suite, _, index = name.rpartition(" ")
    return suite, int(index)


def _rate(records: list[EpisodeRecord]) -> SuccessRate:
    counts: Mapping[str, int] = Counter(record.outcome for record in records)
    k, n = counts["success"], counts["success"] + counts["failure"]
    low, high = wilson_interval(k, n)
    return SuccessRate(k=k, n=n, low=low, high=high)
