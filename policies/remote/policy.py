"""The policy ``remote``: plans come from a server that speaks openpi's WebSocket protocol."""

import weakref
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from policies.interface import PlanRequest, PolicySpec
from policies.remote.connection import Connection, ServerError
from policies.remote.observation import blank_request, build_request
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import ACTION_DIM, CAMERAS, FloatArray
from tasks.protocols import Protocol

_EXEC_HORIZON = 5
"""Steps that openpi's script for LIBERO executes of each plan."""


class RemotePolicy:
    """Asks a policy server for plans.

    The protocol has no batches and no seeds: requests of several episodes are sent one after
    another, and two runs against a server that samples are not the same. Actions go to the
    environment as they come, clipped to [−1, 1] as LIBERO's controller does: deltas of position and
    axis-angle, and the gripper's command, −1 open and +1 close.

    Args:
        connection: To the server.
        horizon: Steps in its plans.
        image_size: Height and width of the pictures it gets.
    """

    resumable_options: ClassVar[tuple[str, ...]] = ("host", "port", "timeout", "retries", "wait")
    """Options that a run may be resumed with other values of: they are about the connection."""

    def __init__(self, connection: Connection, *, horizon: int, image_size: int) -> None:
        self._connection, self._horizon, self._image_size = connection, horizon, image_size
        weakref.finalize(self, connection.close)

    @property
    def spec(self) -> PolicySpec:
        """Both cameras, one step of history."""
        return PolicySpec(
            name="remote",
            horizon=self._horizon,
            cameras=CAMERAS,
            exec_horizon=min(_EXEC_HORIZON, self._horizon),
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the server is and what it says of itself."""
        said = self._connection.metadata
        return {"policy_server": {"uri": self._connection.uri, "metadata": _plain(said)}}

    def check_protocol(self, protocol: Protocol) -> None:
        """Refuse pictures that are upside down.

        Raises:
            SpecMismatchError: They are under this protocol.
        """
        if protocol.orientation != "rotate180":
            raise SpecMismatchError(
                f"Policy 'remote' needs upright pictures; those of protocol '{protocol.name}' are "
                "as rendered, upside down. Fix: give --protocol openpi, openvla or lerobot."
            )

    def plan(self, requests: Sequence[PlanRequest]) -> list[FloatArray]:
        """Ask for one plan after another.

        Raises:
            ServerError: The server broke on a request.
            PrerequisiteError: It does not answer any more.
            SpecMismatchError: An answer is no plan, or of another length than before.
        """
        plans = []
        for request in requests:
            plan = read_plan(self._connection.ask(build_request(request, self._image_size)))
            if len(plan) != self._horizon:
                raise SpecMismatchError(
                    f"The policy server gave a plan of {len(plan)} steps, {self._horizon} were "
                    "expected. Fix: give --option.horizon as the server has it, or leave it out."
                )
            plans.append(plan)
        return plans


def build_remote(
    *,
    host: str = "localhost",
    port: Annotated[int, Field(ge=1, le=65535)] = 8000,
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0,
    retries: Annotated[int, Field(ge=0)] = 3,
    wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0,
    image_size: Annotated[int, Field(ge=16, le=2048)] = 224,
    horizon: Annotated[int, Field(ge=1)] | None = None,
) -> RemotePolicy:
    """Asks a server that speaks openpi's WebSocket protocol.

    Args:
        host: The server's name or address; ``wss://name`` for an encrypted connection.
        port: Its port.
        timeout: Seconds an answer may take.
        retries: How often a request is sent again after a time-out or a lost connection.
        wait: Seconds to wait for a server that is not there, at the start and later.
        image_size: Height and width of the pictures to send.
        horizon: Steps in the server's plans. Without it, a request of black pictures is sent to
            see, which also has the server compile before an episode waits for it.

    Raises:
        ConfigError: The address is none.
        PrerequisiteError: There is no server, or it does not answer.
        SpecMismatchError: What is there does not speak the protocol, or gives no plans for LIBERO.
    """
    scheme, separator, name = host.rpartition("://")
    if separator and scheme not in ("ws", "wss"):
        raise ConfigError(
            f"Policy 'remote': host '{host}' given. Allowed: a name or an address, ws:// or wss:// "
            "before it."
        )
    uri = f"{scheme or 'ws'}://{name}:{port}"
    connection = Connection(uri, timeout=timeout, retries=retries, wait=wait)
    try:
        connection.open()
        if horizon is None:
            horizon = len(read_plan(connection.ask(blank_request(image_size))))
    except ServerError as error:
        raise SpecMismatchError(
            f"{error}. That was its answer to a first request with the keys observation/image, "
            "observation/wrist_image, observation/state and prompt. Fix: serve a policy for LIBERO "
            "(openpi: --env LIBERO); if it only dislikes black pictures, give --option.horizon."
        ) from error
    return RemotePolicy(connection, horizon=horizon, image_size=image_size)


def read_plan(answer: Any) -> FloatArray:
    """Return the plan in a server's answer, (horizon, 7) float64 in [−1, 1].

    Raises:
        SpecMismatchError: There is none.
    """
    actions = answer.get("actions") if isinstance(answer, dict) else None
    if not isinstance(actions, np.ndarray):
        keys = sorted(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
        raise SpecMismatchError(
            f"The policy server's answer has no array 'actions', but {keys}. "
            "Fix: serve a policy that answers as openpi's do."
        )
    if actions.ndim != 2 or not len(actions) or actions.shape[1] != ACTION_DIM:
        raise SpecMismatchError(
            f"The policy server gave actions of shape {actions.shape}. Needed: (steps, "
            f"{ACTION_DIM}), position and axis-angle deltas and gripper. "
            "Fix: serve a policy that was trained for LIBERO."
        )
    clipped: FloatArray = np.clip(actions.astype(np.float64), -1.0, 1.0)
    return clipped


def _plain(value: Any) -> Any:
    """Turn what a server says of itself into plain data for a record."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
