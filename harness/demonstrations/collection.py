"""Collecting demonstrations: the expert acts without cameras, successes are then rendered.

An attempt is a seed: it fixes the start, the fixtures and the expert's noise. Attempts count in
order and the first successes are kept, so a collection does not depend on the workers. Each
finished attempt is a file of its own and survives a kill. A task that cannot be collected does not
stop the others.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from harness.demonstrations.attempts import (
    Attempt,
    attempt_file,
    attempt_seed,
    can_be_extended,
    restore_attempts,
)
from harness.demonstrations.config import CollectionConfig
from harness.engines import EngineOptions, load_engine
from harness.processes import WorkerDiedError, require_rendering, worker_pool
from policies.interface import PlanningError
from results.locking import sole_writer
from tasks.demos.reader import read_provenance
from tasks.errors import ConfigError, HarnessError, SimulatorError, differing_settings
from tasks.suites import Task, check_plus_files, check_states, find_task, perturbed
from training.demos.writer import merge_demos

_MAX_YIELD_LOSS = 4
_RESTARTS = 3


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The outcome of collecting one task.

    Attributes:
        suite: The suite's name.
        task: Index in the suite.
        name: The task's name.
        path: The demo file; after a problem it is missing, or as it was before.
        kept: Demonstrations in it.
        tried: Attempts made for it.
        rejected: How many attempts were not kept, by reason.
        before: Whether the file was complete before.
        problem: Why there is no file; empty otherwise.
        attempts: The attempts in order, up to the last one kept.
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


AttemptCallback = Callable[[Task, Attempt], None]


def collect(
    configs: CollectionConfig | Sequence[CollectionConfig], progress: AttemptCallback | None = None
) -> list[Collected]:
    """Collect demonstrations of every task; finished tasks are not collected again.

    A file with fewer demonstrations than asked for is extended. Its content is the same as if all
    had been asked for at once.

    Args:
        configs: One for each suite, into one folder; the first one gives the number of workers.
        progress: Called after each attempt, in order within a task.

    Returns:
        The outcome of each task. Some may have a problem, such as a goal beyond the expert.

    Raises:
        ConfigError: Unknown suite or task, or the folder holds demos made otherwise.
        ResultsError: Another process collects into the folder.
        PrerequisiteError: Rendering does not work.
        WorkerDiedError: Workers died again and again.
    """
    suites = [configs] if isinstance(configs, CollectionConfig) else list(configs)
    collected: dict[tuple[str, int], Collected] = {}
    missing: list[tuple[CollectionConfig, Task]] = []
    for config in suites:
        check_plus_files(config.suite, config.tasks or ())
        for index in config.tasks or ():
            task = perturbed(find_task(config.suite, index), config.perturb or "")
            finished = finished_before(config, task)
            if finished is not None:
                collected[task.suite, index] = finished
            else:
                missing.append((config, task))
    for config in suites:
        if config.start_states == "evaluation":
            check_states(task for other, task in missing if other is config)
    workers = min(suites[0].workers, sum(config.demos for config, _ in missing))
    if missing:
        if suites[0].engine == "local":
            require_rendering()
        with sole_writer(suites[0].out / ".parts", suites[0].out):
            _collect(missing, collected, workers, _report_once(progress))
    return [collected[config.suite, index] for config in suites for index in config.tasks or ()]


def _collect(
    missing: Sequence[tuple[CollectionConfig, Task]],
    collected: dict[tuple[str, int], Collected],
    workers: int,
    progress: AttemptCallback,
) -> None:
    """Collect the missing tasks; after a worker has died, new workers go on with the rest."""
    for restarts_left in reversed(range(_RESTARTS + 1)):
        jobs = [
            TaskAttempts(config, task)
            for config, task in missing
            if (task.suite, task.index) not in collected
        ]
        try:
            for job in _run(jobs, workers, progress):
                collected[job.task.suite, job.task.index] = job.close()
            return
        except WorkerDiedError:
            if not restarts_left:
                raise


def _report_once(progress: AttemptCallback | None) -> AttemptCallback:
    """Report each attempt once: new workers return the finished ones again."""
    reported: set[tuple[str, int, int]] = set()

    def report(task: Task, attempt: Attempt) -> None:
        key = task.suite, task.index, attempt.index
        if progress is not None and key not in reported:
            reported.add(key)
            progress(task, attempt)

    return report


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
        """Return the next attempt; None if the running ones may suffice."""
        expected = self.kept + self._running + sum(a.kept for a in self._finished.values())
        if self.done or expected >= self.config.demos or self._started >= self._limit:
            return None
        self._started, self._running = self._started + 1, self._running + 1
        return self._started - 1

    def finish(self, future: Future[Attempt]) -> Iterator[Attempt]:
        """Take a finished attempt; yield the attempts that count now, in order."""
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
            if task.perturbation is not None:
                provenance |= {
                    "perturbation": task.perturbation.text,
                    "perturbation_hash": task.perturbation.hash,
                    "dimension": task.perturbation.dimension,
                    "base_task": task.base_task,
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


Submit = Callable[[CollectionConfig, Task, Path, int], Future[Attempt]]
"""Has an attempt made: the collection, the task, the folder of attempts, the attempt's number."""


@contextmanager
def _open_attempts(options: EngineOptions, workers: int) -> Iterator[Submit]:
    """Start what makes attempts: processes of this machine, or tasks of a cluster."""
    if options.engine == "local":
        with worker_pool(workers) as pool:
            yield lambda *attempt: pool.submit(attempt_demo, *attempt)
    else:
        with load_engine(_ON_CLUSTER)(options, workers) as attempts:
            yield attempts.submit


_ON_CLUSTER = "harness.cluster.collection:attempts_on_cluster"


def _run(
    jobs: Sequence[TaskAttempts], workers: int, progress: AttemptCallback
) -> Iterator[TaskAttempts]:
    """Work through the tasks in order, all workers busy; yield each when it is done."""
    for job in jobs:
        job.parts.mkdir(parents=True, exist_ok=True)
        if job.path.exists():
            restore_attempts(job.config, job.path, job.parts)
    pending: dict[Future[Attempt], TaskAttempts] = {}
    unfinished = list(jobs)
    with _open_attempts(jobs[0].config if jobs else EngineOptions(), workers) as submit:
        while unfinished:
            for job in unfinished:
                while len(pending) < workers and (index := job.start()) is not None:
                    future = submit(job.config, job.task, job.parts, index)
                    pending[future] = job
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                job = pending.pop(future)
                for attempt in job.finish(future):
                    progress(job.task, attempt)
                if job.done and job in unfinished:
                    unfinished.remove(job)
                    yield job


def attempt_demo(config: CollectionConfig, task: Task, parts: Path, index: int) -> Attempt:
    """Make an attempt in a worker, which alone imports the simulator: this process may train."""
    from harness.demonstrations.episode import make_attempt

    return make_attempt(config, task, parts, index)


def _parts_folder(config: CollectionConfig, task: Task) -> Path:
    recipe = config.recipe() | {"demos": 0}
    del recipe["instructions"]  # noted when a file is joined, not in its attempts
    short = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    return config.out / ".parts" / f"{task.suite}_{task.index:02d}_{short}"


def finished_before(config: CollectionConfig, task: Task) -> Collected | None:
    """Return a finished task; None if its file is missing or is to be extended.

    Raises:
        ConfigError: The file was made with other settings.
    """
    path = config.out / task.demo_file
    if not path.exists():
        return None
    provenance = {"instructions": "bddl"} | read_provenance(path)  # older files do not say
    if can_be_extended(provenance, config):
        return None
    differing = differing_settings(provenance, config.conditions())
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
        tried=int(provenance.get("attempts", config.demos)),
        rejected=provenance.get("rejected", {}),
        before=True,
    )
