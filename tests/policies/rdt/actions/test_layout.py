"""The unified vector and LIBERO's way in and out of it, for every shipped layout."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from policies.rdt.actions import slots
from policies.rdt.actions.layout_file import get_layout, shipped_layouts
from tasks.actions import action_to
from tasks.errors import ConfigError
from tasks.observation import GOAL_DIM
from tests.policies.rdt.actions.robots import LIMITS, random_actions, random_state

LAYOUT = get_layout()


@pytest.mark.parametrize("name", sorted({*shipped_layouts()} - {"joints", "eef-goal", "hand-goal"}))
def test_actions_come_back(name: str) -> None:
    layout = get_layout(name)
    state, actions = random_state(), random_actions(40, 16)
    known = state if layout.needs_state else None
    vectors = layout.encode_actions(actions, known)
    assert vectors.shape == (40, 16, 128)
    assert vectors.dtype == np.float32
    back = layout.decode_actions(vectors, known)
    assert back.dtype == np.float64
    # A pose of a metre in float32 is off by 1e-7 m, 1e-5 of what an action of 1 covers.
    np.testing.assert_allclose(back, actions, atol=5e-5 if layout.needs_state else 1e-7)
    np.testing.assert_array_equal(back[..., 6], actions[..., 6])
    assert (np.delete(vectors, layout.action_slots, axis=-1) == 0).all()


def test_goals_are_where_actions_pull_the_hand_and_come_back() -> None:
    layout = get_layout("eef-goal")
    state, actions = random_state(), random_actions(40)
    assert (layout.width, layout.needs_state) == (GOAL_DIM, False)
    vectors = layout.targets(actions, state, tail=3)
    goals = layout.decode_actions(vectors)
    assert goals.shape == (43, GOAL_DIM) and goals.dtype == np.float64
    hands = Rotation.from_quat(state["ee_quat"])
    turned = Rotation.from_rotvec(0.5 * actions[:, 3:6]) * hands
    columns = turned.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(40, 6)
    np.testing.assert_allclose(goals[:40, :3], state["ee_pos"] + 0.05 * actions[:, :3], atol=1e-6)
    np.testing.assert_allclose(goals[:40, 3:9], columns, atol=1e-6)
    np.testing.assert_allclose(goals[40:, :3], state["ee_pos"][[-1] * 3], atol=1e-6)
    for row, (goal, action) in enumerate(zip(goals, actions, strict=False)):
        back = action_to(goal, state["ee_pos"][row], hands.as_matrix()[row])
        np.testing.assert_allclose(back, action, atol=1e-5)
    # From the start alone: where the hand will be by then is expected, the first step is known.
    ahead = layout.encode_actions(actions[None, :5], {k: v[:1] for k, v in state.items()})  # type: ignore[arg-type]
    np.testing.assert_allclose(ahead[0, 0], vectors[0], atol=1e-6)
    np.testing.assert_allclose(layout.encode_actions(goals), vectors, atol=1e-6)
    with pytest.raises(ConfigError, match="give the current state"):
        layout.encode_actions(actions)


def test_the_default_is_what_checkpoints_were_trained_with() -> None:
    """Written out once more, number by number: a layout that changes must change its name."""
    state, actions = random_state(), random_actions(5, 64)
    vectors = LAYOUT.encode_actions(actions)
    wanted = np.zeros((5, 64, 128), np.float32)
    wanted[..., 39:45], wanted[..., 10] = actions[..., :6], (1.0 - actions[..., 6]) / 2
    assert vectors.tobytes() == wanted.tobytes()
    wanted = np.zeros((40, 128), np.float32)
    wanted[:, :7], wanted[:, 30:33] = state["joint_pos"], state["ee_pos"]
    wanted[:, 10] = (state["gripper_qpos"][:, 0] - state["gripper_qpos"][:, 1]) / 0.08
    encoded = LAYOUT.encode_state(state)
    turned = Rotation.from_quat(state["ee_quat"]).as_matrix()[:, :, :2]
    np.testing.assert_allclose(
        encoded[:, 33:39], turned.transpose(0, 2, 1).reshape(40, 6), atol=1e-6
    )
    encoded[:, 33:39] = 0
    assert encoded.tobytes() == wanted.tobytes()
    union = [*range(7), 10, *range(30, 45)]
    assert np.flatnonzero(LAYOUT.mask).tolist() == union
    assert np.flatnonzero(LAYOUT.training_mask).tolist() == union
    assert np.flatnonzero(LAYOUT.action_mask).tolist() == [10, *range(39, 45)]
    assert LAYOUT.hash == "6973af1351b6"


def test_decoding_clips_and_decides_the_gripper() -> None:
    vectors = np.zeros((2, 128), dtype=np.float32)
    vectors[0, 39], vectors[0, 10] = 7.0, 0.51
    vectors[1, 44], vectors[1, 10] = -7.0, 0.49
    first, second = LAYOUT.decode_actions(vectors)
    assert first[0] == 1.0
    assert first[6] == -1.0, "an opening above a half opens"
    assert second[5] == -1.0
    assert second[6] == 1.0


@pytest.mark.parametrize("name", shipped_layouts())
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_neither_clipped_nor_decided(name: str, value: float) -> None:
    layout, state = get_layout(name), random_state(2)
    repeated = {key: np.repeat(part[:1], 4, 0) for key, part in state.items()}
    targets = layout.targets(random_actions(4), repeated)  # type: ignore[arg-type]
    for slot in layout.action_slots:
        vectors = np.repeat(targets[None], 2, 0)
        vectors[1, -1, slot] = value
        whole, broken = layout.decode_actions(vectors, state)
        assert np.isfinite(whole).all()
        assert np.isfinite(broken[:-1]).all()
        assert np.isnan(broken[-1]).all()


@pytest.mark.parametrize(
    ("name", "slot", "opens", "closes"),
    [
        ("tj-chen", 10, -0.01, 0.01),
        ("tj-chen-25", 25, -0.01, 0.01),
        ("joints", 10, 0.01, -0.01),
        ("eef-pose", 10, 0.51, 0.49),
    ],
)
def test_each_gripper_convention_is_decided_at_its_threshold(
    name: str, slot: int, opens: float, closes: float
) -> None:
    layout, state = get_layout(name), random_state(1)
    vectors = layout.targets(random_actions(2), {k: np.repeat(v, 2, 0) for k, v in state.items()})  # type: ignore[arg-type]
    vectors[:, slot] = opens, closes
    decoded = layout.decode_actions(vectors[None], state)
    assert decoded[0, :, 6].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("name", shipped_layouts())
def test_states_do_not_depend_on_the_sign_of_a_quaternion(name: str) -> None:
    state = random_state()
    flipped = state | {"ee_quat": -state["ee_quat"]}
    layout = get_layout(name)
    np.testing.assert_array_equal(layout.encode_state(state), layout.encode_state(flipped))
    if layout.needs_state:
        vectors = layout.targets(random_actions(40), state)[None].repeat(40, 0)
        there, back = (layout.decode_actions(vectors, each) for each in (state, flipped))  # type: ignore[arg-type]
        np.testing.assert_array_equal(there, back)


@pytest.mark.parametrize("name", shipped_layouts())
def test_states_leave_what_they_do_not_mention_at_zero(name: str) -> None:
    layout = get_layout(name)
    encoded = layout.encode_state(random_state())
    assert (np.delete(encoded, layout.state_slots, axis=-1) == 0).all()
    assert (encoded[:, list(layout.state_slots)].std(0) > 0).all()


def test_the_finetuned_checkpoints_find_their_numbers() -> None:
    layout, state, actions = get_layout("tj-chen"), random_state(), random_actions(40)
    encoded, vectors = layout.encode_state(state), layout.encode_actions(actions)
    wanted = (state["gripper_qpos"] + 0.04245) / 0.0943
    np.testing.assert_allclose(encoded[:, 10:12], wanted, atol=1e-6)
    np.testing.assert_array_equal(encoded[:, :7], state["joint_pos"].astype(np.float32))
    np.testing.assert_array_equal(vectors[:, 39:45], actions[:, :6].astype(np.float32))
    np.testing.assert_array_equal(vectors[:, 10], actions[:, 6])
    assert np.flatnonzero(layout.training_mask).tolist() == [*range(7), 10, 11]
    assert np.flatnonzero(layout.mask).tolist() == [10, *range(39, 45)]
    other = get_layout("tj-chen-25")
    assert np.flatnonzero(other.mask).tolist() == [25, *range(39, 45)]


def test_joints_fill_their_range() -> None:
    layout = get_layout("joints")
    state = {k: np.repeat(v, 2, 0) for k, v in random_state(1).items()}
    state |= {"joint_pos": LIMITS.T, "gripper_qpos": np.array([[0, 0], [0.04, -0.04]])}
    ends = layout.encode_state(state)[:, [*range(7), 10]]
    np.testing.assert_allclose(ends, [[-1] * 8, [1] * 8], atol=1e-6)
    with pytest.raises(ConfigError, match="joints put the hand"):
        layout.encode_actions(random_actions(2), state)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "first"), [("eef-pose", 30), ("joints", 0)])
def test_targets_are_where_the_robot_was_next_and_then_stayed(name: str, first: int) -> None:
    layout, state, actions = get_layout(name), random_state(6), random_actions(6)
    targets = layout.targets(actions, state, tail=3)
    states = layout.encode_state(state)
    slots = [slot for slot in layout.action_slots if slot != 10]
    assert first in slots
    rows = [1, 2, 3, 4, 5, 5, 5, 5, 5]
    np.testing.assert_array_equal(targets[:, slots], states[rows][:, slots])
    grips = layout.decode_actions(targets[None], random_state(1))[0, :, 6]
    np.testing.assert_array_equal(grips, [*actions[:, 6], *[actions[-1, 6]] * 3])


def test_targets_of_deltas_are_the_actions_and_then_stillness() -> None:
    actions = random_actions(6)
    targets = LAYOUT.targets(actions, random_state(6), tail=2)
    still = np.zeros((2, 7))
    still[:, 6] = actions[-1, 6]
    np.testing.assert_array_equal(targets, LAYOUT.encode_actions(np.vstack([actions, still])))


def test_poses_cannot_be_executed_from_nowhere() -> None:
    layout = get_layout("eef-pose")
    vectors = layout.targets(random_actions(2), random_state(2))
    with pytest.raises(ConfigError, match="current state"):
        layout.decode_actions(vectors)
    with pytest.raises(ConfigError, match="current state"):
        layout.encode_actions(random_actions(2))


def test_shipped_poses_are_in_the_named_slots() -> None:
    layout = get_layout("eef-pose")
    state = {channel.source: channel.slots for channel in layout.state}
    assert state["ee_pos"] == slots.RIGHT_EEF_POS
    assert state["ee_rot6d"] == slots.RIGHT_EEF_ROT6D
    assert state["gripper_open"] == (slots.RIGHT_GRIPPER_OPEN,)
    assert layout.mask.shape == layout.training_mask.shape == (slots.SIZE,) == (128,)
