"""Specifications of environments, which travel between processes and build them there."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from typing import Protocol as Interface

from harness.evaluation.rollout import Environment
from tasks.observation import FloatArray
from tasks.perturbation import NoiseStream
from tasks.pro_suites import pro_perturbation
from tasks.protocols import Protocol, SampledStart
from tasks.suites import Task, find_task, perturbed, suite_tasks, use_plus_assets

if TYPE_CHECKING:
    from tasks.simulation.simulator import Slice  # needs OpenGL


class EnvironmentSpec(Interface):
    """Builds the environments of one suite in any process. Picklable."""

    @property
    def suite(self) -> str:
        """Name of the suite."""

    @property
    def starts(self) -> str | None:
        """Name of the starts in a few words; None for the task's initial states."""

    def task_names(self) -> tuple[str, ...]:
        """Return the names of all its tasks, in order."""

    def init_states(self, task: int) -> int:
        """Return how many initial states a task has."""

    def fingerprints(self, tasks: Sequence[int]) -> dict[str, str]:
        """Return the SHA-256 of the initial states of each task, by the task's index as text."""

    def scene(self, task: int) -> int:
        """Return the number of a task's environment, which tasks in other words share."""

    def facts(self, task: int) -> dict[str, Any]:
        """Return fields of ``EpisodeRecord`` that describe a task.

        ``instruction`` is among them if the task is told in other words than its environment has.
        """

    def build(self, task: int, *, images: bool) -> Environment:
        """Build the environment of one task.

        Args:
            task: Index of the task.
            images: False if no image will be asked for.
        """


@dataclass(frozen=True, kw_only=True)
class LiberoSpec:
    """Builds LIBERO environments.

    Attributes:
        suite: Name of the suite.
        protocol: The rules.
        hold_steps: Control steps for which the arm is held still after success.
        perturb: What is changed of every task, as text; empty for nothing.
        noise_stream: Where the noise of pictures is drawn from, if other than usual.
        plus_assets: Folder of LIBERO-Plus's assets; None for what the environment says.
    """

    suite: str
    protocol: Protocol
    hold_steps: int = 0
    perturb: str = ""
    noise_stream: NoiseStream | None = None
    plus_assets: Path | None = None

    @property
    def starts(self) -> str | None:
        """None: LIBERO's initial states."""
        return None

    def task_names(self) -> tuple[str, ...]:
        """Return the names of the suite's tasks.

        Raises:
            ConfigError: There is no such suite.
            PrerequisiteError: LIBERO is not installed.
        """
        return tuple(task.name for task in suite_tasks(self.suite))

    def tasks(self, indices: Sequence[int]) -> tuple[Task, ...]:
        """Return some of the suite's tasks."""
        found = (find_task(self.suite, index) for index in indices)
        return tuple(perturbed(task, self.perturb, self.noise_stream) for task in found)

    def sentences(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Return what the policy is told in some of the suite's tasks."""
        return tuple(self.protocol.instruction_of(task) for task in self.tasks(indices))

    def init_states(self, task: int) -> int:
        """Return how many initial states LIBERO has for a task."""
        return len(find_task(self.suite, task).init_states())

    def fingerprints(self, tasks: Sequence[int]) -> dict[str, str]:
        """Return the SHA-256 of the initial states of each task, by the task's index as text."""
        states = {task: find_task(self.suite, task).init_states() for task in tasks}
        return {str(t): hashlib.sha256(s.tobytes()).hexdigest() for t, s in states.items()}

    def scene(self, task: int) -> int:
        """Return the task's own number: each task has an environment of its own."""
        return task

    def facts(self, task: int) -> dict[str, Any]:
        """Return which task a perturbed task derives from, and how it is perturbed."""
        (changed,) = self.tasks((task,))
        if changed.perturbation is not None:
            return {
                "base_task": changed.base_task,
                "dimension": changed.dimension,
                "perturbation": changed.perturbation.text,
                "perturbation_hash": changed.perturbation.hash,
            }
        perturbation = pro_perturbation(self.suite)
        if perturbation is None:
            return {}
        return {
            "base_task": changed.base_task,
            "dimension": "layout",
            "perturbation": perturbation,
        }

    def build(self, task: int, *, images: bool) -> Environment:
        """Build the environment of one task; the simulation itself is built at its first reset."""
        from tasks.environment import LiberoEnv

        use_plus_assets(self.plus_assets)
        return LiberoEnv(
            self.suite,
            task,
            self.protocol,
            perturb=self.perturb,
            noise_stream=self.noise_stream,
            images=images,
            hold_steps=self.hold_steps,
        )


def in_libero(environments: EnvironmentSpec) -> TypeGuard[LiberoSpec]:
    """Whether episodes take place in LIBERO itself, which has tasks and renders."""
    return isinstance(environments, LiberoSpec)


MOST_STARTS = 1000
"""Starts of each task."""


@dataclass(frozen=True, kw_only=True)
class SampledStartSpec(LiberoSpec):
    """Builds LIBERO environments whose initial state ``k`` is sampled with a seed, plus ``k``.

    What a policy achieves there is another protocol's result.

    Attributes:
        first_seed: The seed of start 0.
    """

    first_seed: int

    @property
    def starts(self) -> str:
        """Name of these starts, which becomes a part of the protocol."""
        return f"sampling, seeds from {self.first_seed}"

    def init_states(self, task: int) -> int:
        """Return how many starts there are."""
        return MOST_STARTS

    def fingerprints(self, tasks: Sequence[int]) -> dict[str, str]:
        """Return the SHA-256 of what is sampled from, the BDDL file and the seed, by task."""
        seed = f"{self.first_seed}\n".encode()
        files = {task: find_task(self.suite, task).bddl_file.read_bytes() for task in tasks}
        return {str(t): hashlib.sha256(seed + text).hexdigest() for t, text in files.items()}

    def build(self, task: int, *, images: bool) -> Environment:
        """Build the environment of one task."""
        return _SampledEnvironment(super().build(task, images=images), self.first_seed)


class _SampledEnvironment:
    """An environment with other starts under the numbers of the initial states."""

    def __init__(self, env: Environment, first_seed: int) -> None:
        self._env, self._first_seed = env, first_seed

    @property
    def max_steps(self) -> int:
        return self._env.max_steps

    @property
    def elapsed(self) -> int:
        return self._env.elapsed

    @property
    def simulator(self) -> Any:
        return self._env.simulator  # type: ignore[attr-defined]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode at the start that the option ``init_state`` counts."""
        others = dict(options or {})
        start = SampledStart(seed=self._first_seed + others.pop("init_state"))
        return self._env.reset(seed=seed, options={**others, "start": start})

    def execute(
        self,
        actions: FloatArray,
        *,
        history: int = 1,
        cameras: Sequence[str] | None = None,
        record: Sequence[str] = (),
    ) -> "Slice":
        return self._env.execute(actions, history=history, cameras=cameras, record=record)

    def info(self) -> dict[str, Any]:
        return self._env.info()

    def close(self) -> None:
        self._env.close()
