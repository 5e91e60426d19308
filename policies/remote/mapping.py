"""Images and states in the forms that policy servers expect.

openpi's own script for LIBERO (examples/libero/main.py) sends:

- images upright, scaled bilinearly to fit a square, with black borders;
- the hand's position, its orientation as axis times angle, and both fingers. The orientation keeps
  the sign of the simulator's quaternion, so its angle lies in [0, 2π]: a policy trained on such
  data must not get the equivalent shorter rotation.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from PIL import Image as Pillow
from pydantic import Field, model_validator
from pydantic_core import ArgsKwargs

from policies.interface import PlanRequest
from tasks.errors import ConfigError, unknown_name
from tasks.observation import FloatArray, Image, Observation
from tasks.rotations import quat_to_axisangle, quat_to_rot6d, xyzw_to_wxyz
from tasks.settings import settings

Turn = Literal["rotate180", "raw", "flip"]
"""Orientation of an image relative to the renderer's: ``rotate180`` and ``raw`` as in
``tasks.protocols``; ``flip`` reverses the rows, so that the image is upright and not mirrored."""

Resize = Literal["pad", "stretch", "none"]

STATE_PARTS: Mapping[str, Callable[[Observation], FloatArray]] = {
    "pos": lambda now: now["ee_pos"],
    "axisangle": lambda now: quat_to_axisangle(now["ee_quat"], keep_sign=True),
    "short-axisangle": lambda now: quat_to_axisangle(now["ee_quat"]),
    "quat": lambda now: now["ee_quat"],
    "short-quat": lambda now: np.where(now["ee_quat"][3] < 0, -1, 1) * now["ee_quat"],
    "quat-wxyz": lambda now: xyzw_to_wxyz(now["ee_quat"]),
    "rot6d": lambda now: quat_to_rot6d(now["ee_quat"]),
    "fingers": lambda now: now["gripper_qpos"],
    "width": lambda now: now["gripper_qpos"][:1] - now["gripper_qpos"][1:],
    "joints": lambda now: now["joint_pos"],
}
"""Parts of a state, from an observation: metres, radians, unit quaternions."""


def turned(frame: Image, turn: Turn) -> Image:
    """Turn an upright image (H, W, 3) as in the policy's training."""
    match turn:
        case "rotate180":
            return frame
        case "raw":
            return np.ascontiguousarray(frame[::-1, ::-1])
        case "flip":
            return np.ascontiguousarray(frame[:, ::-1])


def fit(frame: Image, size: int, how: Resize) -> Image:
    """Make an image (H, W, 3) fit a square, (size, size, 3) uint8; ``none`` leaves it as it is."""
    match how:
        case "pad":
            return resize_with_pad(frame, size)
        case "stretch":
            scaled = Pillow.fromarray(frame).resize((size, size), Pillow.Resampling.BILINEAR)
            return np.array(scaled)
        case "none":
            return frame


def resize_with_pad(frame: Image, size: int) -> Image:
    """Scale an image (H, W, 3) bilinearly, keeping its aspect ratio, centred on a black square."""
    height, width = frame.shape[:2]
    if (height, width) == (size, size):
        return frame
    longest = max(height, width)
    inner = max(height * size // longest, 1), max(width * size // longest, 1)
    scaled = Pillow.fromarray(frame).resize(inner[::-1], Pillow.Resampling.BILINEAR)
    top, left = (size - inner[0]) // 2, (size - inner[1]) // 2
    square = np.zeros((size, size, 3), np.uint8)
    square[top : top + inner[0], left : left + inner[1]] = np.asarray(scaled)
    return square


ServerKind = Literal["openpi", "starvla", "vla-eval", "libero-bench"]

ProtocolName = Literal["openpi", "starvla"]
"""Protocols of ``policies.remote.protocols``."""

NOTHING = "none"
"""A key or state that is not sent."""

HISTORY = "/history"
"""Ends the keys of earlier images."""

Camera = Literal["agentview", "wrist"]

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "openpi": {},
    "starvla": {
        "protocol": "starvla",
        "state": NOTHING,
        "gripper_range": "unit",
        "gripper_high": "open",
        "gripper_threshold": 0.5,
    },
    "vla-eval": {
        "image_size": 256,
        "state": "pos+short-axisangle+fingers",
        "gripper_threshold": 0.0,
    },
    "libero-bench": {
        "resize": "none",
        "state": "pos+quat+fingers+joints",
        "seed_key": "seed",
        "history": 2,
    },
}
"""Differences from the defaults of ``ServerMapping``, by kind of server."""

_PROBED_SIZE = 256
_NAMES = ("state_key", "prompt_key", "seed_key", "actions_key")
_IMAGE_NAMES = ("image_key", "wrist_key")
_LATER = ("protocol", "unnorm_key")
"""Conventions that are on record only where they are not the usual ones."""


@settings
class ServerMapping:
    """How observations become a server's requests and its answers become plans.

    Raises:
        ConfigError: The state names an unknown part, or options contradict one another.
    """

    server: ServerKind = "openpi"
    """Whose conventions the served policy follows. It presets protocol and the options from
    image-size on, whose defaults are given for openpi."""
    protocol: ProtocolName = "openpi"
    """Whose messages the server reads: openpi's, a request each, or StarVLA's, each with the
    requests of several episodes. StarVLA's have names of their own, no seeds and no history."""
    unnorm_key: str = NOTHING
    """For StarVLA, where a checkpoint was trained on several data sets: the name of the one whose
    statistics make actions of the network's numbers; none leaves it to the server."""
    image_key: str = "observation/image"
    """Name of the fixed camera's image in a request; none to leave it out."""
    wrist_key: str = "observation/wrist_image"
    """Name of the wrist camera's image; none to leave it out."""
    state_key: str = "observation/state"
    """Name of the robot's state."""
    prompt_key: str = "prompt"
    """Name of the instruction."""
    seed_key: str = NOTHING
    """Name of the seed of a plan's randomness, for servers that take one; none to leave it out."""
    actions_key: str = "actions"
    """Name of the plan in an answer."""
    image_size: Annotated[int, Field(ge=16, le=2048)] = 224
    """Height and width of the images to send."""
    resize: Resize = "pad"
    """How images are made to fit: with black borders, stretched, or sent as rendered."""
    image_turn: Turn = "rotate180"
    """How the policy saw images in training: rotate180, as openpi, OpenVLA and LeRobot turn
    them; raw, upside down as LIBERO's files hold them; flip, raw with its rows reversed."""
    wrist_turn: Literal["same", "rotate180", "raw", "flip"] = "same"
    """The same for the wrist camera, where it differs."""
    state: str = "pos+axisangle+fingers"
    """What the state consists of, in order, joined by +, or none: pos (3), fingers (2), width (1,
    metres between the fingers), joints (7), rot6d (6), axisangle (3, the quaternion's sign kept, so
    up to 2π), short-axisangle (up to π), quat (xyzw), short-quat (w not negative), quat-wxyz."""
    state_dtype: Literal["float64", "float32"] = "float64"
    """Type of the state's numbers."""
    prompt_case: Literal["as-is", "lower"] = "as-is"
    """Whether the instruction is sent in lower case."""
    history: Annotated[int, Field(ge=1, le=16)] = 1
    """Control steps of images to send; earlier ones, oldest first, are under the image's name
    followed by /history."""
    gripper_range: Literal["signed", "unit"] = "signed"
    """What the last column of a plan spans: signed, −1 to 1; unit, 0 to 1."""
    gripper_high: Literal["close", "open"] = "close"
    """What the upper end of that range means."""
    gripper_threshold: float | Literal["none"] = "none"
    """Decide the gripper: from this number on, in the server's own range, it is the upper end."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, arguments: ArgsKwargs) -> ArgsKwargs:
        """Fill in the conventions of the kind of server; the user's options come first."""
        options = dict(arguments.kwargs or {})
        preset = dict(PRESETS.get(options.get("server", "openpi"), {}))
        if options.get("resize") == "none" and "image_size" in options:
            raise ConfigError(
                f"image_size {options['image_size']} given with resize none, which sends images as "
                "rendered. Fix: leave out one of them; eval's --resolution sets what is rendered."
            )
        return ArgsKwargs(arguments.args, {**preset, **options})

    @model_validator(mode="after")
    def _check_state(self) -> Self:
        parts = self.state.split("+")
        for part in () if self.state == NOTHING else parts:
            if part not in STATE_PARTS:
                raise unknown_name("part of the state", part, (*STATE_PARTS, NOTHING))
        if len(set(parts)) < len(parts):
            raise ConfigError(f"The state '{self.state}' names a part twice. Fix: name each once.")
        return self

    @model_validator(mode="after")
    def _check_protocol(self) -> Self:
        usual = {name: each.default for name, each in ServerMapping.__dataclass_fields__.items()}
        if self.protocol != "starvla":
            if self.unnorm_key != NOTHING:
                raise ConfigError(
                    f"unnorm_key '{self.unnorm_key}' given with protocol {self.protocol}, whose "
                    "messages have none. Fix: leave it out, or give protocol starvla."
                )
            return self
        for name in (*_NAMES, *_IMAGE_NAMES, "history"):
            allowed = (usual[name], NOTHING) if name in _IMAGE_NAMES else (usual[name],)
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} {getattr(self, name)} given with protocol starvla, whose messages "
                    f"have no such part, or another name for it. Allowed: "
                    f"{' or '.join(map(str, allowed))}. Fix: leave it out, or give protocol openpi."
                )
        return self

    @property
    def conventions(self) -> dict[str, Any]:
        """All conventions as plain data, for a record."""
        fields = ServerMapping.__dataclass_fields__
        values = {name: getattr(self, name) for name in fields}
        return {
            name: value
            for name, value in values.items()
            if name not in _LATER or value != fields[name].default
        }

    @property
    def cameras(self) -> tuple[str, ...]:
        """Cameras whose images are sent."""
        return tuple(self._image_keys)

    @property
    def _image_keys(self) -> dict[Camera, str]:
        keys: dict[Camera, str] = {"agentview": self.image_key, "wrist": self.wrist_key}
        return {camera: key for camera, key in keys.items() if key != NOTHING}

    def request(self, request: PlanRequest) -> dict[str, Any]:
        """Turn a request into a message.

        Args:
            request: Its window's last observation holds the images of ``cameras``, upright (see
                ``tasks.protocols.Protocol.orientation``).

        Returns:
            Images (H, W, 3) uint8, the state (n,), and the instruction, by their keys; earlier
            images (history − 1 or fewer, H, W, 3).
        """
        *earlier, observation = request.window[-self.history :]
        message: dict[str, Any] = {}
        for camera, key in self._image_keys.items():
            message[key] = self._image(observation, camera)
            if self.history > 1:
                frames = [self._image(each, camera) for each in earlier]
                shape = (0, *message[key].shape)
                message[key + HISTORY] = np.stack(frames) if frames else np.empty(shape, np.uint8)
        if NOTHING not in (self.state_key, self.state):
            message[self.state_key] = self.state_of(observation)
        if self.prompt_key != NOTHING:
            message[self.prompt_key] = self.prompt_of(request)
        if self.seed_key != NOTHING:
            message[self.seed_key] = request.seed
        return message

    def images_of(self, observation: Observation) -> list[Image]:
        """Return the images of ``cameras``, (H, W, 3) uint8 each, in the policy's form."""
        return [self._image(observation, camera) for camera in self._image_keys]

    def state_of(self, observation: Observation) -> FloatArray:
        """Return the state, (n,) of ``state_dtype``."""
        parts = [STATE_PARTS[part](observation) for part in self.state.split("+")]
        state: FloatArray = np.concatenate(parts).astype(np.float64).astype(self.state_dtype)
        return state

    def prompt_of(self, request: PlanRequest) -> str:
        """Return the instruction, in lower case where that is asked for."""
        prompt = request.instruction
        return prompt.lower() if self.prompt_case == "lower" else prompt

    def blank_request(self) -> PlanRequest:
        """Return a request with black images and zeros, to probe a server's plans."""
        size = _PROBED_SIZE if self.resize == "none" else self.image_size
        black = np.zeros((size, size, 3), np.uint8)
        observation = Observation(
            agentview=black,
            wrist=black,
            joint_pos=np.zeros(7),
            ee_pos=np.zeros(3),
            ee_quat=np.array([0.0, 0.0, 0.0, 1.0]),
            gripper_qpos=np.zeros(2),
        )
        return PlanRequest(window=[observation], instruction="do nothing", seed=0)

    def commands(self, actions: FloatArray) -> FloatArray:
        """Turn a server's actions into LIBERO's, clipped to [−1, 1] as its controller does.

        Args:
            actions: (steps, 7) finite; deltas of position and axis-angle, and the gripper in the
                server's convention.

        Returns:
            (steps, 7); gripper −1 open and +1 close.
        """
        commands = np.array(actions, dtype=np.float64)
        gripper = commands[:, -1]
        if not isinstance(self.gripper_threshold, str):
            gripper = np.where(gripper >= self.gripper_threshold, 1.0, -1.0)
        elif self.gripper_range == "unit":
            gripper = 2 * gripper - 1
        commands[:, -1] = -gripper if self.gripper_high == "open" else gripper
        clipped: FloatArray = commands.clip(-1.0, 1.0)
        return clipped

    def _image(self, observation: Observation, camera: Camera) -> Image:
        turn = self.image_turn
        if camera == "wrist" and self.wrist_turn != "same":
            turn = self.wrist_turn
        return fit(turned(observation[camera], turn), self.image_size, self.resize)
