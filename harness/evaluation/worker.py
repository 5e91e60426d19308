"""A worker process: it holds one simulation and runs the episodes it is given.

Non-obvious behaviours:

- What LIBERO and its renderer print goes to the worker's log file, not to the terminal.
- The worker ignores Ctrl-C and SIGHUP, which a terminal sends to the whole group: its parent ends
  it.
- It ends with its parent, however that ends: at the end of the pipe, or by the kernel's signal.
- On ``DUMP_SIGNAL`` it writes its stack to its log, also from within a C library.
"""

import errno
import faulthandler
import gc
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from harness.evaluation.environments import EnvironmentSpec
from harness.evaluation.messages import (
    FATAL,
    EpisodeDone,
    EpisodeFailed,
    Fatal,
    Heartbeat,
    PlanQuery,
    PlanReply,
    Ready,
    RunEpisode,
)
from harness.evaluation.rollout import Environment, Planner, Subscriber, run_episode
from harness.parent import end_with
from policies.executor import PlanExecutor
from policies.interface import PlanRequest, PolicySpec, PrivilegedPolicy, StartingPolicy
from policies.registry import PolicyConfig
from results.records import EpisodeKey, EpisodeRecord
from tasks.errors import (
    HarnessError,
    PrerequisiteError,
    SimulatorError,
    SpecMismatchError,
)
from tasks.observation import FloatArray
from tasks.protocols import Start

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


DUMP_SIGNAL = signal.SIGUSR1

_HEARTBEAT_S = 1.0
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of the disk that every further video would raise as well."""
_ROOM = "make room or make it writable, then run the same command again."


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """Settings of a worker for all episodes of a run.

    A worker that gets others, as a message after the last episode, goes on with those.

    Attributes:
        environments: Builds its environments.
        policy: Builds its policy, if that reads the simulator; None where the parent plans.
        spec: The policy's spec.
        new_executor: Makes the plan executor of an episode.
        images: Whether any episode needs images.
        upright: Whether the environments' images are upright.
        folder: The run folder.
    """

    environments: EnvironmentSpec
    policy: PolicyConfig | None
    spec: PolicySpec
    new_executor: Callable[[], PlanExecutor]
    images: bool
    upright: bool
    folder: Path


class PlanRefusedError(Exception):
    """The policy broke on this episode's request."""


class _RemotePlanner:
    """Asks the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.asked = False

    def start(self, key: EpisodeKey) -> Start | None:
        return None

    def begin(self, env: Any, seed: int) -> None:
        self.asked = False

    def plan(self, request: PlanRequest) -> FloatArray:
        self.asked = True
        self._connection.send(PlanQuery(request=request))
        answer: PlanReply = self._connection.recv()
        if answer.plan is None:
            raise PlanRefusedError(answer.error)
        return answer.plan


class _LocalPlanner:
    """Asks a privileged policy in this process, and sends heartbeats to the parent."""

    def __init__(self, policy: PrivilegedPolicy, connection: Connection) -> None:
        self._policy, self._connection = policy, connection
        self._heartbeat_sent = time.monotonic()
        self.asked = False

    def start(self, key: EpisodeKey) -> Start | None:
        if isinstance(self._policy, StartingPolicy):
            return self._policy.start(key.suite, key.task, key.init_state)
        return None

    def begin(self, env: Any, seed: int) -> None:
        self.asked = False
        self._policy.begin(env.simulator, seed)

    def plan(self, request: PlanRequest) -> FloatArray:
        self.asked = True
        if time.monotonic() - self._heartbeat_sent >= _HEARTBEAT_S:
            self._connection.send(Heartbeat(step=request.step))
            self._heartbeat_sent = time.monotonic()
        return self._policy.plan([request])[0]


class _EnvironmentSlot:
    """The one environment a worker holds; the previous task's goes before the next is built.

    Keeping another would take 0.6 to 0.9 GB. Building one takes 2 to 2.5 s once its compiled model
    is on disk, and the schedule moves a worker on only when its task has nothing left for it.
    """

    def __init__(self, environments: EnvironmentSpec, images: bool) -> None:
        self._environments, self._images = environments, images
        self._scene: int | None = None
        self._env: Environment | None = None

    def environment(self, task: int) -> Environment:
        scene = self._environments.scene(task)
        if self._env is None or scene != self._scene:
            self.clear()
            self._env, self._scene = self._environments.build(task, images=self._images), scene
        return self._env

    def for_run(self, setup: WorkerSetup) -> "_EnvironmentSlot":
        """Return a slot for a run's environments: this one where it would build the same."""
        if (setup.environments, setup.images) == (self._environments, self._images):
            return self
        self.clear()
        return _EnvironmentSlot(setup.environments, setup.images)

    def clear(self) -> None:
        if self._env is not None:
            self._env.close()
        self._env = None
        gc.collect()  # a simulation is full of reference cycles


def run_worker(connection: Connection, setup: WorkerSetup, number: int, parent: int) -> NoReturn:
    """Run episodes until the parent ends it; the entry point of a worker process.

    Args:
        connection: To the parent.
        setup: The settings.
        number: Names the log file.
        parent: Process id of the parent.
    """
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.register(DUMP_SIGNAL, file=2, all_threads=False)
    try:
        _work(connection, setup, number)
    except (EOFError, ConnectionError):
        pass  # the parent is gone
    except HarnessError as error:
        connection.send(_classify(error, asked=False))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    # Not through the interpreter's exit: freeing what is left of a GL context can fail there.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _work(connection: Connection, setup: WorkerSetup, number: int) -> None:
    """Run the episodes of a run, and of those that come after it, until the parent says stop."""
    slot = _EnvironmentSlot(setup.environments, setup.images)
    upcoming: object = setup
    while isinstance(upcoming, WorkerSetup):
        setup = upcoming
        redirect_output(worker_log(setup.folder, number))
        slot = slot.for_run(setup)
        planner = _planner(connection, setup)
        connection.send(Ready())
        while isinstance(upcoming := connection.recv(), RunEpisode):
            connection.send(_attempt(slot, planner, setup, upcoming))
    slot.clear()


def _planner(connection: Connection, setup: WorkerSetup) -> _RemotePlanner | _LocalPlanner:
    if setup.policy is None:
        return _RemotePlanner(connection)
    return _LocalPlanner(setup.policy.build(), connection)  # type: ignore[arg-type]


def _attempt(
    slot: _EnvironmentSlot,
    planner: _RemotePlanner | _LocalPlanner,
    setup: WorkerSetup,
    job: RunEpisode,
) -> EpisodeDone | EpisodeFailed | Fatal:
    planner.asked = False
    try:
        return EpisodeDone(record=_run(slot, planner, setup, job))
    except (EOFError, ConnectionError):
        raise
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        report = _classify(error, asked=planner.asked)
        del error
        slot.clear()  # whatever broke, the next episode gets a new simulation
        return report


def _run(
    slot: _EnvironmentSlot, planner: Planner, setup: WorkerSetup, job: RunEpisode
) -> EpisodeRecord:
    subscribers: list[Subscriber] = []
    facts = setup.environments.facts(job.key.task)
    if job.record:
        from harness.evaluation.video import VideoWriter

        changed = str(facts.get("perturbation") or "")
        writer = VideoWriter(setup.folder, job.key, upright=setup.upright, perturbation=changed)
        subscribers.append(writer)
    return run_episode(
        slot.environment(job.key.task),
        planner,
        setup.spec,
        setup.new_executor(),
        key=job.key,
        task_name=job.task_name,
        facts=facts,
        attempt=job.attempt,
        subscribers=subscribers,
    )


def _classify(error: Exception, *, asked: bool) -> EpisodeFailed | Fatal:
    """Distinguish errors that would break every episode from those of this one.

    A wrong setting shows before the first plan; after it, a ``ConfigError`` is about this episode's
    actions, such as NaN from the policy.
    """
    text = " ".join(str(error).split())
    if getattr(error, "errno", None) in _STORAGE:
        return Fatal(kind="ResultsError", error=f"A worker could not write ({text}): {_ROOM}")
    for name, kind in FATAL.items():
        systematic = issubclass(kind, PrerequisiteError | SpecMismatchError) or not asked
        if isinstance(error, kind) and systematic:
            return Fatal(kind=name, error=text)
    if isinstance(error, PlanRefusedError):
        return EpisodeFailed(error=text)
    permanent = isinstance(error, HarnessError) and not isinstance(error, SimulatorError)
    return EpisodeFailed(error=f"{type(error).__name__}: {text}"[:500], permanent=permanent)


def worker_log(folder: Path, number: int) -> Path:
    """Return the path of a worker's log in a run folder."""
    return folder / "logs" / f"worker-{number}.log"


class _PatientFile(io.FileIO):
    """A file that drops what the disk does not take."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def redirect_output(path: Path) -> None:
    """Send all output of this process, that of C libraries included, to a file.

    A full disk or a folder that cannot be written costs the log, not the process: no episode may
    break because a library had something to say.

    Args:
        path: The log; output is appended.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        handle = os.open(os.devnull, os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            _PatientFile(number, "wb", closefd=False),
            encoding="utf-8",
            errors="replace",
            write_through=True,
        )
        for number in (1, 2)
    )
