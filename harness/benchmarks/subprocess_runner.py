"""A process that runs one backend of a comparison and times the calls to it.

Each backend has its own process: imports, caches and memory of one would flatter the other.
"""

import multiprocessing
import os
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from harness.benchmarks.process_memory import resident_mb
from harness.parent import end_with
from harness.processes import worker_variables
from tasks.errors import SimulatorError
from tasks.native_libraries import environment_variables


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A call's result and its cost.

    Attributes:
        value: Its result.
        cpu_s: CPU seconds of the whole process, renderer threads included.
        wall_s: Seconds.
        memory_mb: Resident memory afterwards, 10⁶ bytes.
    """

    value: Any
    cpu_s: float
    wall_s: float
    memory_mb: float


@dataclass(frozen=True, kw_only=True)
class BackendPair:
    """A figure measured on both backends."""

    official: float
    """LIBERO's own environment."""

    ours: float
    """This project's."""

    @property
    def ratio(self) -> float:
        """How many times less ours takes."""
        return self.official / self.ours


class BackendProcess:
    """A backend in a process of its own; use it in a ``with`` block.

    Args:
        backend: Its class, called in that process with the other arguments.
        suite: Name of the suite.
        task: Index of the task.
        images: Whether its observations have images.
    """

    def __init__(self, backend: type[Any], suite: str, task: int, *, images: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, os.getpid(), backend, suite, task, images)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._name = f"{backend.__name__.lower()} {suite} {task}"
        self._theirs = theirs

    def __enter__(self) -> Self:
        with environment_variables(worker_variables(1)):
            self._process.start()
        self._theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(20)
        self._process.kill()

    def call(self, method: str, *arguments: Any) -> Timed:
        """Call a method of the backend and wait for it.

        Raises:
            SimulatorError: It failed; the message says how.
        """
        try:
            self._connection.send((method, arguments))
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(5)
            raise SimulatorError(
                f"The process of '{self._name}' ended with code {self._process.exitcode} "
                f"during {method}. Fix: run libero-bench doctor."
            ) from error
        if isinstance(answer, str):
            raise SimulatorError(f"'{self._name}' failed in {method}: {answer}")
        timed: Timed = answer
        return timed


def _serve(
    connection: Connection,
    parent: int,
    backend: type[Any],
    suite: str,
    task: int,
    images: bool,
) -> None:
    end_with(parent)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # LIBERO prints
    os.dup2(devnull, 2)
    held: Any = None
    try:
        while True:
            method, arguments = connection.recv()
            try:
                if held is None:
                    held = backend(suite, task, images=images)
                connection.send(_timed(held, method, arguments))
            except Exception as error:
                connection.send(f"{type(error).__name__}: {error}"[:500] or traceback.format_exc())
    except (EOFError, OSError):
        os._exit(0)  # not through the interpreter's exit: freeing a GL context can fail there


def _timed(held: Any, method: str, arguments: tuple[Any, ...]) -> Timed:
    cpu, wall = time.process_time(), time.perf_counter()
    value = getattr(held, method)(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Timed(value=value, cpu_s=cpu, wall_s=wall, memory_mb=resident_mb())
