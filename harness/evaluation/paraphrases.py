"""Evaluations in other words: each row of a file of sentences is a task of its own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.evaluation.environments import LiberoSpec
from harness.evaluation.rollout import Environment
from tasks.errors import ConfigError
from tasks.paraphrases import Paraphrase, ParaphraseFile
from tasks.suites import Task


@dataclass(frozen=True, kw_only=True)
class ParaphraseSpec(LiberoSpec):
    """Builds LIBERO environments for the rows of a file: task ``k`` is row ``k``.

    Rows of one task share its simulation, as they differ in their words alone.

    Attributes:
        file: The sentences.
    """

    file: ParaphraseFile

    def task_names(self) -> tuple[str, ...]:
        """Return a name for each row."""
        return tuple(row.name for row in self.file.rows)

    def tasks(self, indices: Sequence[int]) -> tuple[Task, ...]:
        """Return the tasks that some rows stand for."""
        return tuple(self.file.rows[index].task for index in indices)

    def sentences(self, indices: Sequence[int]) -> tuple[str, ...]:
        """Return the sentences of some rows."""
        return tuple(self.file.rows[index].instruction for index in indices)

    def rows_of(self, tasks: Sequence[int] | None, per_base: int | None = None) -> tuple[int, ...]:
        """Return the rows that stand for some tasks, task by task.

        Args:
            tasks: Indices of the tasks; None for all.
            per_base: So many rows of each task and class, always the same; None for all.

        Raises:
            ConfigError: No row stands for one of them.
        """
        known = sorted({row.task.index for row in self.file.rows})
        chosen = known if tasks is None else tasks
        if lacking := sorted(set(chosen) - set(known)):
            raise ConfigError(
                f"'{self.file.path}' has no sentence for task {', '.join(map(str, lacking))} of "
                f"{self.file.suite}. Allowed: {', '.join(map(str, known))}."
            )
        rows = [row for task in chosen for row in self.file.rows if row.task.index == task]
        if per_base is not None:
            first = _first_of_each(rows, per_base)
            rows = [row for row in rows if row.row in first]
        return tuple(row.row for row in rows)

    def base_tasks(self, rows: Sequence[int]) -> tuple[int, ...]:
        """Return the tasks that rows stand for, each once."""
        return tuple(dict.fromkeys(self._index(row) for row in rows))

    def init_states(self, task: int) -> int:
        """Return how many initial states a row's task has."""
        return self._plain.init_states(self._index(task))

    def fingerprints(self, tasks: Sequence[int]) -> dict[str, str]:
        """Return the SHA-256 of the initial states, by the index of the task in its own suite."""
        return self._plain.fingerprints(sorted({self._index(task) for task in tasks}))

    def scene(self, task: int) -> int:
        """Return the index of a row's task in its own suite."""
        return self._index(task)

    def facts(self, task: int) -> dict[str, Any]:
        """Return the sentence, what it stands for and how far it is from that."""
        row = self.file.rows[task]
        return {
            "base_task": row.task.name,
            "dimension": row.kind[0] if row.kind else None,
            "perturbation": f"paraphrase:{'/'.join(row.kind)}" if row.kind else "paraphrase",
            "instruction": row.instruction,
            "distance": row.distance,
        }

    def build(self, task: int, *, images: bool) -> Environment:
        """Build the environment of a row's task."""
        return self._plain.build(self._index(task), images=images)

    @property
    def _plain(self) -> LiberoSpec:
        return LiberoSpec(
            suite=self.file.suite,
            protocol=self.protocol,
            hold_steps=self.hold_steps,
            perturb=self.perturb,
            noise_stream=self.noise_stream,
            plus_assets=self.plus_assets,
        )

    def _index(self, row: int) -> int:
        return self.file.rows[row].task.index


def _first_of_each(rows: Sequence[Paraphrase], count: int) -> frozenset[int]:
    """Return the rows of each task and class that come first in an order by hash."""
    groups: dict[tuple[int, str], list[Paraphrase]] = {}
    for row in rows:
        groups.setdefault((row.task.index, row.kind[0] if row.kind else ""), []).append(row)

    def place(row: Paraphrase) -> str:
        return hashlib.sha256(f"{row.name}: {row.instruction}".encode()).hexdigest()

    return frozenset(
        row.row for group in groups.values() for row in sorted(group, key=place)[:count]
    )
