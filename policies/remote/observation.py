"""What openpi's LIBERO policies are sent: pictures, state and words of one control step.

As openpi's own script for LIBERO (examples/libero/main.py) makes it:

- pictures upright, made to fit a square by bilinear scaling, black where they do not fill it;
- the state is the hand's position, its orientation as axis times angle, and both fingers. The
  orientation keeps the sign of the simulator's quaternion, so its angle lies in [0, 2π]: a policy
  trained on such data must not get the shorter rotation instead, however equal the two are.
"""

from typing import Any

import numpy as np
from PIL import Image as Pillow

from policies.interface import PlanRequest
from tasks.observation import FloatArray, Image, Observation
from tasks.rotations import quat_to_axisangle

STATE_DIM = 8


def build_request(request: PlanRequest, size: int) -> dict[str, Any]:
    """Turn a request into the message that is sent.

    Args:
        request: Its window's last observation holds both pictures.
        size: Height and width of the pictures to send.

    Returns:
        ``observation/image`` and ``observation/wrist_image``, (size, size, 3) uint8,
        ``observation/state``, (8,) float64, and ``prompt``.
    """
    seen = request.window[-1]
    return {
        "observation/image": resize_with_pad(seen["agentview"], size),
        "observation/wrist_image": resize_with_pad(seen["wrist"], size),
        "observation/state": state_of(seen),
        "prompt": request.instruction,
    }


def blank_request(size: int) -> dict[str, Any]:
    """Return a message of black pictures and zeros, to learn what a server's plans look like."""
    return {
        "observation/image": np.zeros((size, size, 3), np.uint8),
        "observation/wrist_image": np.zeros((size, size, 3), np.uint8),
        "observation/state": np.zeros(STATE_DIM),
        "prompt": "do nothing",
    }


def state_of(seen: Observation) -> FloatArray:
    """Return position (3), axis times angle (3, sign of the quaternion kept) and fingers (2)."""
    turn = quat_to_axisangle(seen["ee_quat"], keep_sign=True)
    return np.concatenate([seen["ee_pos"], turn, seen["gripper_qpos"]]).astype(np.float64)


def resize_with_pad(frame: Image, size: int) -> Image:
    """Scale a picture to fit a square, bilinear, centred on black; the aspect ratio stays.

    Args:
        frame: (H, W, 3) uint8.
        size: Height and width to give.

    Returns:
        (size, size, 3) uint8.
    """
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
