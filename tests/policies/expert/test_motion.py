from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert.geometry import OrientedBoxes
from policies.expert.motion import CLOSE, Arm, plan_path
from policies.expert.pose import Pose, axis_rotation
from policies.interface import PlanningError
from tests.policies.expert.shapes import HOME, box


class Puppet:
    """A hand that follows actions as the controller does in the long run."""

    def __init__(self):
        self.pose = Pose(np.zeros(3), HOME)

    def hand_pose(self):
        return self.pose

    def follow(self, action):
        turn = action[3:6] * 0.15
        angle = np.linalg.norm(turn)
        spin = axis_rotation(turn, angle) if angle > 1e-9 else np.eye(3)
        self.pose = Pose(self.pose.position + action[:3] * 0.015, spin @ self.pose.rotation)


def arm(puppet, speed=1.0, noise=0.0, seed=0):
    return Arm(puppet, speed=speed, noise=noise, rng=np.random.default_rng(seed))


def test_an_action_is_shortened_without_changing_its_direction():
    action = arm(Puppet(), speed=0.7).toward(Pose(np.array([0.3, 0.4, 0.0]), HOME))
    assert np.allclose(action[:3], [0.42, 0.56, 0.0])
    assert action[6] == -1.0


def test_move_arrives_at_the_last_waypoint_and_passes_the_others():
    puppet = Puppet()
    path = [Pose(np.array([0.1, 0, 0.1]), HOME), Pose(np.array([0.2, 0, 0]), HOME)]
    seen = []
    for action in arm(puppet).move(path):
        puppet.follow(action)
        seen.append(puppet.pose.position)
    assert np.linalg.norm(seen[-1] - [0.2, 0, 0]) < 0.004
    assert min(np.linalg.norm(p - [0.1, 0, 0.1]) for p in seen) < 0.03
    assert len(seen) < 40


def test_move_gives_up_when_the_hand_does_not_follow():
    actions = list(arm(Puppet()).move([Pose(np.array([0.2, 0, 0]), HOME)]))
    assert 0 < len(actions) < 60


def test_noise_is_off_near_a_waypoint_and_follows_the_seed():
    far, near = (Pose(np.array([x, 0.0, 0.0]), HOME) for x in (0.2, 0.02))
    quiet = arm(Puppet())
    noisy = [arm(Puppet(), noise=0.2, seed=s) for s in (1, 1, 2)]
    first, second, third = (a.toward(far, noisy=True) for a in noisy)
    assert np.array_equal(first, second) and not np.array_equal(first, third)
    assert np.array_equal(noisy[0].toward(near, noisy=True), quiet.toward(near))
    assert np.array_equal(noisy[0].toward(far), quiet.toward(far))


def test_hold_keeps_the_gripper_command():
    holder = arm(SimpleNamespace())
    holder.gripper = CLOSE
    (action,) = holder.hold(1)
    assert action.tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_a_free_path_is_straight_and_a_blocked_one_goes_over():
    start, goal = Pose(np.zeros(3), HOME), Pose(np.array([0.4, 0, 0]), HOME)
    shape = box([0, 0, 0], [0.02, 0.02, 0.02])
    assert plan_path(start, goal, shape, box([0, 5, 0], [0.1, 0.1, 0.1])) == [goal]
    wall = box([0.2, 0, 0], [0.01, 0.5, 0.1])
    over = plan_path(start, goal, shape, wall)
    assert over[-1] is goal
    assert max(p.position[2] for p in over) >= 0.12


@pytest.mark.slow
def test_a_path_through_a_closed_room_is_an_error():
    start, goal = Pose(np.zeros(3), HOME), Pose(np.array([0.4, 0, 0]), HOME)
    shape = box([0, 0, 0], [0.02, 0.02, 0.02])
    with pytest.raises(PlanningError, match="path"):
        plan_path(start, goal, shape, box([0.2, 0, 0], [0.01, 5, 5]))


def test_from_under_something_a_path_leads_sideways():
    start, goal = Pose(np.zeros(3), HOME), Pose(np.array([0.5, 0, 0.4]), HOME)
    shape = box([0, 0, 0], [0.02, 0.02, 0.02])
    roof = box([0.0, 0, 0.1], [0.08, 1.0, 0.02])
    floor_to_goal = box([0.25, 0, 0.0], [0.02, 1.0, 0.3])
    path = plan_path(start, goal, shape, OrientedBoxes.concatenate([roof, floor_to_goal]))
    assert path[-1] is goal and abs(path[0].position[0]) > 0.1


def test_a_lasting_error_is_added_up():
    class Weak(Puppet):
        """A hand that small actions do not move."""

        def follow(self, action):
            if np.linalg.norm(action[:3]) > 0.5:
                super().follow(action * 0.3)

    puppet = Weak()
    target = Pose(np.array([0.01, 0, 0]), HOME)
    for action in arm(puppet).move([target], tolerance=0.004, noisy=False):
        puppet.follow(action)
    assert np.linalg.norm(puppet.pose.position - target.position) < 0.004


def test_keep_brings_back_a_hand_that_drifts():
    class Drifting(Puppet):
        """A hand that something pushes at every step."""

        def hand_velocity(self):
            return np.zeros(6)

        def follow(self, action):
            super().follow(action)
            self.pose = self.pose.shifted(np.array([0.002, 0.0, 0.0]))

    kept, left = Drifting(), Drifting()
    for action in arm(kept).keep(Pose(np.zeros(3), HOME), 20):
        kept.follow(action)
    for action in arm(left).hold(20):
        left.follow(action)
    assert left.pose.position[0] > 0.03 > 0.01 > kept.pose.position[0]


def test_damping_counts_the_motion_under_way_as_made():
    puppet = Puppet()
    puppet.hand_velocity = lambda: np.array([0.1, 0, 0, 0, 0, 0])
    target = Pose(np.array([0.02, 0, 0]), HOME)
    plain, damped = (arm(puppet).toward(target, damping=d)[0] for d in (0.0, 0.15))
    assert plain > 0 and damped == pytest.approx(plain + 2.0 * -0.015 / 0.05)
