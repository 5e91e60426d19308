"""What counts as doing nothing, after OpenVLA's definition."""

import numpy as np

from tasks.demos.motion import noops, pauses


def plain(actions: np.ndarray) -> list[bool]:
    """OpenVLA's loop over single actions, where the previous one is the latest that was kept."""
    kept: list[np.ndarray] = []
    found = []
    for action in actions:
        still = bool(np.linalg.norm(action[:-1]) < 1e-4)
        found.append(still and (not kept or action[-1] == kept[-1][-1]))
        if not found[-1]:
            kept.append(action)
    return found


def test_noops_are_those_of_the_plain_loop() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        actions = rng.normal(size=(40, 7)) * (rng.random((40, 1)) < 0.4)
        actions[:, 6] = rng.choice([-1.0, 1.0], 40)
        assert noops(actions).tolist() == plain(actions)


def test_a_switch_of_the_gripper_is_no_noop_but_waiting_for_it_is() -> None:
    actions = np.zeros((6, 7))
    actions[1, 0] = 0.5
    actions[:, 6] = [-1, -1, -1, 1, 1, -1]
    assert noops(actions).tolist() == [True, False, True, False, True, False]
    small = np.zeros((2, 7))
    small[:, 0] = [0.99e-4, 1.01e-4]
    assert noops(small).tolist() == [True, False]


def test_waiting_for_the_fingers_is_no_pause() -> None:
    """Ten still actions; the fingers close from the fourth to the sixth."""
    actions = np.zeros((10, 7))
    actions[:, 6] = 1.0
    gap = np.array([8, 8, 8, 8, 6, 4, 3, 3, 3, 3]) * 0.01
    fingers = np.stack([gap / 2, -gap / 2], axis=1)
    found = pauses(actions, fingers)
    assert found.tolist() == [True, True, False, False, False, False, False, False, True, True]
    assert noops(actions).all()
