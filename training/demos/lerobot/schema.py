"""The features of an exported LeRobot data set, and an episode's numbers under their names.

They are those of ``lerobot/libero``: two images turned by 180°, a state of 8 numbers and the
action. Added are the joints, the actions without the demonstrator's noise, and, as ``libero.…``,
LIBERO's own arrays in double precision, so that training sees the numbers of the HDF5 files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.demos.lerobot.roles import EXACT
from tasks.demos.reader import Demo
from tasks.rotations import quat_to_axisangle

FPS = 20
"""LIBERO's control frequency."""

Keys = Literal["lerobot", "openpi"]

NAMES: dict[Keys, dict[str, str]] = {
    "lerobot": {
        "agentview": "observation.images.image",
        "wrist": "observation.images.image2",
        "state": "observation.state",
        "action": "action",
    },
    "openpi": {
        "agentview": "image",
        "wrist": "wrist_image",
        "state": "state",
        "action": "actions",
    },
}
"""Features of lerobot/libero, and of physical-intelligence/libero."""

INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_STATE = ["x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "finger_1", "finger_2"]
_ACTION = ["x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "gripper"]
_WIDTHS = {
    "observation.joints": 7,
    "action.intended": 7,
    f"{EXACT}actions": 7,
    f"{EXACT}robot_states": 9,
    f"{EXACT}joint_states": 7,
    f"{EXACT}intended_actions": 7,
}

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What an exported set holds.

    Attributes:
        keys: Whose names it has.
        cameras: Cameras with images.
        size: Height and width of the images, pixels.
        codec: ``h264`` or ``av1``; ``png`` for images in Parquet.
        joints: Whether the joints are known.
        intended: Whether any demonstration has actions without noise.
        exact: Whether LIBERO's arrays are kept in double precision.
    """

    keys: Keys
    cameras: tuple[str, ...]
    size: tuple[int, int]
    codec: str
    joints: bool
    intended: bool
    exact: bool

    @property
    def image_keys(self) -> dict[str, str]:
        """The feature of each camera."""
        return {camera: NAMES[self.keys][camera] for camera in self.cameras}

    @property
    def in_videos(self) -> bool:
        """Whether images are in videos, not in Parquet."""
        return self.codec != "png"

    def columns(self, demo: Demo) -> dict[str, Array]:
        """Return a demonstration's numbers, (T, n) float32 or float64 by feature."""
        fingers, position, quaternion = demo.gripper_qpos, demo.ee_pos, demo.ee_quat
        turned = quat_to_axisangle(quaternion, keep_sign=True)
        names = NAMES[self.keys]
        single = {
            names["state"]: np.concatenate([position, turned, fingers], axis=1),
            names["action"]: demo.actions,
        }
        exact = {
            f"{EXACT}actions": demo.actions,
            f"{EXACT}robot_states": np.concatenate([fingers, position, quaternion], axis=1),
        }
        if self.joints:
            single["observation.joints"] = demo.joint_pos
            exact[f"{EXACT}joint_states"] = demo.joint_pos
        if self.intended:
            single["action.intended"] = demo.intended
            exact[f"{EXACT}intended_actions"] = demo.intended
        columns: dict[str, Array] = {k: v.astype(np.float32) for k, v in single.items()}
        return columns | (exact if self.exact else {})

    def features(self) -> dict[str, dict[str, Any]]:
        """Return the features as ``meta/info.json`` has them."""
        features: dict[str, dict[str, Any]] = {}
        for key in self.image_keys.values():
            features[key] = {
                "dtype": "video" if self.in_videos else "image",
                "shape": [*self.size, 3],
                "names": ["height", "width", "channel"],
            }
            if self.in_videos:
                features[key]["info"] = {
                    "video.height": self.size[0],
                    "video.width": self.size[1],
                    "video.codec": self.codec,
                    "video.pix_fmt": "yuv420p",
                    "video.is_depth_map": False,
                    "video.fps": FPS,
                    "video.channels": 3,
                    "has_audio": False,
                }
        for key, size in self._widths().items():
            dtype = "float64" if key.startswith(EXACT) else "float32"
            features[key] = {"dtype": dtype, "shape": [size], "names": self._names(key)}
        for key in INDICES:
            dtype = "float32" if key == "timestamp" else "int64"
            features[key] = {"dtype": dtype, "shape": [1], "names": None}
        return features

    def _widths(self) -> dict[str, int]:
        names = NAMES[self.keys]
        widths = {names["state"]: 8, names["action"]: 7}
        for key, size in _WIDTHS.items():
            if "joint" in key and not self.joints:
                continue
            if "intended" in key and not self.intended:
                continue
            if key.startswith(EXACT) and not self.exact:
                continue
            widths[key] = size
        return widths

    def _names(self, key: str) -> list[str]:
        if key == NAMES[self.keys]["state"]:
            return _STATE
        if "action" in key:
            return _ACTION
        if "joint" in key:
            return [f"joint_{number}" for number in range(1, 8)]
        return ["finger_1", "finger_2", "x", "y", "z", "qx", "qy", "qz", "qw"]


def indices(*, length: int, episode: int, first: int, task: int) -> Mapping[str, Array]:
    """Return the columns that number an episode's frames.

    Args:
        length: Frames.
        episode: Its index.
        first: Frames of all episodes before.
        task: Its task's index.
    """
    frames = np.arange(length, dtype=np.int64)
    return {
        "timestamp": (frames / FPS).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(length, episode, dtype=np.int64),
        "index": frames + first,
        "task_index": np.full(length, task, dtype=np.int64),
    }
