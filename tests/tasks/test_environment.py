"""The Gymnasium environments on the real simulator."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import tasks
from tasks.environment import LiberoEnv
from tasks.errors import ConfigError, SimulatorError
from tasks.observation import CAMERAS
from tasks.suites import SUITES

SIZE = 32


@pytest.fixture(scope="module")
def env():
    made = gymnasium.make(
        "libero/libero_object-v0", task=0, resolution=SIZE, render_mode="rgb_array"
    )
    yield made
    made.close()


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_is_registered(suite: str) -> None:
    made = gymnasium.make(f"tasks:libero/{suite}-v0", task=1, resolution=SIZE)
    assert made.unwrapped.task.suite == suite
    assert made.unwrapped.max_steps == made.unwrapped.protocol.step_limit(suite)
    assert tasks.__doc__


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"task": 99}, "Allowed: 0 to 9"),
        ({"protocol": "none"}, "Unknown protocol"),
        ({"render_mode": "human"}, "Unknown render_mode"),
        ({"resolution": 3}, "16 to 2048"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_built(arguments, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LiberoEnv("libero_goal", **arguments)


@pytest.mark.sim
def test_gymnasium_accepts_it(env) -> None:
    check_env(env.unwrapped, skip_render_check=False)


@pytest.mark.sim
def test_observations_hold_what_they_should(env) -> None:
    observation, info = env.reset(options={"init_state": 4})
    assert info["init_state"] == 4
    assert observation["agentview"].shape == observation["wrist"].shape == (SIZE, SIZE, 3)
    assert observation["instruction"] == "Pick the alphabet soup and place it in the basket"
    assert np.linalg.norm(observation["ee_quat"]) == pytest.approx(1.0)
    picture = env.render()
    np.testing.assert_array_equal(picture[:, :SIZE], observation["agentview"])
    np.testing.assert_array_equal(picture[:, SIZE:], observation["wrist"])


@pytest.mark.sim
def test_a_slice_renders_only_what_was_asked_for(env) -> None:
    env.reset(options={"init_state": 0})
    actions = np.zeros((4, 7))
    plain = env.unwrapped.execute(actions, history=2, cameras=("wrist",))
    assert [["wrist" in o, "agentview" in o] for o in plain.observations] == [
        [False, False],
        [False, False],
        [True, False],
        [True, False],
    ]
    recorded = env.unwrapped.execute(actions, record=CAMERAS)
    assert all("wrist" in o and "agentview" in o for o in recorded.observations)


@pytest.mark.sim
def test_a_slice_is_the_same_as_its_steps(env) -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7))
    env.reset(options={"init_state": 2})
    for action in actions:
        stepped = env.step(action)[0]
    end = env.unwrapped.get_state()
    env.reset(options={"init_state": 2})
    sliced = env.unwrapped.execute(actions, history=1).observations[-1]
    np.testing.assert_array_equal(env.unwrapped.get_state(), end)
    for name, value in stepped.items():
        np.testing.assert_array_equal(sliced[name], value)


@pytest.mark.sim
def test_episodes_end_at_the_step_limit(env) -> None:
    env.reset(options={"init_state": 0})
    env.unwrapped.max_steps = 3
    truncated = [env.step(np.zeros(7))[3] for _ in range(3)]
    env.unwrapped.max_steps = 280
    assert truncated == [False, False, True]


@pytest.mark.sim
@pytest.mark.parametrize("action", [np.full(7, np.nan), np.full(7, 1.5), np.zeros(6)])
def test_bad_actions_are_refused(env, action) -> None:
    env.reset(options={"init_state": 0})
    with pytest.raises(ConfigError, match="Allowed"):
        env.step(action)


@pytest.mark.sim
def test_bad_reset_options_are_refused(env) -> None:
    with pytest.raises(ConfigError, match="Allowed: 0 to 49"):
        env.reset(options={"init_state": 50})
    with pytest.raises(ConfigError, match="Did you mean 'init_state'"):
        env.reset(options={"init_sate": 0})


@pytest.mark.sim
def test_acting_before_reset_is_refused() -> None:
    fresh = LiberoEnv("libero_object", resolution=SIZE)
    with pytest.raises(SimulatorError, match="reset"):
        fresh.execute(np.zeros((1, 7)))


@pytest.mark.sim
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments(mode: str) -> None:
    # A process that has rendered must not be forked; other tests in this one have.
    spawned = {"context": "spawn"} if mode == "async" else {}
    vector = gymnasium.make_vec(
        "tasks:libero/libero_object-v0",
        num_envs=2,
        vectorization_mode=mode,
        vector_kwargs=spawned,
        resolution=SIZE,
    )
    try:
        observation, info = vector.reset(seed=[1, 2], options={"init_state": 3})
        assert observation["agentview"].shape == (2, SIZE, SIZE, 3)
        assert list(observation["instruction"]) == [vector_instruction()] * 2
        assert list(info["init_state"]) == [3, 3]
        observation, rewards, terminated, truncated, _ = vector.step(np.zeros((2, 7)))
        assert list(observation["instruction"]) == [vector_instruction()] * 2
        assert not (rewards.any() or terminated.any() or truncated.any())
    finally:
        vector.close()


def vector_instruction() -> str:
    return "Pick the alphabet soup and place it in the basket"
