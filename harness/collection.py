"""Collecting demonstrations: the expert acts without cameras, successes are then rendered.

An attempt is a seed: it fixes the start (sampled as LIBERO samples it, so it is none of the
evaluation's initial states), the fixtures and the expert's noise. Attempts are taken in order and
the first successes kept, so a collection does not depend on workers, and each finished attempt is
a file of its own, so it survives a kill.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import field
from pathlib import Path

from pydantic.dataclasses import dataclass

from harness.collection_config import CollectionConfig
from harness.demonstration import Attempt, attempt_demo, attempt_file, attempt_seed
from harness.processes import end_with, environment, worker_variables
from tasks.errors import ConfigError, SimulatorError, differing_settings
from tasks.protocols import get_protocol
from tasks.suites import Task, find_task

_MAX_YIELD_LOSS = 4


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What became of one task.

    Attributes:
        task: Index in the suite.
        path: The demo file.
        attempts: All attempts in order, up to the last one kept; empty if the file was there.
    """

    task: int
    path: Path
    attempts: tuple[Attempt, ...] = field(default_factory=tuple)


Progress = Callable[[Task, Attempt], None]


def collect(config: CollectionConfig, progress: Progress | None = None) -> list[Collected]:
    """Collect demonstrations of every task; finished ones are not collected again.

    Args:
        config: What to collect.
        progress: Called after each attempt, in order.

    Raises:
        ConfigError: Unknown suite or task, or the folder holds demos made otherwise.
        SimulatorError: The expert fails too often.
        UnsupportedGoalError: The expert has no skill for a task's goal.
    """
    tasks = [find_task(config.suite, index) for index in config.tasks]
    for task in tasks:
        _check_existing(config, task)
    return [_collect_task(config, task, progress) for task in tasks]


def _collect_task(config: CollectionConfig, task: Task, progress: Progress | None) -> Collected:
    from training.demo_writer import merge_demos

    path = config.out / task.demo_file
    if path.exists():
        return Collected(task=task.index, path=path)
    parts = _parts_folder(config, task)
    parts.mkdir(parents=True, exist_ok=True)
    attempts: list[Attempt] = []
    for attempt in _attempts(config, task, parts):
        attempts.append(attempt)
        if progress is not None:
            progress(task, attempt)
    kept = [attempt_file(parts, a.index) for a in attempts if a.kept]
    protocol = get_protocol(config.protocol, resolution=config.resolution)
    provenance = config.recipe() | {
        "task": task.name,
        "attempts": len(attempts),
        "scene_seeds": [attempt_seed(config, a.index) for a in attempts if a.kept],
    }
    merge_demos(path, kept, task, protocol, provenance)
    shutil.rmtree(parts)
    return Collected(task=task.index, path=path, attempts=tuple(attempts))


def _attempts(config: CollectionConfig, task: Task, parts: Path) -> Iterator[Attempt]:
    """Yield attempts in order until enough were kept, running as many ahead as can be needed."""
    limit = config.demos + _MAX_YIELD_LOSS * config.demos + 8
    finished: dict[int, Attempt] = {}
    pending: dict[Future[Attempt], int] = {}
    kept = following = started = 0
    workers = min(config.workers, config.demos)
    context = multiprocessing.get_context("spawn")
    with (
        environment(worker_variables(workers)),
        ProcessPoolExecutor(
            workers, mp_context=context, initializer=_become_worker, initargs=(os.getpid(),)
        ) as pool,
    ):
        try:
            while kept < config.demos:
                while following in finished and kept < config.demos:
                    attempt = finished.pop(following)
                    kept, following = kept + attempt.kept, following + 1
                    yield attempt
                if following >= limit:
                    raise SimulatorError(
                        f"The expert kept {kept} of {following} attempts at {task.name}, too few. "
                        f"Lower --noise (now {config.noise}) or --speed (now {config.speed})."
                    )
                outstanding = len(pending) + sum(a.kept for a in finished.values())
                while outstanding < min(workers, config.demos - kept) and started < limit:
                    pending[pool.submit(attempt_demo, config, task, parts, started)] = started
                    started, outstanding = started + 1, outstanding + 1
                if pending and following not in finished:
                    for future in wait(pending, return_when=FIRST_COMPLETED).done:
                        finished[pending.pop(future)] = future.result()
        except BrokenProcessPool as error:
            raise SimulatorError(
                "A worker process died, perhaps for lack of memory (each needs about 1.5 GB). "
                "Finished demos are kept. Fix: run it again, with fewer --workers."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.kill()  # an attempt that is no longer wanted may take half a minute


def _become_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    end_with(parent)


def _parts_folder(config: CollectionConfig, task: Task) -> Path:
    digest = json.dumps(config.recipe() | {"demos": 0}, sort_keys=True)
    short = hashlib.sha256(digest.encode()).hexdigest()[:8]
    return config.out / ".parts" / f"{task.suite}_{task.index:02d}_{short}"


def _check_existing(config: CollectionConfig, task: Task) -> None:
    """Refuse a demo file that was made with other settings."""
    from training.demo_reader import read_provenance

    path = config.out / task.demo_file
    if not path.exists():
        return
    differing = differing_settings(read_provenance(path), config.recipe())
    if differing:
        raise ConfigError(
            f"'{path}' holds demos made otherwise ({differing}). "
            "Fix: give another --out, or remove the file."
        )
