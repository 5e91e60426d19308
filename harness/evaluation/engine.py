"""The interface of engines, which run an evaluation's simulations and replicas of its policy.

The dispatcher sees a pool of workers and messages from them, whatever machine they are on.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from harness.engines import load_engine
from harness.evaluation.config import EvaluationConfig
from harness.evaluation.worker import WorkerSetup
from policies.interface import PlanRequest
from policies.registry import AnyPolicy, PolicyConfig


class SimulationWorker(Protocol):
    """A worker, as the dispatcher sees it: one simulation, which runs an episode at a time."""

    @property
    def number(self) -> int:
        """Its number, never used twice in an evaluation."""

    @property
    def placed(self) -> bool:
        """Whether there was room for it, so that it starts or runs."""

    @property
    def start_tries(self) -> int:
        """How many workers may fail to start before any has, until the run is given up."""

    ready: bool
    """Whether it has reported for work."""


class SimulationPool(Protocol):
    """The workers of a run. A worker that is gone is removed, and ``start`` makes another."""

    @property
    def workers(self) -> Mapping[int, Any]:
        """The workers by number, as ``SimulationWorker``."""

    def start(self) -> SimulationWorker:
        """Start one more worker."""

    def readable(self, timeout: float) -> list[Any]:
        """Wait for workers whose message has arrived, or that are gone.

        Args:
            timeout: Seconds to wait at most; 0 only looks.

        Raises:
            HarnessError: The engine cannot go on.
        """

    def receive(self, worker: Any) -> object:
        """Return a readable worker's next message of ``harness.evaluation.messages``.

        None if the worker is gone.
        """

    def send(self, worker: Any, message: object) -> None:
        """Send a message; if the worker is gone, ``receive`` will show it."""

    def reap(self, worker: Any) -> str:
        """Remove a worker that is gone; return how it ended."""

    def kill_hung(self, worker: Any) -> str:
        """Remove a worker that hangs; return where it hung, empty if that is not known."""

    def log(self, worker: Any) -> str:
        """Return where a worker's log is."""

    def log_tail(self, worker: Any) -> str:
        """Return the last words of a worker, on one line; also after ``reap``."""

    def time_batch(self, requests: Sequence[PlanRequest]) -> float:
        """Have one replica plan for requests at once; return the seconds, transport included.

        Nothing else may be asked of the pool meanwhile.
        """

    def description(self) -> str:
        """Return what runs where, in a few words for the progress bar; empty if it is plain."""


@dataclass(frozen=True, kw_only=True)
class PoolRequest:
    """What a run needs of an engine.

    Attributes:
        setup: What each worker works with.
        workers: How many workers; None for as many as fit.
        episodes: Episodes left, so that no more workers are useful.
        policy: Builds the policy, for replicas.
        threads: Threads of a policy that computes on a CPU.
        max_batch: Plans that a policy is asked for at once, at most; None without a limit.
        hang_after_s: Seconds that a message, once begun, may take to arrive.
        news_every_s: Seconds for which news of how far an episode has come may wait, where each
            costs something.
    """

    setup: WorkerSetup
    workers: int | None
    episodes: int
    policy: PolicyConfig
    threads: int
    max_batch: int | None
    hang_after_s: float
    news_every_s: float = 1.0


class Engine(Protocol):
    """Runs simulations, and replicas of the policy where it has them."""

    @property
    def replicas(self) -> int:
        """Copies of the policy in processes of their own; 0 if the caller's policy plans."""

    @property
    def renders_here(self) -> bool:
        """Whether this machine must be able to render."""

    def default_workers(self) -> int:
        """Return how many simulations fit now."""

    def build_policy(self, config: PolicyConfig) -> AnyPolicy:
        """Build the policy that a run is planned with.

        Raises:
            HarnessError: It cannot be built.
        """

    def device(self, config: PolicyConfig, own: object) -> object:
        """Return the device that is recorded.

        Args:
            config: The policy's.
            own: That of the policy as it was built here; None if it has none.
        """

    def open_pool(self, request: PoolRequest) -> AbstractContextManager[SimulationPool]:
        """Start workers and replicas; they end with the block."""


_ENGINES = {
    "local": "harness.evaluation.local_engine:LocalEngine",
    "ray": "harness.cluster.engine:RayEngine",
}
"""Engines by name; the modules are imported when used."""


@contextmanager
def open_engine(options: EvaluationConfig) -> Iterator[Engine]:
    """Open the engine that options name; it ends with the block.

    Raises:
        PrerequisiteError: It is not installed.
        HarnessError: There is no cluster at that address, or it is not allowed.
    """
    factory = load_engine(_ENGINES[options.engine])
    with factory(options) as engine:
        yield engine
