"""vla-eval's conversation: an action for the observation of every control step."""

import io
import logging
import time
from typing import Any

import numpy as np
from PIL import Image as Pillow
from websockets.asyncio.server import ServerConnection

from harness.serving.batching import BatchPlanner
from harness.serving.messages import RequestReader, unpack_map
from harness.serving.rdt_service import RDTService
from policies.remote.codec import CodecError, pack, unpack
from tasks.actions import action_now
from tasks.errors import HarnessError, SpecMismatchError
from tasks.observation import FloatArray, Observation

_PROTOCOL_VERSION = 1
_FIELDS = ("type", "payload", "seq", "timestamp")
_FORMATS = ("PNG", "JPEG")
_MOST_PIXELS = 2048
_MOST_DEPTH = 8
_log = logging.getLogger(__name__)


class VlaEvalSession:
    """One client that speaks vla-eval's protocol.

    It sends each control step, so earlier images are real ones, and goals of the hand become
    actions from the state of the very step. What cannot be answered gets an error, and the
    connection goes on.

    Args:
        socket: The connection.
        service: The policy.
        planner: Plans in batches.
        client: Name of the client.
        exec_horizon: Steps executed per plan.
        version: Version of this project.
    """

    def __init__(
        self,
        socket: ServerConnection,
        service: RDTService,
        planner: BatchPlanner,
        *,
        client: str,
        exec_horizon: int,
        version: str,
    ) -> None:
        self._socket, self._service, self._planner = socket, service, planner
        self._client, self._exec_horizon, self._version = client, exec_horizon, version
        self._reader = RequestReader(service, client, "kept")
        self._rows: list[FloatArray] = []

    async def run(self) -> None:
        """Answer until the client leaves."""
        async for frame in self._socket:
            seq = 0
            try:
                message = unpack_map(frame)
                seq = _read_seq(message)
                answer = await self._answer(*_read_message(message))
            except HarnessError as error:
                _log.warning("Refused %s: %s", self._client, error)
                answer = "error", {"message": str(error)}
            except Exception as error:
                _log.exception("The policy failed on a request of %s.", self._client)
                answer = "error", {"message": f"{type(error).__name__}: {error}"}
            if answer is not None:
                kind, payload = answer
                parts = kind, payload, seq, time.time()
                await self._socket.send(pack(dict(zip(_FIELDS, parts, strict=True))))

    async def _answer(
        self, kind: str, payload: dict[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        match kind:
            case "hello":
                return "hello", self._hello()
            case "episode_start" | "episode_end":
                self._reader.forget()
                self._rows = []
                return None
            case "observation":
                return "action", {"actions": (await self._act(payload)).tolist()}
            case _:
                raise SpecMismatchError(
                    f"A message of type '{kind}'. Allowed: hello, episode_start, observation, "
                    "episode_end."
                )

    async def _act(self, payload: dict[str, Any]) -> FloatArray:
        images = payload.get("images")
        request = self._reader.read(
            images if isinstance(images, dict) else {},
            payload.get("states"),
            payload.get("task_description"),
        )
        now: Observation = request.window[-1]
        if not self._rows:
            timed = await self._planner.plan(request)
            self._rows = list(timed.plan[: self._exec_horizon])
        return action_now(self._rows.pop(0), now["ee_pos"], now["ee_quat"])

    def _hello(self) -> dict[str, Any]:
        cameras = self._service.contract.shown_cameras
        unit = [-1, 1]
        image = {"name": "image", "dims": 0, "format": "rgb_hwc_uint8"}
        return {
            "harness_version": self._version,
            "protocol_version": _PROTOCOL_VERSION,
            "model_server": "libero-bench",
            "capabilities": {},
            "observation_params": {
                "send_wrist_image": "wrist" in cameras,
                "send_state": True,
                "quat_no_antipodal": True,
            },
            "action_spec": {
                "position": {"name": "position", "dims": 3, "format": "delta_xyz", "range": unit},
                "rotation": {
                    "name": "rotation",
                    "dims": 3,
                    "format": "axis_angle",
                    "range": [-3.15, 3.15],
                },
                "gripper": {
                    "name": "gripper",
                    "dims": 1,
                    "format": "binary_close_positive",
                    "range": unit,
                },
            },
            "observation_spec": {
                **{camera: image for camera in cameras},
                "state": {"name": "state", "dims": 8, "format": "eef_pos3_axisangle3_gripper2"},
                "language": {"name": "language", "dims": 0, "format": "language"},
            },
        }


def _read_seq(message: dict[Any, Any]) -> int:
    """Return the number of a message, 0 where it has none."""
    seq = message.get("seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) else 0


def _read_message(message: dict[Any, Any]) -> tuple[str, dict[str, Any]]:
    """Return type and payload of a message, whose arrays and images are read."""
    if not set(_FIELDS) <= set(message) or not isinstance(message["payload"], dict):
        raise SpecMismatchError(
            f"The message is no map of {', '.join(_FIELDS)}, or its payload is none."
        )
    return str(message["type"]), _read_arrays(message["payload"])


def _read_arrays(value: Any, depth: int = 0) -> Any:
    """Turn vla-eval's maps of arrays and images into arrays."""
    if depth > _MOST_DEPTH:
        raise SpecMismatchError(f"The message is nested more than {_MOST_DEPTH} deep.")
    if not isinstance(value, dict):
        return value
    if "__ndarray__" in value:
        return _array(value)
    if "__image__" in value:
        return _array(value) if value.get("format") == "raw" else _image(value)
    return {key: _read_arrays(each, depth + 1) for key, each in value.items()}


def _array(value: dict[str, Any]) -> Any:
    """Read an array through the codec, which checks what it claims."""
    keys = ("data", "dtype", "shape")
    if not all(key in value for key in keys):
        raise SpecMismatchError("An array lacks its data, dtype or shape.")
    marked = {b"__ndarray__": True, **{key.encode(): value[key] for key in keys}}
    try:
        return unpack(pack(marked))
    except CodecError as error:
        raise SpecMismatchError(f"An array cannot be read ({error}).") from error


def _image(value: dict[str, Any]) -> Any:
    """Decode a compressed image whose header says a size that is allowed."""
    data = value.get("data")
    try:
        source = io.BytesIO(data if isinstance(data, bytes) else b"")
        with Pillow.open(source, formats=_FORMATS) as it:
            if it.mode != "RGB" or max(it.size) > _MOST_PIXELS:
                raise SpecMismatchError(
                    f"An image is {it.mode} of {it.size[0]} × {it.size[1]}. Needed: RGB, up to "
                    f"{_MOST_PIXELS} pixels a side."
                )
            return np.array(it)
    except (OSError, ValueError, SyntaxError) as error:
        raise SpecMismatchError(f"An image cannot be decoded ({error}).") from error
