"""Starts that are none of a task's initial states, on the real simulator."""

import numpy as np
import pytest

from tasks.environment import LiberoEnv
from tasks.errors import ConfigError, SpecMismatchError
from tasks.observation import FloatArray
from tasks.protocols import SampledStart, StoredStart

pytestmark = pytest.mark.sim

SEED = 100_003


@pytest.fixture(scope="module")
def env():
    """A task whose cabinet and stove no state contains."""
    made = LiberoEnv("libero_goal", 0, images=False)
    yield made
    made.close()


def fixtures(env: LiberoEnv) -> FloatArray:
    libero = env.simulator.env
    bodies = [libero.obj_body_id[name] for name in libero.fixtures_dict]
    model = libero.sim.model._model
    return np.concatenate([model.body_pos[bodies], model.body_quat[bodies]], axis=1)


def test_a_sampled_start_is_the_one_that_demonstrations_are_collected_from(env) -> None:
    expected = env.simulator.reset(None, seed=SEED)
    state, scene = env.simulator.get_state(), env.simulator.scene_hash()
    env.reset(options={"init_state": 3})
    assert env.simulator.scene_hash() != scene
    observation, info = env.reset(seed=5, options={"start": SampledStart(seed=SEED)})
    np.testing.assert_array_equal(env.get_state(), state)
    np.testing.assert_array_equal(observation["ee_pos"], expected["ee_pos"])
    assert info["scene_hash"] == scene
    assert (info["steps"], "init_state" in info) == (0, False)


def test_a_stored_start_has_the_state_and_the_fixtures_of_its_scene(env) -> None:
    env.reset(options={"start": SampledStart(seed=SEED)})
    state, poses, xml = env.get_state(), fixtures(env), env.simulator.model_xml()
    env.reset(options={"init_state": 3})
    elsewhere = fixtures(env)
    assert np.abs(poses - elsewhere).max() > 0.01
    _, info = env.reset(options={"start": StoredStart(state=state, model_xml=xml)})
    np.testing.assert_array_equal(env.get_state(), state)
    np.testing.assert_allclose(fixtures(env), poses, atol=1e-6)
    assert not info["success"]
    assert (info["steps"], env.elapsed) == (0, 0)
    env.execute(np.zeros((3, 7)))
    assert env.elapsed == 3
    env.reset(seed=7, options={"start": StoredStart(state=state)})
    own = fixtures(env)
    env.reset(seed=7, options={"init_state": state})
    np.testing.assert_array_equal(own, fixtures(env))  # those of the seed, as for any state


def test_misfits_are_refused(env) -> None:
    env.reset(options={"init_state": 0})
    state = env.get_state()
    libero = env.simulator.env
    body = next(iter(libero.fixtures_dict.values())).root_body
    nowhere = f'<mujoco><worldbody><body name="{body}" pos="1 nan 2"/></worldbody></mujoco>'
    for start, error, words in [
        (StoredStart(state=state[:-1]), ConfigError, "does not fit"),
        (StoredStart(state=state, model_xml="<mujoco/>"), SpecMismatchError, "has no body"),
        (StoredStart(state=state, model_xml="nothing"), SpecMismatchError, "cannot be read"),
        (StoredStart(state=state, model_xml=nowhere), SpecMismatchError, "3 finite numbers"),
    ]:
        with pytest.raises(error, match=words):
            env.reset(options={"start": start})
    with pytest.raises(ConfigError, match="Both init_state and start"):
        env.reset(options={"start": SampledStart(seed=1), "init_state": 0})
    with pytest.raises(ConfigError, match="Allowed: init_state, start, cameras"):
        env.reset(options={"strat": 1})
