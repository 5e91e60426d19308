"""The policy ``remote``: plans come from a server that speaks openpi's WebSocket protocol."""

import weakref
from collections import Counter, OrderedDict
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from policies.interface import PlanRequest, PolicySpec
from policies.plan_checks import Suspicion
from policies.remote.connection import Connection, ServerError
from policies.remote.mapping import ServerMapping
from tasks.actions import check_finite, read_numbers
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import ACTION_DIM, FloatArray
from tasks.protocols import Protocol
from tasks.settings import settings

_EXEC_HORIZON = 5
"""Steps that openpi's script for LIBERO executes of each plan."""

_MAX_HORIZON = 4096
_MOST_EPISODES = 64
"""Episodes per connection whose connection is remembered; more are never under way."""

_MAX_DEPTH = 16
_MAX_KEYS = 12


class RemotePolicy:
    """Gets its plans from a policy server.

    openpi's protocol has no batches: requests of several episodes are sent over several
    connections at once, an episode always over the same one, and one after another where there
    are more episodes than connections. Servers that take no seed give other plans in every run.

    Args:
        connections: Connections to the server.
        mapping: Conventions of requests and answers.
        horizon: Steps in a plan.
    """

    resumable_options: ClassVar[tuple[str, ...]] = (
        *("host", "port", "timeout", "retries", "wait"),
        "connections",
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
        self, connections: Sequence[Connection], *, mapping: ServerMapping, horizon: int
    ) -> None:
        self._connections, self._mapping, self._horizon = tuple(connections), mapping, horizon
        self._by_episode: OrderedDict[str, int] = OrderedDict()
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
            exec_horizon=min(_EXEC_HORIZON, self._horizon),
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

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Request plans, as many at once as there are connections.

        Raises:
            ServerError: The server failed on a request, or gave NaN or infinity.
            PrerequisiteError: It does not answer any more.
            SpecMismatchError: An answer is no plan, or of another length than before.
        """
        queues: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            queues.setdefault(self._connection_of(request.episode, queues), []).append(index)
        asked = {
            number: self._executor.submit(self._ask, number, [requests[index] for index in indices])
            for number, indices in queues.items()
        }
        wait(asked.values())
        plans: dict[int, FloatArray] = {}
        for number, indices in queues.items():
            plans.update(zip(indices, asked[number].result(), strict=True))
        return [plans[index] for index in range(len(requests))]

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

    def _ask(self, number: int, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Request plans over one connection, one after another."""
        return [self._plan(self._connections[number], request) for request in requests]

    def _plan(self, connection: Connection, request: PlanRequest) -> FloatArray:
        plan = read_plan(connection.ask(self._mapping.request(request)), self._mapping)
        if len(plan) != self._horizon:
            raise SpecMismatchError(
                f"The policy server gave a plan of {len(plan)} steps, {self._horizon} were "
                "expected. Fix: give --option.horizon as the server has it, or leave it out."
            )
        return plan


def _close(connections: Sequence[Connection], executor: ThreadPoolExecutor) -> None:
    executor.shutdown(wait=False, cancel_futures=True)
    for connection in connections:
        connection.close()


@settings
class RemoteOptions(ServerMapping):
    """Asks a server that speaks openpi's WebSocket protocol."""

    host: str = "localhost"
    """The server's name or address; wss://name for an encrypted connection."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Its port."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds an answer may take."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a request is sent again after a time-out or a lost connection."""
    wait: Annotated[float, Field(ge=0)] = 60.0
    """Seconds to wait for a server that is not there, at the start and later."""
    connections: Annotated[int, Field(ge=1, le=256)] = 1
    """Connections at once, each with the requests of some episodes; as many as --workers lets a
    server that plans in batches do so."""
    horizon: Annotated[int, Field(ge=1, le=_MAX_HORIZON)] | None = None
    """Steps in the server's plans. Without it, a request of black images is sent to see, which
    also has the server compile before an episode waits for it."""

    def build(self) -> RemotePolicy:
        """Connect to the server.

        Raises:
            ConfigError: The address is invalid.
            PrerequisiteError: There is no server, or it does not answer.
            SpecMismatchError: It does not speak the protocol, or gives no plans for LIBERO.
        """
        scheme, separator, name = self.host.rpartition("://")
        if separator and scheme not in ("ws", "wss"):
            raise ConfigError(
                f"Policy 'remote': host '{self.host}' given. Allowed: a name or an address, ws:// "
                "or wss:// before it."
            )
        connections = [
            Connection(
                f"{scheme or 'ws'}://{name}:{self.port}",
                timeout=self.timeout,
                retries=self.retries,
                wait=self.wait,
            )
            for _ in range(self.connections)
        ]
        connections[0].open()
        horizon = self.horizon or self._probe(connections[0])
        return RemotePolicy(connections, mapping=self, horizon=horizon)

    def _probe(self, connection: Connection) -> int:
        """Return the length of the server's plans."""
        request = self.blank_request()
        try:
            return len(read_plan(connection.ask(request), self))
        except ServerError as error:
            raise SpecMismatchError(
                f"{error} That was its answer to a first request with the keys "
                f"{', '.join(request)}. Fix: serve a policy for LIBERO (openpi: --env LIBERO) or "
                "give the names it wants (--option.image-key and the like); if it only dislikes "
                "black images, give --option.horizon."
            ) from error


def read_plan(answer: Any, mapping: ServerMapping) -> FloatArray:
    """Return the plan in a server's answer, (horizon, 7) float64 in [−1, 1].

    Args:
        answer: A map that holds it under ``actions_key``, as an array or lists of numbers.
        mapping: Conventions of its numbers.

    Raises:
        SpecMismatchError: There is none.
        ServerError: It holds NaN or infinity.
    """
    key = mapping.actions_key
    if not isinstance(answer, dict) or key not in answer:
        contents: Any = type(answer).__name__
        if isinstance(answer, dict):
            contents = sorted(str(name)[:40] for name in list(answer)[:_MAX_KEYS])
        raise SpecMismatchError(
            f"The policy server's answer has no array '{key}', but {contents}. Fix: serve a policy "
            "that answers as openpi's do, or name the plan's key with --option.actions-key."
        )
    try:
        actions = read_numbers(answer[key])
    except ValueError as error:
        raise SpecMismatchError(
            f"The policy server's '{key}' cannot be read ({error}). Needed: an array or lists of "
            f"numbers, (steps, {ACTION_DIM}). Fix: serve a policy that answers as openpi's do."
        ) from error
    if actions.ndim != 2 or not 1 <= len(actions) <= _MAX_HORIZON or actions.shape[1] != ACTION_DIM:
        raise SpecMismatchError(
            f"The policy server gave actions of shape {actions.shape}. Needed: (steps, "
            f"{ACTION_DIM}), position and axis-angle deltas and gripper, 1 to {_MAX_HORIZON} "
            "steps. Fix: serve a policy that was trained for LIBERO."
        )
    try:
        check_finite(actions, "The policy server's actions")
    except ConfigError as error:
        raise ServerError(str(error)) from error  # the next answer may be finite
    return mapping.commands(actions)


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
