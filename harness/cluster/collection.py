"""Attempts at demonstrations on the nodes of a cluster; the driver writes their files."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from harness.cluster.connection import open_cluster
from harness.cluster.nodes import (
    WORKER_BYTES,
    NodeFacts,
    check_node,
    node_facts,
    simulation_variables,
    use_local_cache,
)
from harness.demonstrations.attempts import Attempt, attempt_file, attempt_note, write_attempt
from harness.demonstrations.collection import attempt_demo
from harness.demonstrations.config import CollectionConfig
from harness.engines import EngineOptions
from harness.processes import WorkerDiedError
from tasks.files import atomic_file
from tasks.suites import Task

_RETRIES = 3
"""Nodes that may die under one attempt."""


class RayAttempts:
    """Makes attempts on any node that has room.

    Args:
        local_cache: Keep compiled models on each node's disk.
    """

    def __init__(self, *, local_cache: bool) -> None:
        self._here, self._local_cache = node_facts(), local_cache
        self._attempt = ray.remote(attempt_on_node).options(
            num_cpus=1,
            memory=WORKER_BYTES,
            max_retries=_RETRIES,
            runtime_env={"env_vars": simulation_variables()},
        )

    def submit(
        self, config: CollectionConfig, task: Task, parts: Path, index: int
    ) -> Future[Attempt]:
        """Make an attempt, unless its files are there already.

        Args:
            config: The collection.
            task: The task.
            parts: The folder of attempts, on this machine.
            index: Number of the attempt.
        """
        made: Future[Attempt] = Future()
        if attempt_note(parts, index).exists():
            made.set_result(attempt_demo(config, task, parts, index))
            return made
        reference = self._attempt.remote(config, task, index, self._here, self._local_cache)

        def finish(answer: Future[Any]) -> None:
            try:
                attempt, content = answer.result()
                if content is not None:
                    with atomic_file(attempt_file(parts, index)) as draft:
                        draft.write_bytes(content)
                write_attempt(parts, attempt)
                made.set_result(attempt)
            except RayTaskError as error:
                made.set_exception(error.cause if error.cause is not None else error)
            except RayError as error:
                why = " ".join(str(error).split())[:200]
                made.set_exception(
                    WorkerDiedError(
                        f"Nodes died under an attempt again and again ({why}). Finished work is "
                        "kept. Fix: run it again."
                    )
                )
            except BaseException as error:
                made.set_exception(error)

        reference.future().add_done_callback(finish)
        return made


def attempt_on_node(
    config: CollectionConfig, task: Task, index: int, driver: NodeFacts, local_cache: bool
) -> tuple[Attempt, bytes | None]:
    """Make an attempt on the node of this process.

    Returns:
        The attempt and, if it is kept, its file.

    Raises:
        PrerequisiteError: The node has other versions than the driver's.
    """
    check_node(node_facts(), driver)
    if local_cache:
        use_local_cache()
    with tempfile.TemporaryDirectory(prefix="libero-bench-attempt-") as folder:
        parts = Path(folder)
        attempt = attempt_demo(config, task, parts, index)
        file = attempt_file(parts, index)
        return attempt, file.read_bytes() if file.exists() else None


@contextmanager
def attempts_on_cluster(options: EngineOptions, workers: int) -> Iterator[RayAttempts]:
    """Join the cluster that options name, or start one; see ``harness.demonstrations.collection``.

    Args:
        options: Which cluster.
        workers: Attempts at a time.
    """
    with open_cluster(options, actors=workers):
        yield RayAttempts(local_cache=options.address is not None)
