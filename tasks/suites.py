"""LIBERO's suites and tasks: which there are, their words, BDDL file and initial states."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from tasks.bddl import bddl_instruction
from tasks.errors import ConfigError, PrerequisiteError, unknown_name
from tasks.libero_package import INSTALL, import_libero, libero_assets, silent
from tasks.observation import FloatArray
from tasks.perturbation import Perturbation, parse_perturbation
from tasks.plus.catalogue import (
    PLUS_SUITES,
    PLUS_VIEWS,
    PlusTask,
    first_of_each,
    forget,
    plus_base,
    plus_states,
    plus_tasks,
    refuse_missing,
    scene_needs,
    with_stream,
)
from tasks.plus.source import forget_sources, use_assets
from tasks.pro_suites import PRO_SUITES, SHIFTED_SUITES

ORIGINAL_SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
"""LIBERO's own suites, 130 tasks in all."""

SUITES = (*ORIGINAL_SUITES, *PRO_SUITES)
"""The suites that LIBERO's distribution carries."""

EVERY_SUITE = (*SUITES, *PLUS_SUITES, *PLUS_VIEWS)
"""The suites that can be evaluated; those of LIBERO-Plus where the user has it."""

Instructions = Literal["name", "bddl", "upstream"]
"""Which sentence a policy is told; see ``Task.instruction_by``."""

_OWN_WORDS = tuple(suite for suite in PRO_SUITES if suite.endswith(("_lan", "_task")))
"""Suites that are about their BDDL files' sentences; their files' names say what was before."""


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
        upstream_instruction: The sentence that the suite's own code hands to policies, where it is
            not that of the file's name: LIBERO-Plus's has the words of its perturbation in it.
        base_name: Name of the task that it perturbs; None where it perturbs none.
        perturbation: What is changed of the scene or of its pictures; None for nothing.
    """

    suite: str
    index: int
    name: str
    name_instruction: str
    bddl_instruction: str
    bddl_file: Path
    upstream_instruction: str | None = None
    base_name: str | None = None
    perturbation: Perturbation | None = None

    @property
    def base_task(self) -> str:
        """Name of the task that it perturbs, or its own."""
        return self.base_name or self.name

    @property
    def dimension(self) -> str | None:
        """What is perturbed, such as ``camera``; None for nothing."""
        return None if self.perturbation is None else self.perturbation.dimension

    @property
    def instruction(self) -> str:
        """The task in words, as an evaluation says it unless told otherwise."""
        return self.instruction_by("name")

    def instruction_by(self, source: Instructions) -> str:
        """Return the task in words.

        Args:
            source: ``name``: the sentence of the file's name, which LIBERO's own training and
                evaluation and other harnesses say, and in LIBERO-PRO's suites of other words or
                other tasks, and where LIBERO-Plus perturbs the words, the BDDL file's, as the name
                there says what was before; ``bddl``: the BDDL file's in every suite, which
                LIBERO-PRO's own runner says; ``upstream``: what the suite's own code hands to
                policies as the task's language, in LIBERO-Plus with the words of the perturbation.
        """
        if source == "upstream":
            return self.upstream_instruction or self.name_instruction
        if source == "bddl" or self.suite in _OWN_WORDS or self.dimension == "language":
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
    libero_assets.cache_clear()
    forget()
    forget_sources()


def base_suite(suite: str) -> str:
    """Return the suite that one of LIBERO-PRO or LIBERO-Plus derives from; others are their own."""
    return PRO_SUITES.get(suite) or plus_base(suite) or suite


def is_plus(suite: str) -> bool:
    """Whether a suite is one of LIBERO-Plus or a view of one."""
    return plus_base(suite) is not None


def use_plus_assets(folder: Path | None) -> None:
    """Take LIBERO-Plus's assets from a folder, in this process and those that it starts.

    Args:
        folder: The folder; None changes nothing.

    Raises:
        ConfigError: It holds nothing of LIBERO-Plus.
    """
    if folder is not None and use_assets(folder):
        clear_caches()


@cache
def suite_tasks(suite: str) -> tuple[Task, ...]:
    """Return all tasks of a suite, in LIBERO's order.

    Raises:
        ConfigError: No suite has that name.
        PrerequisiteError: LIBERO is not installed, or one without that suite.
    """
    if suite not in EVERY_SUITE:
        raise unknown_name("suite", suite, EVERY_SUITE)
    if is_plus(suite):
        return tuple(_plus_task(suite, at, each) for at, each in enumerate(plus_tasks(suite)))
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


def _plus_task(suite: str, index: int, plus: PlusTask) -> Task:
    name, sentence = plus.name, _plus_sentence(plus.bddl_file)
    upstream = name_sentence(name.name)
    if name.dimension == "language" or name.files.startswith("language:"):
        upstream = sentence.lower()
    return Task(
        suite=suite,
        index=index,
        name=name.name,
        name_instruction=name_sentence(name.base),
        bddl_instruction=sentence.lower() if name.dimension == "language" else sentence,
        bddl_file=plus.bddl_file,
        upstream_instruction=upstream,
        base_name=name.base,
        perturbation=plus.perturbation(scene_needs(plus)),
    )


def plus_subset(
    suite: str,
    *,
    bases: Sequence[int] | None = None,
    per_base: int | None = None,
    offline_only: bool = False,
) -> tuple[int, ...]:
    """Return the indices of a part of a LIBERO-Plus suite.

    Args:
        suite: The suite or view.
        bases: Tasks of the plain suite, of which the chosen ones are perturbations; None for all.
        per_base: Tasks of each base task and dimension, the same ones every time; None for all.
        offline_only: Leave out tasks whose assets are not on this machine, before any are chosen.
    """
    tasks = plus_tasks(suite)
    chosen = list(range(len(tasks)))
    if bases is not None:
        plain = {find_task(base_suite(suite), index).name for index in bases}
        chosen = [index for index in chosen if tasks[index].name.base in plain]
    if offline_only:
        chosen = [index for index in chosen if not scene_needs(tasks[index]).missing]
    if per_base is not None:
        of_each = first_of_each([tasks[index] for index in chosen], per_base)
        chosen = [chosen[at] for at in of_each]
    return tuple(chosen)


def check_plus_files(suite: str, tasks: Sequence[int]) -> None:
    """Refuse LIBERO-Plus tasks that cannot be run, before anything is.

    Raises:
        PrerequisiteError: Assets are missing, or files were changed.
    """
    if is_plus(suite):
        listed = plus_tasks(suite)
        refuse_missing([listed[index] for index in tasks])


def perturbed(task: Task, perturb: str, stream: str | None = None) -> Task:
    """Return a task with a perturbation.

    Args:
        task: The task.
        perturb: The perturbation's text, see ``tasks.perturbation``; empty or ``none`` for none.
        stream: Where its noise is drawn from, if other than the perturbation says.

    Raises:
        ConfigError: The text cannot be read, or the task has a perturbation already.
    """
    given = parse_perturbation(perturb) if perturb else None
    if given is not None and task.perturbation is not None:
        raise ConfigError(
            f"{task.suite} is perturbed as it is, and --perturb '{perturb}' was given. Fix: give "
            f"--suite {base_suite(task.suite)}, or leave --perturb out."
        )
    changed = given or task.perturbation
    if changed is not None and stream is not None:
        changed = with_stream(changed, stream)
    return task if changed is None else dataclasses.replace(task, perturbation=changed)


def name_sentence(name: str) -> str:
    """Return the sentence of a file's name: without the scene that some begin with."""
    return re.sub(r"^[A-Z_]+SCENE\d+_", "", name).replace("_", " ")


@cache
def _plus_sentence(bddl_file: Path) -> str:
    return bddl_instruction(bddl_file)


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


def same_words(one: str, other: str) -> bool:
    """Whether two sentences are the same but for capitals, spaces and a full stop."""
    return _plain(one) == _plain(other)


def _plain(words: str) -> str:
    return " ".join(words.lower().strip(" .").split())


@cache
def _benchmark(suite: str):  # type: ignore[no-untyped-def]  # LIBERO ships no types
    """Return LIBERO's list of a suite's tasks; the base suite's where LIBERO lists none."""
    import_libero()
    from libero.libero.benchmark import get_benchmark_dict

    listed = base_suite(suite) if suite in SHIFTED_SUITES else suite
    with silent():
        known = get_benchmark_dict().get(listed)
        benchmark = None if known is None else known()
    if benchmark is None or not benchmark.n_tasks or not _folder("bddl_files", suite).is_dir():
        raise PrerequisiteError(
            f"The installed LIBERO has no suite {suite}: it is not the distribution with "
            f"LIBERO-PRO's suites. Fix: uninstall it, then {INSTALL}"
        )
    return benchmark


def _folder(kind: str, suite: str) -> Path:
    """Return LIBERO's folder of a suite's files, ``bddl_files`` or ``init_states``."""
    from libero.libero import get_libero_path

    with silent():
        return Path(get_libero_path(kind)) / suite


@cache
def _init_states(suite: str, index: int) -> FloatArray:
    if is_plus(suite):
        return plus_states(plus_tasks(suite)[index])
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
        with silent():
            states = benchmark.get_task_init_states(index)
    return np.asarray(states, dtype=np.float64)
