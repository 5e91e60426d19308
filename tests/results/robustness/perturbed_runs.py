"""Runs on perturbed tasks, made of a rule that says which episodes succeed."""

from collections.abc import Callable, Iterable
from typing import Any

from results.records import EpisodeRecord, RunRecords
from results.robustness.dimensions import DIMENSIONS, PLUS_TASKS
from tests.results.conftest import episode, info

Rule = Callable[[int], bool]


def perturbed(
    task: int, dimension: str, perturbation: str, success: bool, **changes: Any
) -> EpisodeRecord:
    """Return an episode of a perturbation of one of ten base tasks."""
    fields = {
        "suite": "libero_goal_plus",
        "task": task,
        "task_name": f"base_{task % 10}_{dimension}_{task}",
        "base_task": f"base_{task % 10}",
        "dimension": dimension,
        "perturbation": perturbation,
    }
    init_state = changes.pop("init_state", 0)
    return episode(init_state, "success" if success else "failure", **{**fields, **changes})


def run_of(records: Iterable[EpisodeRecord], **changes: Any) -> RunRecords:
    """Return a complete run of episodes."""
    records = list(records)
    tasks: dict[str, set[int]] = {}
    for record in records:
        tasks.setdefault(record.suite, set()).add(record.task)
    fields = {
        "name": "rdt",
        "tasks": {suite: tuple(sorted(indices)) for suite, indices in tasks.items()},
        "expected_episodes": len(records),
    }
    return info(**{**fields, **changes}), records


def plus_run(
    suite: str = "libero_goal", rule: Rule = lambda task: True, **changes: Any
) -> RunRecords:
    """Return a run of all tasks of a LIBERO-Plus suite."""
    dimensions = [d for d, n in zip(DIMENSIONS, PLUS_TASKS[suite], strict=True) for _ in range(n)]
    records = [
        perturbed(task, dimension, f"{dimension}:{task}", rule(task), suite=f"{suite}_plus")
        for task, dimension in enumerate(dimensions)
    ]
    return run_of(records, **changes)


def plain_run(rate: float = 1.0, suite: str = "libero_goal", **changes: Any) -> RunRecords:
    """Return a run of the ten base tasks as they are, ten episodes each."""
    records = [
        episode(
            state,
            "success" if state < 10 * rate else "failure",
            suite=suite,
            task=task,
            task_name=f"base_{task}",
        )
        for task in range(10)
        for state in range(10)
    ]
    return run_of(records, **changes)
