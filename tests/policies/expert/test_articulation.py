from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert.articulation import Articulation, target_value
from policies.expert.pose import Pose, axis_rotation


def part(hinge=True, sign=1.0, target=1.0, value=0.25):
    model = SimpleNamespace(jnt_qposadr=[0])
    scene = SimpleNamespace(model=model, data=SimpleNamespace(qpos=[value]))
    made = Articulation(
        joint=0,
        bodies=np.array([1]),
        hinge=hinge,
        axis=np.array([0.0, 0, 1]),
        anchor=np.array([1.0, 0, 0]),
        sign=sign,
        target=target,
    )
    return made, scene


def test_the_wished_value_lies_a_little_past_the_threshold():
    drawer = target_value(lambda q: q < -0.14, 0.0, (-0.16, 0.01), 0.02)
    assert -0.16 < drawer < -0.14
    knob = target_value(lambda q: q >= 0.5, 0.0, (-0.005, 2.1), 0.2)
    assert knob == pytest.approx(0.7, abs=0.01)
    shut = target_value(lambda q: q > -0.005, -1.5, (-2.0, 0.0), 0.2)
    assert -0.005 < shut < 0.0


def test_a_test_that_nothing_fulfils_is_an_error():
    with pytest.raises(ValueError, match="fulfils"):
        target_value(lambda q: False, 0.0, (0.0, 1.0), 0.1)


def test_what_remains_is_counted_in_the_wished_direction():
    forward, scene = part(sign=1.0, target=1.0, value=0.25)
    assert forward.remaining(scene) == pytest.approx(0.75)
    backward, scene = part(sign=-1.0, target=-1.0, value=-1.5)
    assert backward.remaining(scene) == pytest.approx(-0.5)


def test_a_pose_on_a_hinge_goes_round_its_axis_and_turns_with_it():
    hinge, _ = part(sign=-1.0)
    moved = hinge.pose_after(Pose(np.array([2.0, 0, 0.5]), np.eye(3)), np.pi / 2)
    assert np.allclose(moved.position, [1.0, -1.0, 0.5])
    assert np.allclose(moved.rotation, axis_rotation(np.array([0.0, 0, 1]), -np.pi / 2))
    assert np.allclose(hinge.direction(np.array([2.0, 0, 0])), [0, -1, 0])


def test_a_pose_on_a_slide_goes_straight():
    slide, _ = part(hinge=False, sign=-1.0)
    moved = slide.pose_after(Pose(np.zeros(3), np.eye(3)), 0.1)
    assert np.allclose(moved.position, [0, 0, -0.1])
    assert np.allclose(moved.rotation, np.eye(3))
