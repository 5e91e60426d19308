"""The unified vector and LIBERO's way in and out of it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from policies.rdt import vector
from policies.rdt.layout import DEFAULT_LAYOUT, Layout, get_layout, gripper_opening
from tasks.errors import ConfigError

LAYOUT = get_layout(DEFAULT_LAYOUT)


def test_actions_come_back() -> None:
    actions = np.random.RandomState(0).uniform(-1, 1, (5, 64, 7))
    actions[..., 6] = np.sign(actions[..., 6])
    vectors = LAYOUT.encode_actions(actions)
    assert vectors.shape == (5, 64, 128)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[..., 39:45], actions[..., :6], atol=1e-7)
    assert set(np.unique(vectors[..., 10])) == {0.0, 1.0}
    back = LAYOUT.decode_actions(vectors)
    assert back.dtype == np.float64
    np.testing.assert_allclose(back, actions, atol=1e-7)


def test_decoding_clips_and_decides_the_gripper() -> None:
    vectors = np.zeros((2, 128), dtype=np.float32)
    vectors[0, 39], vectors[0, 10] = 7.0, 0.51
    vectors[1, 44], vectors[1, 10] = -7.0, 0.49
    first, second = LAYOUT.decode_actions(vectors)
    assert first[0] == 1.0
    assert first[6] == -1.0, "an opening above a half opens"
    assert second[5] == -1.0
    assert second[6] == 1.0


def test_state_goes_where_pretraining_had_it() -> None:
    rotation = Rotation.random(random_state=np.random.RandomState(3))
    state = LAYOUT.encode_state(
        joint_pos=np.arange(7.0),
        ee_pos=np.array([0.1, 0.2, 0.3]),
        ee_quat=-rotation.as_quat(),
        gripper_qpos=np.array([0.01, -0.01]),
    )
    np.testing.assert_allclose(state[:7], np.arange(7))
    assert state[10] == pytest.approx(0.25)
    np.testing.assert_allclose(state[30:33], [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(state[33:39], rotation.as_matrix()[:, :2].T.ravel(), atol=1e-6)
    elsewhere = np.delete(state, [*range(7), 10, *range(30, 39)])
    assert (elsewhere == 0).all()


def test_gripper_opening_stays_in_its_range() -> None:
    fingers = np.array([[0.04, -0.04], [0.0, 0.0], [0.05, -0.05], [-0.001, 0.001]])
    np.testing.assert_allclose(gripper_opening(fingers), [1.0, 0.0, 1.0, 0.0])


def test_masks() -> None:
    assert LAYOUT.mask.sum() == 7 + 1 + 3 + 6 + 6
    assert LAYOUT.action_mask.sum() == 7
    assert (LAYOUT.mask >= LAYOUT.action_mask).all()
    assert vector.SIZE == len(LAYOUT.mask) == 128


def test_impossible_layouts_are_refused() -> None:
    with pytest.raises(ConfigError, match="eef-velocity"):
        get_layout("eef-velocitty")
    with pytest.raises(ValueError, match="joint_pos"):
        Layout(name="x", state=(("joint_pos", (1,)),), action_deltas=(1,) * 6, action_gripper=0)
    with pytest.raises(ValueError, match="differ"):
        Layout(name="x", state=(), action_deltas=(1,) * 6, action_gripper=0)
