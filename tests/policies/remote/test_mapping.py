"""What the server sees, against independent formulas."""

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from policies.interface import PlanRequest
from policies.remote.mapping import ServerMapping, fit, resize_with_pad
from tasks.errors import ConfigError
from tasks.observation import Observation

OPENPI = ("pos", "axisangle", "fingers")


def seen(size: int = 256, quat: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)) -> Observation:
    rows = np.linspace(255, 0, size).astype(np.uint8)  # upright: bright above
    image = np.broadcast_to(rows[:, None, None], (size, size, 3)).copy()
    return Observation(
        agentview=image,
        wrist=255 - image,
        joint_pos=np.zeros(7),
        ee_pos=np.array([0.1, -0.2, 0.3]),
        ee_quat=np.array(quat),
        gripper_qpos=np.array([0.04, -0.04]),
        instruction="open it",
    )


def sent_state(observation: Observation, parts: tuple[str, ...] = OPENPI) -> np.ndarray:
    mapping = ServerMapping(state="+".join(parts))
    request = PlanRequest(window=[observation], instruction="open it", seed=0)
    return np.asarray(mapping.request(request)["observation/state"])


def robosuite_axisangle(quat: np.ndarray) -> np.ndarray:
    """2·acos(w)/√(1−w²)·(x, y, z): the formula that LIBERO's data was made with."""
    w = min(max(quat[3], -1.0), 1.0)
    return quat[:3] * 2 * math.acos(w) / math.sqrt(1 - w * w)


def test_a_request_has_openpis_keys_shapes_and_dtypes() -> None:
    window = [seen(64), seen()]
    message = ServerMapping().request(PlanRequest(window=window, instruction="open it", seed=0))
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
        state = sent_state(seen(quat=tuple(quat)))
        np.testing.assert_allclose(state[3:6], robosuite_axisangle(quat), atol=1e-9)
        np.testing.assert_array_equal(state[:3], [0.1, -0.2, 0.3])
        np.testing.assert_array_equal(state[6:], [0.04, -0.04])
    np.testing.assert_array_equal(sent_state(seen())[3:6], 0)


@pytest.mark.parametrize("size", [128, 224, 256, 360, 255])
def test_square_images_fill_the_square(size: int) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    scaled = Image.fromarray(frame).resize((224, 224), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(resize_with_pad(frame, 224), np.asarray(scaled))


def test_other_images_are_padded_with_black() -> None:
    frame = np.full((120, 320, 3), 200, np.uint8)
    wide = resize_with_pad(frame, 224)  # 224 × 84 in the middle
    assert (wide[70:154] == 200).all()
    assert (wide[:70] == 0).all()
    assert (wide[154:] == 0).all()
    np.testing.assert_array_equal(
        resize_with_pad(frame.transpose(1, 0, 2), 224), wide.transpose(1, 0, 2)
    )
    assert resize_with_pad(np.full((1, 500, 3), 9, np.uint8), 16).max() == 9


def asked(**options: Any) -> dict[str, Any]:
    """The message for one image whose four corners differ."""
    observation = seen(8, quat=(0.1, -0.3, 0.2, -0.9))
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    observation["agentview"], observation["wrist"] = image, 255 - image
    request = PlanRequest(window=[observation], instruction="Open It", seed=0)
    return ServerMapping(**{"resize": "none", **options}).request(request)


def test_images_are_turned_as_the_policy_saw_them() -> None:
    upright = asked()["observation/image"]
    rendered = upright[::-1, ::-1]  # LIBERO's image, which its peers turn by 180 degrees
    turns = {"rotate180": upright, "raw": rendered, "flip": rendered[::-1]}
    for turn, image in turns.items():
        message = asked(image_turn=turn)
        np.testing.assert_array_equal(message["observation/image"], image)
        np.testing.assert_array_equal(message["observation/wrist_image"], 255 - image)
        message = asked(wrist_turn=turn)
        np.testing.assert_array_equal(message["observation/image"], upright)
        np.testing.assert_array_equal(message["observation/wrist_image"], 255 - image)


def test_images_are_padded_stretched_or_left() -> None:
    wide = np.full((120, 320, 3), 200, np.uint8)
    assert fit(wide, 64, "pad").min() == 0
    assert (fit(wide, 64, "stretch") == 200).all()
    assert fit(wide, 64, "stretch").shape == (64, 64, 3)
    assert fit(wide, 64, "none") is wide


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("quat", lambda q: q),
        ("short-quat", lambda q: -q),
        ("quat-wxyz", lambda q: q[[3, 0, 1, 2]]),
        ("axisangle", robosuite_axisangle),
        ("short-axisangle", lambda q: Rotation.from_quat(q).as_rotvec()),
        ("rot6d", lambda q: Rotation.from_quat(q).as_matrix()[:, :2].T.ravel()),
    ],
)
def test_orientations_are_sent_in_every_form(part: str, expected: Any) -> None:
    quat = np.array([0.1, -0.3, 0.2, -0.9]) / np.linalg.norm([0.1, -0.3, 0.2, -0.9])
    state = sent_state(seen(quat=tuple(quat)), ("fingers", part, "width", "joints", "pos"))
    np.testing.assert_array_equal(state[:2], [0.04, -0.04])
    np.testing.assert_allclose(state[2:-11], expected(quat), atol=1e-12)
    np.testing.assert_array_equal(state[-11:], [0.08, *[0.0] * 7, 0.1, -0.2, 0.3])


def test_names_types_and_words_of_a_message() -> None:
    message = asked(
        image_key="image",
        wrist_key="none",
        state_key="proprio",
        prompt_key="task",
        state="joints+width",
        state_dtype="float32",
        prompt_case="lower",
    )
    assert list(message) == ["image", "proprio", "task"]
    assert (message["proprio"].shape, message["proprio"].dtype) == ((8,), np.float32)
    assert message["task"] == "open it"
    assert set(asked(state="none")) == set(asked()) - {"observation/state"}
    assert ServerMapping(wrist_key="none").cameras == ("agentview",)


def commands(grip: list[float], **options: Any) -> list[float]:
    actions = np.zeros((len(grip), 7), np.float32)
    actions[:, 6] = grip
    read = ServerMapping(**options).commands(actions)
    assert not read[:, :6].any()
    return [round(value, 6) for value in read[:, 6].tolist()]


def test_grippers_of_every_sign_and_range_become_liberos() -> None:
    assert commands([-1, 0.25, 1]) == [-1, 0.25, 1]
    assert commands([-1, 0.25, 1], gripper_high="open") == [1, -0.25, -1]
    assert commands([0, 0.25, 1], gripper_range="unit") == [-1, -0.5, 1]
    assert commands([0, 0.25, 1], gripper_range="unit", gripper_high="open") == [1, 0.5, -1]
    assert commands([0.01, 0.07], gripper_threshold=0.04, gripper_high="open") == [1, -1]
    assert commands([0.2, 0.9], server="starvla") == [1, -1]
    assert commands([0.2, 0.9], server="starvla", gripper_threshold="none") == [0.6, -0.8]
    assert commands([-0.2, 0, 0.1], server="vla-eval") == [-1, 1, 1]


def test_a_kind_of_server_presets_what_is_not_given() -> None:
    assert ServerMapping().conventions == ServerMapping(server="openpi").conventions
    kind = ServerMapping(server="vla-eval", state="pos", image_turn="raw")
    assert (kind.image_size, kind.state, kind.image_turn) == (256, "pos", "raw")
    assert kind.conventions["gripper_threshold"] == 0
    assert ServerMapping(server="vla-eval", image_size=128).image_size == 128


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"state": "pos+qat"}, "part of the state 'qat'.*Did you mean 'quat'"),
        ({"state": ""}, "part of the state ''"),
        ({"state": "pos+none"}, "part of the state 'none'"),
        ({"state": "pos+pos"}, "names a part twice"),
        ({"resize": "none", "image_size": 96}, "image_size 96 given with resize none"),
    ],
)
def test_conventions_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ServerMapping(**options)
    with pytest.raises(ValidationError):
        ServerMapping(gripper_high="up", server="openvla")  # type: ignore[arg-type]
