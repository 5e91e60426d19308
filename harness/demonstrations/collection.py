"""Collecting demonstrations: the expert acts without cameras, successes are then rendered.

An attempt is a seed: it fixes the start, the fixtures and the expert's noise. Attempts are taken in
order and the first successes kept, so a collection does not depend on workers, and each finished
attempt is a file of its own, so it survives a kill. A task that cannot be collected does not keep
the others from being.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import field
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from harness.demonstrations.attempts import (
    Attempt,
    asks_for_more,
    attempt_file,
    attempt_seed,
    take_apart,
)
from harness.demonstrations.config import CollectionConfig
from harness.processes import WorkerDiedError, require_rendering, worker_pool
from policies.interface import PlanningError
from results.locking import sole_writer
from tasks.demos.reader import read_provenance
from tasks.errors import ConfigError, HarnessError, SimulatorError, differing_settings
from tasks.suites import Task, find_task
from training.demos.writer import merge_demos

_MAX_YIELD_LOSS = 4
_RESTARTS = 3


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What became of one task.

    Attributes:
        suite: The suite's name.
        task: Index in the suite.
        name: The task's name.
        path: The demo file; where there was a problem it is not there, or as it was before.
        kept: Demonstrations in it.
        tried: Attempts it took.
        rejected: How many attempts were not kept, by reason.
        before: Whether the file was there before.
        problem: Why there is no file; empty otherwise.
        attempts: The attempts of this time, in order, up to the last one kept.
    """

    suite: str
    task: int
    name: str
    path: Path
    kept: int = 0
    tried: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    before: bool = False
    problem: str = ""
    attempts: tuple[Attempt, ...] = field(default_factory=tuple)


Progress = Callable[[Task, Attempt], None]


def collect(
    configs: CollectionConfig | Sequence[CollectionConfig], progress: Progress | None = None
) -> list[Collected]:
    """Collect demonstrations of every task; finished ones are not collected again.

    Where fewer are there than asked for, the others are added: the file then holds what it would
    if all had been asked for at once.

    Args:
        configs: What to collect, one for each suite, into one folder; the first one's workers do
            it.
        progress: Called after each attempt, in order within a task.

    Returns:
        What became of each task. Some may have a problem, such as a goal beyond the expert.

    Raises:
        ConfigError: Unknown suite or task, or the folder holds demos made otherwise.
        ResultsError: Another process collects into the folder.
        PrerequisiteError: Rendering does not work.
        WorkerDiedError: Workers died again and again.
    """
    every = [configs] if isinstance(configs, CollectionConfig) else list(configs)
    found: dict[tuple[str, int], Collected] = {}
    wanted: list[tuple[CollectionConfig, Task]] = []
    for config in every:
        for index in config.tasks or ():
            task = find_task(config.suite, index)
            there = finished_before(config, task)
            if there is not None:
                found[task.suite, index] = there
            else:
                wanted.append((config, task))
    workers = min(every[0].workers, sum(config.demos for config, _ in wanted))
    if wanted:
        require_rendering()
        with sole_writer(every[0].out / ".parts", every[0].out):
            _collect(wanted, found, workers, _telling_once(progress))
    return [found[config.suite, index] for config in every for index in config.tasks or ()]


def _collect(
    wanted: Sequence[tuple[CollectionConfig, Task]],
    found: dict[tuple[str, int], Collected],
    workers: int,
    progress: Progress,
) -> None:
    """Collect what is wanted; where a worker dies, new ones go on with what is not finished."""
    for again in reversed(range(_RESTARTS + 1)):
        left = [(c, task) for c, task in wanted if (task.suite, task.index) not in found]
        try:
            for line in _run([TaskAttempts(*each) for each in left], workers, progress):
                found[line.task.suite, line.task.index] = line.close()
            return
        except WorkerDiedError:
            if not again:
                raise


def _telling_once(progress: Progress | None) -> Progress:
    """Leave out attempts that were told of before: new workers give finished ones once more."""
    told: set[tuple[str, int, int]] = set()

    def tell(task: Task, attempt: Attempt) -> None:
        key = task.suite, task.index, attempt.index
        if progress is not None and key not in told:
            told.add(key)
            progress(task, attempt)

    return tell


class TaskAttempts:
    """The attempts at one task: which to start, which are finished, in which order they count."""

    def __init__(self, config: CollectionConfig, task: Task) -> None:
        self.config, self.task = config, task
        self.path = config.out / task.demo_file
        self.parts = _parts_folder(config, task)
        self.attempts: list[Attempt] = []
        self.problem = ""
        self._finished: dict[int, Attempt] = {}
        self._started = self._running = 0
        self._limit = config.demos + _MAX_YIELD_LOSS * config.demos + 8

    @property
    def kept(self) -> int:
        """Attempts that are kept."""
        return sum(attempt.kept for attempt in self.attempts)

    @property
    def done(self) -> bool:
        """Whether no attempt is needed any more."""
        return bool(self.problem) or self.kept >= self.config.demos

    def start(self) -> int | None:
        """Return the next attempt, if one more can be needed beside those under way."""
        hoped = self.kept + self._running + sum(a.kept for a in self._finished.values())
        if self.done or hoped >= self.config.demos or self._started >= self._limit:
            return None
        self._started, self._running = self._started + 1, self._running + 1
        return self._started - 1

    def finish(self, future: Future[Attempt]) -> Iterator[Attempt]:
        """Take what came of an attempt; yield those that count now, in order."""
        self._running -= 1
        try:
            attempt = future.result()
        except (PlanningError, SimulatorError) as error:
            self.problem = str(error)
            return
        except (HarnessError, OSError, BrokenProcessPool):
            raise  # every task would meet it
        except Exception as error:
            self.problem = " ".join(f"{type(error).__name__}: {error}".split())
            return
        self._finished[attempt.index] = attempt
        while len(self.attempts) in self._finished and not self.done:
            self.attempts.append(self._finished.pop(len(self.attempts)))
            yield self.attempts[-1]
        if len(self.attempts) >= self._limit and not self.done:
            config = self.config
            self.problem = (
                f"The expert kept {self.kept} of {len(self.attempts)} attempts at "
                f"{self.task.name}, too few; most often: {self._rejected().most_common(1)[0][0]}. "
                f"Fix: lower --noise (now {config.noise}) or --speed (now {config.speed})."
            )

    def close(self) -> Collected:
        """Join the demonstrations in one file and forget the parts."""
        config, task, path = self.config, self.task, self.path
        rejected = dict(sorted(self._rejected().items()))
        if not self.problem:
            kept = [a.index for a in self.attempts if a.kept]
            provenance: dict[str, Any] = config.recipe() | {
                "task": task.name,
                "attempts": len(self.attempts),
                "rejected": rejected,
                "scene_seeds": [attempt_seed(config, index) for index in kept],
            }
            if config.start_states == "evaluation":
                states = len(task.init_states())
                provenance["init_states"] = [index % states for index in kept]
            files = [attempt_file(self.parts, index) for index in kept]
            merge_demos(path, files, task, config.rules(), provenance)
            shutil.rmtree(self.parts)
        return Collected(
            suite=task.suite,
            task=task.index,
            name=task.name,
            path=path,
            kept=self.kept,
            tried=len(self.attempts),
            rejected=rejected,
            problem=self.problem,
            attempts=tuple(self.attempts),
        )

    def _rejected(self) -> Counter[str]:
        return Counter(attempt.reason for attempt in self.attempts if not attempt.kept)


def _run(lines: Sequence[TaskAttempts], workers: int, progress: Progress) -> Iterator[TaskAttempts]:
    """Work through the tasks in order, all workers busy; yield each when it is done."""
    for line in lines:
        line.parts.mkdir(parents=True, exist_ok=True)
        if line.path.exists():
            take_apart(line.config, line.path, line.parts)
    pending: dict[Future[Attempt], TaskAttempts] = {}
    waiting = list(lines)
    with worker_pool(workers) as pool:
        while waiting:
            for line in waiting:
                while len(pending) < workers and (index := line.start()) is not None:
                    work = pool.submit(attempt_demo, line.config, line.task, line.parts, index)
                    pending[work] = line
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                line = pending.pop(future)
                for attempt in line.finish(future):
                    progress(line.task, attempt)
                if line.done and line in waiting:
                    waiting.remove(line)
                    yield line


def attempt_demo(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Run one attempt in a worker, unless its file is there already.

    The worker alone imports the simulator: this process may train next, and what renders is kept
    apart from what computes.
    """
    from harness.demonstrations import episode as demonstration

    return demonstration.attempt_demo(config, task, parts, index)


def _parts_folder(config: CollectionConfig, task: Task) -> Path:
    recipe = config.recipe() | {"demos": 0}
    del recipe["instructions"]  # an attempt has no words; they are noted when a file is joined
    short = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    return config.out / ".parts" / f"{task.suite}_{task.index:02d}_{short}"


def finished_before(config: CollectionConfig, task: Task) -> Collected | None:
    """Return a task whose file has all that is asked for.

    A file of which more is asked, and nothing else, is added to; one that was made with other
    settings is refused.
    """
    path = config.out / task.demo_file
    if not path.exists():
        return None
    made = {"instructions": "bddl"} | read_provenance(path)  # as older files have them
    differing = differing_settings(made, config.recipe())
    if asks_for_more(config, made):
        return None
    if differing:
        raise ConfigError(
            f"'{path}' holds demos made otherwise ({differing}). "
            "Allowed: the same settings with as many --demos or more. "
            "Fix: give another --out, or remove the file."
        )
    return Collected(
        suite=task.suite,
        task=task.index,
        name=task.name,
        path=path,
        kept=config.demos,
        tried=int(made.get("attempts", config.demos)),
        rejected=made.get("rejected", {}),
        before=True,
    )
