"""Scenes computed from their keys are those of the official environment driven in order."""

import random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tasks.libero_package import import_libero
from tasks.protocols import SceneKey, get_protocol
from tasks.simulation.construction import build_libero
from tasks.simulation.scenes import Scenes
from tasks.suites import Task, find_task

EPISODES = 4
ACTIONS = np.random.default_rng(1).uniform(-1, 1, (2, 7))
CONTROLLER = ("goal_pos", "goal_ori", "initial_joint", "ee_pos", "ee_ori_mat", "J_full")
DATA = ("time", "qpos", "qvel", "act", "ctrl", "qacc", "qacc_warmstart", "xpos", "site_xpos")
MODEL = ("body_pos", "body_quat", "site_rgba", "geom_rgba")


def official(task: Task, *, renderer: bool = False) -> Any:
    """LIBERO's own environment; a renderer changes its hidden state, but none of its draws."""
    import_libero()
    from libero.libero.envs.env_wrapper import ControlEnv

    return ControlEnv(
        bddl_file_name=str(task.bddl_file), has_offscreen_renderer=renderer, use_camera_obs=False
    )


def bodies(control: Any) -> np.ndarray:
    model = control.env.sim.model
    return np.concatenate([model.body_pos, model.body_quat], axis=1)


def hidden_state(control: Any) -> dict[str, Any]:
    sim, robot = control.env.sim, control.env.robots[0]
    state = {name: np.array(getattr(sim.data._data, name)) for name in DATA}
    state |= {name: getattr(sim.model._model, name).copy() for name in MODEL}
    state |= {name: np.array(getattr(robot.controller, name)) for name in CONTROLLER}
    return state | {
        "fingers": np.array(robot.gripper.current_action),
        "updated": robot.controller.new_update,
        "clock": (control.env.timestep, control.env.cur_time, control.env.done),
    }


def episode(control: Any, state: np.ndarray) -> list[dict[str, Any]]:
    """What is hidden in an environment after its reset, after its initial state, after steps."""
    seen = [hidden_state(control)]
    control.set_init_state(state)
    seen.append(hidden_state(control))
    for action in ACTIONS:
        control.step(action)
    return [*seen, hidden_state(control)]


@pytest.mark.sim
@pytest.mark.parametrize(
    ("suite", "index", "protocol"),
    [  # beside their fixtures: a bowl in an open drawer; nothing; an open drawer; a closed door
        ("libero_spatial", 4, "openvla"),
        ("libero_goal", 0, "openpi"),
        ("libero_10", 3, "openpi"),
        ("libero_90", 35, "openvla"),
    ],
)
def test_episodes_have_the_peers_fixtures(suite: str, index: int, protocol: str) -> None:
    task, rules = find_task(suite, index), get_protocol(protocol)
    ours = build_libero(task, rules, images=False)
    scenes_of_ours = Scenes(ours.env)
    order = random.Random(0).sample(range(EPISODES), EPISODES)
    scenes, positions = {}, {}
    for k in [*order, order[0]]:
        scenes_of_ours.reset(rules.scene(k))
        scenes[k], positions[k] = bodies(ours), ours.env.sim.data.qpos.copy()
        ours.step(ACTIONS[0])
    ours.close()
    theirs = official(task)
    theirs.seed({"openvla": 0, "openpi": 7}[protocol])
    for k in range(EPISODES):
        theirs.reset()
        assert_array_equal(scenes[k], bodies(theirs), err_msg=f"episode {k}")
        assert_array_equal(positions[k], theirs.env.sim.data.qpos, err_msg=f"episode {k}")
    theirs.close()
    assert len({scene.tobytes() for scene in scenes.values()}) == EPISODES


@pytest.mark.sim
@pytest.mark.parametrize(("suite", "index"), [("libero_object", 0), ("libero_spatial", 4)])
def test_nothing_hidden_differs_in_later_episodes(suite: str, index: int) -> None:
    task, rules = find_task(suite, index), get_protocol("openvla")
    states = task.init_states()
    ours = build_libero(task, rules, images=True)
    scenes_of_ours = Scenes(ours.env)
    seen = {}
    for k in (2, 0):
        scenes_of_ours.reset(rules.scene(k))
        seen[k] = episode(ours, states[k])
    ours.close()
    theirs = official(task, renderer=True)
    theirs.seed(0)
    for k in range(3):
        theirs.reset()
        expected = episode(theirs, states[k])
        for wanted, found in zip(expected, seen.get(k, expected), strict=True):
            for name, value in wanted.items():
                assert_array_equal(found[name], value, err_msg=f"episode {k}: {name}")
    theirs.close()


@pytest.mark.sim
def test_lerobots_environments_are_reset_once_before_they_are_seeded() -> None:
    task, rules = find_task("libero_90", 1), get_protocol("lerobot")
    ours = build_libero(task, rules, images=False)
    scenes_of_ours = Scenes(ours.env)
    theirs = official(task)
    theirs.reset()
    for k in range(3):
        theirs.seed(rules.seed + k)
        theirs.reset()
        # The environment of a first batch has one reset less behind it for each k here.
        scenes_of_ours.reset(rules.scene(k)._replace(builds=rules.scene(k).builds + k))
        assert_array_equal(bodies(ours), bodies(theirs))
        assert_array_equal(ours.env.sim.data.qpos, theirs.env.sim.data.qpos)
    theirs.close()
    ours.close()


@pytest.mark.sim
def test_resets_that_found_no_placement_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one more build of the model, and so one more copy of what draws numbers."""
    task = find_task("libero_90", 1)
    ours, theirs = build_libero(task, get_protocol(), images=False), official(task)
    from robosuite.utils.errors import RandomizationError
    from robosuite.utils.placement_samplers import SequentialCompositeSampler

    sample, failures = SequentialCompositeSampler.sample, 0

    def often_fail(*args: Any, **kwargs: Any) -> Any:
        nonlocal failures
        if np.random.uniform() < 0.25:
            failures += 1
            raise RandomizationError
        return sample(*args, **kwargs)

    scenes_of_ours = Scenes(ours.env)
    monkeypatch.setattr(SequentialCompositeSampler, "sample", often_fail)
    before = np.random.get_state()[1].copy()
    scenes_of_ours.reset(SceneKey(seed=3, reset=4, builds=6))
    assert_array_equal(np.random.get_state()[1], before)
    assert failures > 0
    theirs.seed(3)
    for _ in range(5):
        theirs.reset()
    assert_array_equal(bodies(ours), bodies(theirs))
    assert_array_equal(ours.env.sim.data.qpos, theirs.env.sim.data.qpos)
    theirs.close()
    ours.close()
