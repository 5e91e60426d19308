"""Plans per second that a policy server gives to clients over one connection and over several.

Each client has a connection, sends recorded observations and asks for the next plan when it has the
last. The server has a process of its own.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from statistics import median

from harness.benchmarks.served_policy import ServedPolicyProcess
from harness.benchmarks.throughput_config import ConnectionSpeedConfig
from policies.interface import PlanRequest
from policies.remote.policy import RemoteOptions, RemotePolicy
from results.latency import LatencyHistogram
from tasks.demos.folders import find_demo_files
from tasks.demos.reader import Demo, read_demos
from tasks.errors import ConfigError
from tasks.observation import Observation

_MOST_REQUESTS = 64
_WARM_UPS = 2

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ConnectionFigures:
    """Figures of one server and number of connections.

    Attributes:
        server: The server in words.
        connections: Clients, with a connection each.
        plans_per_s: Median over the turns.
        ratio: Times as many as over the first number of connections.
        batch: Mean number of plans in a batch.
        latency: Latencies of all requests, as the clients saw them.
    """

    server: str
    connections: int
    plans_per_s: float
    ratio: float
    batch: float
    latency: LatencyHistogram


def compare_connections(
    config: ConnectionSpeedConfig, report: Report
) -> Iterator[ConnectionFigures]:
    """Measure the double, then the RDT, all numbers of connections in turns.

    The figures of the one are given before the other is measured.

    Args:
        config: What to measure.
        report: Called with what comes next, at each turn.

    Raises:
        ConfigError: There are no demonstrations with pictures.
        HarnessError: The server could not be started, or cannot plan for them.
    """
    requests = recorded_requests(config.demos)
    for name, batch_ms in config.servers:
        with ServedPolicyProcess(
            config.checkpoint,
            max_batch=config.max_batch,
            max_wait_ms=config.max_wait_ms,
            threads=config.threads,
            batch_ms=batch_ms,
        ) as server:
            turns: dict[int, list[_Turn]] = {count: [] for count in config.connections}
            for _ in range(config.repeats):
                for count in config.connections:
                    report(f"{name}, {count} connection{'s' if count > 1 else ''}")
                    turns[count].append(_measure(server, requests, count, config.seconds))
        yield from _figures(name, turns)


@dataclass(frozen=True, kw_only=True)
class _Turn:
    plans_per_s: float
    batches: int
    latency: LatencyHistogram


def _figures(name: str, turns: dict[int, list[_Turn]]) -> list[ConnectionFigures]:
    rates = {
        count: median(turn.plans_per_s for turn in measured) for count, measured in turns.items()
    }
    first = next(iter(rates.values()))
    figures = []
    for count, measured in turns.items():
        latency = reduce(add, (turn.latency for turn in measured))
        figures.append(
            ConnectionFigures(
                server=name,
                connections=count,
                plans_per_s=rates[count],
                ratio=rates[count] / first,
                batch=latency.requests / sum(turn.batches for turn in measured),
                latency=latency,
            )
        )
    return figures


def recorded_requests(demos: Path) -> list[PlanRequest]:
    """Return requests with the observations of demonstrations, two control steps each.

    Args:
        demos: A demo file, or a folder of them; some steps of the first are taken.

    Raises:
        ConfigError: There are none, or none with pictures and joints.
    """
    for demo in itertools.chain.from_iterable(map(read_demos, find_demo_files(demos))):
        if demo.images and demo.has_joints and demo.steps > 1:
            steps = range(1, demo.steps, max(1, demo.steps // _MOST_REQUESTS))
            return [
                PlanRequest(
                    window=[_observation(demo, step - 1), _observation(demo, step)],
                    instruction=demo.instruction,
                    seed=step,
                )
                for step in steps
            ]
    raise ConfigError(
        f"--demos '{demos}' has no demonstration with joint positions, of two steps or more. Fix: "
        "name LIBERO's HDF5 files, or those of libero-bench collect."
    )


def _observation(demo: Demo, step: int) -> Observation:
    observation = Observation(
        joint_pos=demo.joint_pos[step],
        ee_pos=demo.ee_pos[step],
        ee_quat=demo.ee_quat[step],
        gripper_qpos=demo.gripper_qpos[step],
    )
    for camera, images in demo.images.items():
        observation[camera] = images[step]  # type: ignore[literal-required]
    return observation


def _measure(
    server: ServedPolicyProcess, requests: Sequence[PlanRequest], count: int, seconds: float
) -> _Turn:
    """Let clients ask for a while; each begins elsewhere in the recording."""
    connect = partial(RemoteOptions, server="libero-bench", host="127.0.0.1", port=server.port)
    first = connect().build()
    known = connect(horizon=first.spec.horizon)
    clients = [first, *(known.build() for _ in range(count - 1))]
    _ask_all(clients, requests, lambda asked: asked < _WARM_UPS)
    before = [client.latency() for client in clients]
    batches = sum(server.batches().values())
    begun = time.perf_counter()
    _ask_all(clients, requests, lambda asked: time.perf_counter() - begun < seconds)
    spent = time.perf_counter() - begun
    latency = reduce(
        add, (client.latency() - earlier for client, earlier in zip(clients, before, strict=True))
    )
    return _Turn(
        plans_per_s=latency.requests / spent,
        batches=sum(server.batches().values()) - batches,
        latency=latency,
    )


def _ask_all(
    clients: Sequence[RemotePolicy],
    requests: Sequence[PlanRequest],
    goes_on: Callable[[int], bool],
) -> None:
    """Let all clients ask at once, each for one plan after another.

    Args:
        clients: The clients.
        requests: What they ask for, in turn.
        goes_on: Given the number of a client's plans so far, whether it asks for another.

    Raises:
        Exception: What a client raised.
    """
    errors: list[Exception] = []

    def ask(number: int) -> None:
        try:
            for asked in itertools.count():
                if errors or not goes_on(asked):
                    return
                place = number * len(requests) // len(clients) + asked
                clients[number].plan([requests[place % len(requests)]])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(clients))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if errors:
        raise errors[0]
