"""Environments that start where LIBERO samples a start, at none of its initial states."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.evaluation.environments import LiberoRecipe
from harness.evaluation.rollout import Environment
from tasks.observation import FloatArray
from tasks.starts import SampledStart

if TYPE_CHECKING:
    from tasks.simulation.simulator import Slice  # needs OpenGL

MOST_STARTS = 1000
"""Starts of each task."""


@dataclass(frozen=True, kw_only=True)
class SampledRecipe(LiberoRecipe):
    """Builds LIBERO environments whose initial state ``k`` is sampled with a seed, plus ``k``.

    What a policy achieves there is another protocol's result.

    Attributes:
        first_seed: The seed of start 0.
    """

    first_seed: int

    @property
    def starts(self) -> str:
        """Which starts these are: it becomes a part of the protocol."""
        return f"sampling, seeds from {self.first_seed}"

    def init_states(self, task: int) -> int:
        """Return how many starts there are."""
        return MOST_STARTS

    def fingerprints(self, tasks: Sequence[int]) -> dict[str, str]:
        """Return the SHA-256 of what is sampled from, the BDDL file and the seed, by task."""
        from tasks.suites import find_task

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
        given = dict(options or {})
        start = SampledStart(seed=self._first_seed + given.pop("init_state"))
        return self._env.reset(seed=seed, options={**given, "start": start})

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
