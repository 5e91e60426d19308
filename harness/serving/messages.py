"""What clients send, read into observations."""

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.serving.config import History
from harness.serving.rdt_service import STATES, RDTService
from policies.interface import PlanRequest
from policies.remote.codec import CodecError, unpack
from policies.remote.mapping import resize_with_pad, turned
from tasks.errors import SpecMismatchError
from tasks.observation import Image, Observation
from tasks.rotations import axisangle_to_quat

_SEED_LIMIT = 1 << 63
_MOST_CHARACTERS = 2000
_MOST_PIXELS = 2048
_COLOURS, _JOINTS = 3, 7
_WIDTHS = {"pos": 3, "axisangle": 3, "quat": 4, "fingers": 2, "joints": _JOINTS}
_ONE_FRAME, _SEVERAL = 3, 4  # dimensions of images


class RequestReader:
    """Reads the messages of one client; keeps its earlier images where that is asked for.

    Args:
        service: What they are for.
        client: Name of the client; determines seeds that are not sent.
        history: Where earlier images come from if they are not sent.
    """

    def __init__(self, service: RDTService, client: str, history: History) -> None:
        self._service, self._client, self._history = service, client, history
        self._earlier: deque[Observation] = deque(maxlen=max(1, service.contract.history - 1))
        self._count = 0

    def forget(self) -> None:
        """Begin an episode: earlier images are not of it."""
        self._earlier.clear()

    def read(
        self,
        images: Mapping[str, Any],
        state: Any,
        instruction: Any,
        *,
        earlier: Mapping[str, Any] | None = None,
        seed: Any = None,
    ) -> PlanRequest:
        """Return the request of a message.

        Args:
            images: By camera, (H, W, 3) or (3, H, W), uint8 or 0 to 1.
            state: One of ``STATES``.
            instruction: The task in words.
            earlier: By camera, earlier images, oldest first, (n, H, W, 3) or (n, 3, H, W).
            seed: Seed of the plan; by default that of the client and the number of its request.

        Raises:
            SpecMismatchError: Something is missing or has another form.
            ConfigError: The instruction cannot be told to the policy.
        """
        now = self._observation(images, _read_state(state))
        if earlier:
            window = [*self._sent(earlier, now), now]
        elif self._history == "kept":
            window = [*self._earlier, now]
        else:
            window = [now] * self._service.contract.history
        self._earlier.append(now)
        self._count += 1
        text = _read_text(instruction)
        self._service.check_instruction(text)
        drawn = self._seed() if seed is None else _read_seed(seed)
        return PlanRequest(window=window, instruction=text, seed=drawn)

    def _observation(self, images: Mapping[str, Any], state: Observation) -> Observation:
        observation = state
        if "joint_pos" not in state:
            if self._service.layout.reads_joints:
                raise SpecMismatchError(
                    f"The layout '{self._service.layout.name}' needs joint positions, which the "
                    "state lacks. Fix: send a state of 15 or 16 numbers that ends with the seven "
                    "joints, or serve a checkpoint of a layout without, such as hand-goal."
                )
            observation["joint_pos"] = np.zeros(_JOINTS)  # nobody reads them
        for camera in self._service.contract.shown_cameras:
            if camera not in images:
                raise SpecMismatchError(
                    f"The message has no image of '{camera}'. Needed: "
                    f"{', '.join(self._service.contract.shown_cameras)}."
                )
            observation[camera] = self._image(images[camera], camera)  # type: ignore[literal-required]
        return observation

    def _sent(self, earlier: Mapping[str, Any], now: Observation) -> list[Observation]:
        """Return the earlier observations that the message has, oldest first."""
        cameras = self._service.contract.shown_cameras
        frames = {camera: np.asarray(earlier.get(camera, ())) for camera in cameras}
        counts = {len(each) for each in frames.values()}
        most = self._service.contract.history - 1
        if len(counts) != 1 or not max(counts) <= most:
            raise SpecMismatchError(
                f"The message has {sorted(counts)} earlier images by camera. Allowed: up to {most} "
                "of each camera, as many of each."
            )
        observations = []
        for index in range(counts.pop()):
            observation = now.copy()
            for camera in cameras:
                image = self._image(frames[camera][index], camera)
                observation[camera] = image  # type: ignore[literal-required]
            observations.append(observation)
        return observations

    def _image(self, value: Any, camera: str) -> Image:
        image = read_image(value, camera)
        size = self._service.image_size
        fitted = resize_with_pad(image, size) if size else image
        return turned(fitted, self._service.contract.orientation)

    def _seed(self) -> int:
        text = f"{self._client}/{self._count}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") % _SEED_LIMIT


def unpack_map(frame: str | bytes) -> dict[Any, Any]:
    """Read a message, which is a map in MessagePack.

    Raises:
        SpecMismatchError: It is not.
    """
    if isinstance(frame, str):
        raise SpecMismatchError("The message is text. Needed: a map in MessagePack.")
    try:
        message = unpack(frame)
    except CodecError as error:
        raise SpecMismatchError(
            f"The message cannot be read ({error}). Needed: a map in MessagePack."
        ) from error
    if not isinstance(message, dict):
        raise SpecMismatchError(
            f"The message is a {type(message).__name__}. Needed: a map in MessagePack."
        )
    return message


def read_image(value: Any, camera: str) -> Image:
    """Read an image, (H, W, 3) or (3, H, W), uint8 or floats from 0 to 1.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SpecMismatchError: It is none.
    """
    image = np.asarray(value) if isinstance(value, np.ndarray) else np.empty(0)
    if image.ndim == _ONE_FRAME and image.shape[2] != _COLOURS and image.shape[0] == _COLOURS:
        image = image.transpose(1, 2, 0)
    sides = image.shape[:2] if image.ndim == _ONE_FRAME else (0,)
    if image.shape[2:] != (_COLOURS,) or not 1 <= min(sides) <= max(sides) <= _MOST_PIXELS:
        shape = image.shape if isinstance(value, np.ndarray) else type(value).__name__
        raise SpecMismatchError(
            f"The image of '{camera}' is {shape}. Needed: (height, width, 3) or (3, height, "
            f"width), up to {_MOST_PIXELS} pixels a side."
        )
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype.kind != "f" or not np.isfinite(image).all() or not _in_unit(image):
        raise SpecMismatchError(
            f"The image of '{camera}' is of {image.dtype} outside [0, 1]. Needed: uint8, or "
            "floating-point numbers from 0 to 1."
        )
    return np.ascontiguousarray((255 * image + 0.5).astype(np.uint8))


def _in_unit(image: Any) -> bool:
    return bool(image.min() >= 0 and image.max() <= 1)


def _read_state(value: Any) -> Observation:
    """Read a state whose length says what it consists of."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or len(numbers) not in STATES or not np.isfinite(numbers).all():
        allowed = "; ".join(f"{size}: {'+'.join(parts)}" for size, parts in STATES.items())
        raise SpecMismatchError(
            f"The state has shape {numbers.shape} or numbers that are not finite. Allowed lengths: "
            f"{allowed}."
        )
    parts, begin = {}, 0
    for name in STATES[len(numbers)]:
        width = _WIDTHS[name]
        parts[name], begin = numbers[begin : begin + width], begin + width
    quat = parts["quat"] if "quat" in parts else axisangle_to_quat(parts["axisangle"])
    if not np.linalg.norm(quat) > 0:
        raise SpecMismatchError("The state's quaternion is zero. Needed: x, y, z, w of length 1.")
    observation = Observation(ee_pos=parts["pos"], ee_quat=quat, gripper_qpos=parts["fingers"])
    if "joints" in parts:
        observation["joint_pos"] = parts["joints"]
    return observation


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MOST_CHARACTERS:
        raise SpecMismatchError(
            f"The instruction is {type(value).__name__}, empty or too long. Needed: up to "
            f"{_MOST_CHARACTERS} characters of text."
        )
    return value


def _read_seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SpecMismatchError(f"The seed is a {type(value).__name__}. Needed: a whole number.")
    if not 0 <= int(value) < _SEED_LIMIT:
        raise SpecMismatchError(f"The seed is {value}. Allowed: 0 to 2⁶³ − 1.")
    return int(value)
