"""What the server sees, against independent formulas."""

import math

import numpy as np
import pytest
from PIL import Image

from policies.interface import PlanRequest
from policies.remote.observation import build_request, resize_with_pad, state_of
from tasks.observation import Observation


def seen(size: int = 256, quat: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)) -> Observation:
    rows = np.linspace(255, 0, size).astype(np.uint8)  # upright: bright above
    picture = np.broadcast_to(rows[:, None, None], (size, size, 3)).copy()
    return Observation(
        agentview=picture,
        wrist=255 - picture,
        joint_pos=np.zeros(7),
        ee_pos=np.array([0.1, -0.2, 0.3]),
        ee_quat=np.array(quat),
        gripper_qpos=np.array([0.04, -0.04]),
        instruction="open it",
    )


def robosuite_axisangle(quat: np.ndarray) -> np.ndarray:
    """2·acos(w)/√(1−w²)·(x, y, z): the formula that LIBERO's data was made with."""
    w = min(max(quat[3], -1.0), 1.0)
    return quat[:3] * 2 * math.acos(w) / math.sqrt(1 - w * w)


def test_a_request_has_openpis_keys_shapes_and_dtypes() -> None:
    window = [seen(64), seen()]
    message = build_request(PlanRequest(window=window, instruction="open it", seed=0), 224)
    assert set(message) == {
        "observation/image",
        "observation/wrist_image",
        "observation/state",
        "prompt",
    }
    for key in ("observation/image", "observation/wrist_image"):
        assert (message[key].shape, message[key].dtype) == ((224, 224, 3), np.uint8)
    assert (
        message["observation/image"][0].mean() > 250 > 5 > message["observation/image"][-1].mean()
    )
    assert message["observation/wrist_image"][0].mean() < 5
    assert (message["observation/state"].shape, message["observation/state"].dtype) == ((8,), float)
    assert message["prompt"] == "open it"


@pytest.mark.parametrize("sign", [1, -1])
def test_the_state_keeps_the_sign_of_the_quaternion(sign: int) -> None:
    rng = np.random.default_rng(1 + sign)
    for quat in [np.array([0.996, 0.02, -0.08, 0.03]), *rng.normal(size=(50, 4))]:
        quat = sign * quat / np.linalg.norm(quat)
        state = state_of(seen(quat=tuple(quat)))
        np.testing.assert_allclose(state[3:6], robosuite_axisangle(quat), atol=1e-9)
        np.testing.assert_array_equal(state[:3], [0.1, -0.2, 0.3])
        np.testing.assert_array_equal(state[6:], [0.04, -0.04])
    np.testing.assert_array_equal(state_of(seen())[3:6], 0)


@pytest.mark.parametrize("size", [128, 224, 256, 360, 255])
def test_square_pictures_fill_the_square(size: int) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    scaled = Image.fromarray(frame).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize_with_pad(frame, 224), np.asarray(scaled))


def test_other_pictures_are_padded_with_black() -> None:
    frame = np.full((120, 320, 3), 200, np.uint8)
    wide = resize_with_pad(frame, 224)  # 224 × 84 in the middle
    assert (wide[70:154] == 200).all()
    assert (wide[:70] == 0).all()
    assert (wide[154:] == 0).all()
    np.testing.assert_array_equal(
        resize_with_pad(frame.transpose(1, 0, 2), 224), wide.transpose(1, 0, 2)
    )
    assert resize_with_pad(np.full((1, 500, 3), 9, np.uint8), 16).max() == 9
