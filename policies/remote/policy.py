"""The policy ``remote``: plans come from a server over the network."""

import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from math import ceil
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from policies.interface import PlanRequest, PolicySpec
from policies.plan_checks import Suspicion
from policies.remote.api_key import read_api_key
from policies.remote.connection import Connection, ServerError
from policies.remote.mapping import ServerMapping
from policies.remote.plans import MAX_HORIZON, read_plan
from policies.remote.protocols import PROTOCOLS, ServerProtocol
from results.latency import LatencyHistogram, LatencyRecorder
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import FloatArray
from tasks.protocols import Protocol
from tasks.settings import settings

_MOST_EPISODES = 64
"""Episodes per connection whose connection is remembered; more are never under way."""

_MAX_DEPTH = 16

Groups = dict[int, list[list[int]]]
"""Indices of requests that share a message, by the number of the connection it is sent over."""


class RemotePolicy:
    """Gets its plans from a policy server.

    A protocol has batches or not. With them, the requests of several episodes share a message.
    Without, requests of several episodes are sent over several connections at once, an episode
    always over the same one, and one after another where there are more episodes than connections.
    In both cases a connection has one message under way at a time. Servers that take no seed give
    other plans in every run.

    Args:
        connections: Connections to the server.
        protocol: Messages.
        mapping: Conventions of requests and answers.
        horizon: Steps in a plan.
        batch: Requests in a message, where the protocol has batches.
    """

    resumable_options: ClassVar[tuple[str, ...]] = (
        *("host", "port", "timeout", "retries", "wait"),
        *("connections", "batch", "api_key_file"),
    )
    """Options of the connection, whose values may change when a run is resumed."""

    remedies: ClassVar[Mapping[Suspicion, str]] = {
        "gripper-range": "--option.gripper-range unit, and --option.gripper-high open if 1 opens",
        "gripper-high": "--option.gripper-high open, and --option.gripper-range unit if 0 closes",
        "gripper-still": "--option.gripper-range, --option.gripper-high or "
        "--option.gripper-threshold as the policy was trained; see what it is shown, too: "
        "--option.image-turn, --option.wrist-turn, --option.state",
        "tiny": "have the server undo its normalisation (openpi: the right --policy.config), or "
        "see what it is shown: --option.image-turn, --option.wrist-turn, --option.state",
        "saturated": "have the server undo its normalisation with the statistics of LIBERO, or "
        "see what it is shown: --option.state, --option.image-turn, --option.wrist-turn",
    }
    """Remedies for suspicious plans; see ``policies.plan_checks``."""

    def __init__(
        self,
        connections: Sequence[Connection],
        *,
        protocol: ServerProtocol,
        mapping: ServerMapping,
        horizon: int,
        batch: int = 1,
    ) -> None:
        self._connections, self._mapping, self._horizon = tuple(connections), mapping, horizon
        self._protocol, self._batch = protocol, batch
        self._by_episode: OrderedDict[str, int] = OrderedDict()
        self._latencies = LatencyRecorder()
        self._exec_horizon = protocol.exec_horizon(horizon, self._connections[0].metadata)
        self._executor = ThreadPoolExecutor(len(self._connections), "connection")
        weakref.finalize(self, _close, self._connections, self._executor)

    @property
    def spec(self) -> PolicySpec:
        """The cameras and the steps of history that are sent."""
        return PolicySpec(
            name="remote",
            horizon=self._horizon,
            history=self._mapping.history,
            cameras=self._mapping.cameras,
            exec_horizon=self._exec_horizon,
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """The server's address and metadata, and the conventions of requests and answers."""
        return {
            "policy_server": {
                "uri": self._connections[0].uri,
                "metadata": _plain(self._connections[0].metadata),
            },
            "policy_mapping": self._mapping.conventions,
        }

    def check_protocol(self, protocol: Protocol) -> None:
        """Refuse a protocol with images upside down: the mapping turns upright ones.

        Raises:
            SpecMismatchError: The protocol's images are upside down.
        """
        if protocol.orientation != "rotate180":
            raise SpecMismatchError(
                f"Policy 'remote' needs upright images; those of protocol '{protocol.name}' are "
                "as rendered, upside down. Fix: give --protocol openpi, openvla or lerobot; "
                "--option.image-turn raw sends them upside down all the same."
            )

    def latency(self) -> LatencyHistogram:
        """Return how long requests took so far."""
        return self._latencies.histogram(resent=sum(each.resent for each in self._connections))

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Request plans, over all connections at once.

        Raises:
            ServerError: The server failed on a request, or gave NaN or infinity.
            PrerequisiteError: It does not answer any more.
            SpecMismatchError: An answer is no plan, or of another length than before.
        """
        since = time.perf_counter()
        groups = self._in_batches(requests) if self._protocol.batches else self._alone(requests)
        plans: dict[int, FloatArray] = {}

        def ask_all(number: int) -> None:
            for indices in groups[number]:
                asked = [requests[index] for index in indices]
                plans.update(zip(indices, self._ask(number, asked, since), strict=True))

        tasks = [self._executor.submit(ask_all, number) for number in groups]
        wait(tasks)
        for task in tasks:
            task.result()
        return [plans[index] for index in range(len(requests))]

    def _in_batches(self, requests: Sequence[PlanRequest]) -> Groups:
        """Spread requests over connections, as many in a message as allowed."""
        size = min(self._batch, ceil(len(requests) / len(self._connections)))
        groups: Groups = {}
        for turn, begin in enumerate(range(0, len(requests), size)):
            indices = list(range(begin, min(begin + size, len(requests))))
            groups.setdefault(turn % len(self._connections), []).append(indices)
        return groups

    def _alone(self, requests: Sequence[PlanRequest]) -> Groups:
        """Give each request a message of its own, over its episode's connection."""
        groups: Groups = {}
        for index, request in enumerate(requests):
            groups.setdefault(self._connection_of(request.episode, groups), []).append([index])
        return groups

    def _connection_of(self, episode: str, taken: Container[int]) -> int:
        """Return the number of an episode's connection; a new one gets one that is not taken."""
        number = self._by_episode.pop(episode, None)
        if number is None:
            count = len(self._connections)
            free = [each for each in range(count) if each not in taken] or range(count)
            uses = Counter(self._by_episode.values())
            number = min(free, key=lambda each: uses[each])
        self._by_episode[episode] = number
        while len(self._by_episode) > _MOST_EPISODES * len(self._connections):
            self._by_episode.popitem(last=False)
        return number

    def _ask(self, number: int, requests: Sequence[PlanRequest], since: float) -> list[FloatArray]:
        """Request plans with one message; count their latency from ``since``."""
        message = self._protocol.message(requests)
        try:
            answer = self._connections[number].ask(message)
            plans = [
                read_plan(each, self._mapping) for each in self._protocol.read(answer, message)
            ]
        except Exception:
            self._latencies.failed(len(requests))
            raise
        self._latencies.answered(time.perf_counter() - since, len(requests))
        for plan in plans:
            if len(plan) != self._horizon:
                raise SpecMismatchError(
                    f"The policy server gave a plan of {len(plan)} steps, {self._horizon} were "
                    "expected. Fix: give --option.horizon as the server has it, or leave it out."
                )
        return plans


def _close(connections: Sequence[Connection], executor: ThreadPoolExecutor) -> None:
    executor.shutdown(wait=False, cancel_futures=True)
    for connection in connections:
        connection.close()


@settings
class RemoteOptions(ServerMapping):
    """Asks a policy server: openpi's, StarVLA's, or any that reads openpi's messages."""

    host: str = "localhost"
    """The server's name or address; wss://name for an encrypted connection."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Its port; by default that of the protocol's own servers: 8000 for openpi, 10093 for
    StarVLA."""
    api_key_file: Path | None = None
    """File with the key that the server wants, sent as openpi's clients do."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds an answer may take."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a request is sent again after a time-out or a lost connection."""
    wait: Annotated[float, Field(ge=0)] = 60.0
    """Seconds to wait for a server that is not there, at the start and later."""
    connections: Annotated[int, Field(ge=1, le=256)] = 1
    """Connections at once, each with the requests of some episodes; as many as --workers lets a
    server that plans in batches over connections do so. StarVLA's needs one."""
    batch: Annotated[int, Field(ge=1, le=256)] = 16
    """Requests in one message, where the protocol has batches, as StarVLA's does."""
    horizon: Annotated[int, Field(ge=1, le=MAX_HORIZON)] | None = None
    """Steps in the server's plans. Without it, a request of black images is sent to see, which
    also has the server compile before an episode waits for it."""

    def build(self) -> RemotePolicy:
        """Connect to the server.

        Raises:
            ConfigError: The address is invalid, or the key is missing, cannot be read or is wrong.
            PrerequisiteError: There is no server, or it does not answer.
            SpecMismatchError: It does not speak the protocol, or gives no plans for LIBERO.
        """
        scheme, separator, name = self.host.rpartition("://")
        if separator and scheme not in ("ws", "wss"):
            raise ConfigError(
                f"Policy 'remote': host '{self.host}' given. Allowed: a name or an address, ws:// "
                "or wss:// before it."
            )
        protocol = PROTOCOLS[self.protocol](self)
        key = self.api_key_file
        connections = [
            Connection(
                f"{scheme or 'ws'}://{name}:{self.port or protocol.port}",
                dialect=protocol.dialect,
                timeout=self.timeout,
                retries=self.retries,
                wait=self.wait,
                key=None if key is None else read_api_key(key, "--option.api-key-file"),
            )
            for _ in range(self.connections)
        ]
        connections[0].open()
        protocol.check_server(connections[0].metadata)
        horizon = self.horizon or self._probe(connections[0], protocol)
        return RemotePolicy(
            connections, protocol=protocol, mapping=self, horizon=horizon, batch=self.batch
        )

    def _probe(self, connection: Connection, protocol: ServerProtocol) -> int:
        """Return the length of the server's plans."""
        message = protocol.message([self.blank_request()])
        try:
            (plan,) = protocol.read(connection.ask(message), message)
            return len(read_plan(plan, self))
        except ServerError as error:
            raise SpecMismatchError(
                f"{error} That was its answer to a first request with the keys "
                f"{', '.join(message)}. Fix: serve a policy for LIBERO (openpi: --env LIBERO) or "
                "give the names it wants (--option.image-key and the like); if it only dislikes "
                "black images, give --option.horizon."
            ) from error


def _plain(value: Any, depth: int = 0) -> Any:
    """Turn a server's metadata into plain data for a record."""
    if depth > _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
