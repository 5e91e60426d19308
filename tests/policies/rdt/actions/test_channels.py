import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from policies.rdt.actions.channels import ActionChannel, StateChannel, gripper_opening
from policies.rdt.actions.layout import Layout
from policies.rdt.actions.layout_file import get_layout
from tests.policies.rdt.actions.robots import random_actions, random_state

LAYOUT = get_layout()


def test_gripper_opening_stays_in_its_range() -> None:
    fingers = np.array([[0.04, -0.04], [0.0, 0.0], [0.05, -0.05], [-0.001, 0.001]])
    np.testing.assert_allclose(gripper_opening(fingers), [1.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize("form", ["ee_axis_angle", "ee_quat"])
def test_other_rotation_forms_are_scipys(form: str) -> None:
    state = random_state()
    width = 3 if form == "ee_axis_angle" else 4
    channel = StateChannel(source=form, slots=tuple(range(33, 33 + width)))
    encoded = dataclasses.replace(LAYOUT, state=(channel,)).encode_state(state)
    rotation = Rotation.from_quat(state["ee_quat"])
    wanted = rotation.as_rotvec() if width == 3 else rotation.as_quat(canonical=True)
    # At a half turn two answers are right.
    np.testing.assert_allclose(encoded[:-4, 33 : 33 + width], wanted[:-4], atol=1e-6)
    future = "future_axis_angle" if width == 3 else "future_quat"
    pose = get_layout("eef-pose")
    action = (pose.action[0], ActionChannel(source=future, slots=channel.slots), pose.action[2])
    layout = dataclasses.replace(pose, action=action)
    actions = random_actions(40, 5)
    back = layout.decode_actions(layout.encode_actions(actions, state), state)
    np.testing.assert_allclose(back, actions, atol=5e-5)


def deltas(first: int = 39) -> tuple[ActionChannel, ...]:
    return (
        ActionChannel(source="delta_pos", slots=(first, first + 1, first + 2)),
        ActionChannel(source="delta_rot", slots=(42, 43, 44)),
    )


GRIPPER = ActionChannel(source="gripper_command", slots=(10,), threshold=0.0)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: StateChannel(source="joint_pos", slots=(1,)), "joint_pos needs 7 slots, given 1"),
        (lambda: StateChannel(source="finger", slots=(128,)), "less than 128"),
        (lambda: StateChannel(source="finger", slots=(10,), scale=0.0), "must not be 0"),
        (
            lambda: StateChannel(source="fingers", slots=(10, 11), offset=(1.0,) * 3),
            "one offset or 2 of them, given 3",
        ),
        (lambda: ActionChannel(source="gripper_command", slots=(10,)), "needs a threshold"),
        (
            lambda: ActionChannel(source="gripper_opening", slots=(10,), threshold=-0.2),
            "open and closed, 1 and 0",
        ),
        (
            lambda: ActionChannel(source="delta_pos", slots=(1, 2, 3), threshold=0.0),
            "takes no threshold",
        ),
        (lambda: Layout(name="x", state=(), action=(*deltas(40), GRIPPER)), "slot 42 twice"),
        (lambda: Layout(name="x", state=(), action=deltas()), "one gripper source"),
        (lambda: Layout(name="x", state=(), action=(deltas()[0], GRIPPER)), "delta_rot"),
        (
            lambda: Layout(
                name="x",
                state=(
                    StateChannel(source="finger", slots=(10,)),
                    StateChannel(source="gripper_open", slots=(10,)),
                ),
                action=(*deltas(), GRIPPER),
            ),
            "the state has slot 10 twice",
        ),
        (lambda: dataclasses.replace(LAYOUT, name=""), "at least 1 character"),
    ],
)
def test_impossible_layouts_are_refused(make: object, why: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=why):
        make()
