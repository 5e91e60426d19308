"""The Gymnasium environments on the real simulator."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import tasks
from tasks.actions import check_actions, goals_of
from tasks.environment import LiberoEnv
from tasks.errors import ConfigError, PrerequisiteError, SimulatorError
from tasks.observation import CAMERAS, GOAL_DIM, FloatArray
from tasks.rotations import quat_to_matrix
from tasks.suites import SUITES, find_task

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
        ({"hold_steps": -1}, "hold_steps -1"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_built(arguments, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LiberoEnv("libero_goal", **arguments)


@pytest.mark.sim
def test_gymnasium_accepts_it(env) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        check_env(env.unwrapped, skip_render_check=False)  # raises what it finds
    unbounded = ("minimum value is -infinity", "maximum value is infinity")
    messages = [str(w.message) for w in warned if w.category is not DeprecationWarning]
    assert [text for text in messages if not any(words in text for words in unbounded)] == []
    observation, _ = env.reset()
    assert env.observation_space.contains(observation)


@pytest.mark.sim
def test_observations_hold_what_they_should(env) -> None:
    observation, info = env.reset(options={"init_state": 4})
    assert info["init_state"] == 4
    assert observation["agentview"].shape == observation["wrist"].shape == (SIZE, SIZE, 3)
    assert observation["instruction"] == "pick up the alphabet soup and place it in the basket"
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
@pytest.mark.parametrize(
    ("action", "words"),
    [
        (np.full(7, np.nan), "NaN"),
        (np.array([0, 0, np.inf, 0, 0, 0, 0]), "infinity"),
        (np.full(7, 1.5), "1.5"),
        (np.zeros(6), r"\(1, 6\)"),
        (np.zeros((2, 7)), r"\(1, 2, 7\)"),
        (["left"] * 7, "must be numbers"),
        (["0.5"] * 7, "must be numbers"),
        (np.ones(7, dtype=bool), "must be numbers.*bool"),
        (np.zeros(7, dtype=complex), "must be numbers.*complex"),
        ([], "No action given"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(env, action, words: str) -> None:
    env.reset(options={"init_state": 0})
    before = env.unwrapped.get_state()
    with pytest.raises(ConfigError, match=words):
        env.step(action)
    np.testing.assert_array_equal(env.unwrapped.get_state(), before)
    assert env.unwrapped.elapsed == 0


@pytest.mark.sim
def test_a_renderer_that_shows_nothing_is_an_error(env, monkeypatch) -> None:
    simulator = env.unwrapped.simulator
    reset = simulator.reset

    def reset_blind(*given, **how):
        seen = reset(*given, **how)
        return {**seen, **{camera: np.zeros_like(seen[camera]) for camera in how["cameras"]}}

    with monkeypatch.context() as patch:
        patch.setattr(simulator, "reset", reset_blind)
        with pytest.raises(PrerequisiteError, match=r"camera agentview has one colour.*MUJOCO_GL"):
            env.reset(options={"init_state": 0})
        env.reset(options={"init_state": 0, "cameras": ()})  # who looks at nothing misses nothing
    env.reset(options={"init_state": 0})


@pytest.mark.sim
def test_a_slice_needs_a_history_that_exists(env) -> None:
    env.reset(options={"init_state": 0})
    with pytest.raises(ConfigError, match="history -1"):
        env.unwrapped.execute(np.zeros((1, 7)), history=-1)


@pytest.mark.sim
def test_nothing_is_executed_after_the_end(env) -> None:
    env.reset(options={"init_state": 0})
    env.unwrapped.max_steps = 2
    try:
        assert len(env.unwrapped.execute(np.zeros((5, 7))).observations) == 2
        with pytest.raises(SimulatorError, match=r"ended at the step limit at step 2; call reset"):
            env.step(np.zeros(7))
        env.reset(options={"init_state": 0})
        assert env.step(np.zeros(7))[4]["steps"] == 1
    finally:
        env.unwrapped.max_steps = 280


@pytest.mark.sim
def test_states_are_taken_and_set(env) -> None:
    _, info = env.reset(options={"init_state": 6})
    inner = env.unwrapped
    start = inner.get_state()
    assert start.shape == inner.task.init_states()[6].shape
    inner.execute(np.tile([0.5, 0, 0, 0, 0, 0, -1.0], (5, 1)))
    assert not np.array_equal(inner.get_state(), start)
    inner.set_state(start)
    np.testing.assert_array_equal(inner.get_state(), start)
    state = inner.task.init_states()[6]
    seed = inner.protocol.scene(6).seed
    _, again = env.reset(seed=seed, options={"init_state": state})
    assert "init_state" not in again
    assert info["scene_hash"] == again["scene_hash"]  # objects stand on a floor without fixtures
    # The solver's last bits start from what the reset sampled, which is another scene's.
    np.testing.assert_allclose(inner.get_state(), start, atol=1e-9)


@pytest.mark.sim
def test_states_of_another_task_are_refused(env) -> None:
    other = find_task("libero_goal", 0).init_states()[0]
    env.reset(options={"init_state": 0})
    inner = env.unwrapped
    before = inner.get_state()
    broken = before.copy()
    broken[3] = np.nan
    for state, words in ((other, r"shape \(79,\) does not fit"), (broken, "NaN")):
        with pytest.raises(ConfigError, match=words):
            inner.set_state(state)
        with pytest.raises(ConfigError, match=words):
            env.reset(options={"init_state": state})
        env.reset(options={"init_state": 0})
        np.testing.assert_array_equal(inner.get_state(), before)


@pytest.mark.sim
def test_bad_reset_options_are_refused(env) -> None:
    with pytest.raises(ConfigError, match="Allowed: 0 to 49"):
        env.reset(options={"init_state": 50})
    for wrong in (1.5, True, "3"):
        with pytest.raises(ConfigError, match="Allowed: an index"):
            env.reset(options={"init_state": wrong})
    with pytest.raises(ConfigError, match="Did you mean 'init_state'"):
        env.reset(options={"init_sate": 0})


@pytest.mark.sim
def test_acting_before_reset_is_refused() -> None:
    fresh = LiberoEnv("libero_object", resolution=SIZE)
    for act in (
        lambda: fresh.execute(np.zeros((1, 7))),
        lambda: fresh.step(np.zeros(7)),
        fresh.get_state,
        lambda: fresh.set_state(np.zeros(110)),
        fresh.info,
    ):
        with pytest.raises(SimulatorError, match="reset"):
            act()


@pytest.mark.sim
def test_a_closed_environment_needs_a_reset() -> None:
    made = LiberoEnv("libero_object", resolution=SIZE, images=False)
    made.reset(options={"init_state": 0})
    made.close()
    with pytest.raises(SimulatorError, match="reset"):
        made.step(np.zeros(7))


@pytest.mark.sim
def test_info_tells_the_goal_and_the_scene(env) -> None:
    name = "In(alphabet_soup_1, basket_1_contain_region)"
    _, info = env.reset(options={"init_state": 1})
    scene = info["scene_hash"]
    assert len(scene) == 12
    start = {"steps": 0, "success": False, "goals": {name: False}, "first_held": {}}
    assert info == {**start, "init_state": 1, "scene_hash": scene}
    *_, info = env.step(np.zeros(7))
    assert info == {**start, "steps": 1, "scene_hash": scene}


def soup_in_basket(env: LiberoEnv, *, rising: float = 0.0) -> FloatArray:
    """Start an episode; return a state with the soup in the basket, rising with so many m/s."""
    env.reset(options={"init_state": 0})
    sim = env.simulator.env.sim
    place, _ = sim.model.get_joint_qpos_addr("alphabet_soup_1_joint0")
    speed, _ = sim.model.get_joint_qvel_addr("alphabet_soup_1_joint0")
    state = env.get_state()
    state[1 + place : 4 + place] = sim.data.get_site_xpos("basket_1_contain_region")
    state[1 + sim.model.nq + speed + 2] = rising
    return state


@pytest.mark.sim
def test_success_ends_the_episode_unless_the_state_is_set_back() -> None:
    made = LiberoEnv("libero_object", resolution=SIZE, images=False)
    state = soup_in_basket(made)
    start = made.get_state()
    made.set_state(state)
    _, reward, terminated, truncated, info = made.step(np.zeros(7))
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert list(info["first_held"].values()) == [1]
    assert "held_steps" not in info
    with pytest.raises(SimulatorError, match="ended by success at step 1; call reset"):
        made.execute(np.zeros((1, 7)))
    made.set_state(start)
    assert not made.info()["success"]
    *_, info = made.step(np.zeros(7))
    assert (info["success"], info["steps"]) == (False, 2)
    made.close()


@pytest.mark.sim
def test_success_is_watched_for_as_long_as_asked() -> None:
    """A soup that rises out of the basket succeeds for one step and falls back later."""
    made = LiberoEnv("libero_object", resolution=SIZE, images=False, hold_steps=15)
    outcomes = {}
    for rising, hold_steps in ((0.0, 15), (1.5, 15), (1.5, 2)):
        made.hold_steps = hold_steps
        made.set_state(soup_in_basket(made, rising=rising))
        before = made.get_state()[0]
        _, reward, terminated, _, info = made.step(np.zeros(7))
        assert (reward, terminated, info["success"], info["steps"]) == (1.0, True, True, 1)
        assert list(info["goals"].values()) == [True]
        assert made.elapsed == 1
        assert made.get_state()[0] - before == pytest.approx((1 + hold_steps) / 20)
        outcomes[rising, hold_steps] = (info["held_steps"], info["success_held"])
    made.close()
    assert outcomes == {(0.0, 15): (15, True), (1.5, 15): (0, True), (1.5, 2): (0, False)}


@pytest.mark.sim
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_simulation_is_not_copied(env, duplicate) -> None:
    duplicate(LiberoEnv("libero_object", 3))  # which has none yet
    env.reset(options={"init_state": 0})
    for each in (env, env.unwrapped, env.unwrapped.simulator):
        with pytest.raises(SimulatorError, match=r"Fix: make another .*get_state"):
            duplicate(each.unwrapped if duplicate is copy.copy and each is env else each)
    env.step(np.zeros(7))


@pytest.mark.sim
def test_pictures_are_made_in_the_thread_that_built_it(env) -> None:
    still = np.zeros(7)
    env.reset(options={"init_state": 0})
    env.step(still)
    state = env.unwrapped.get_state()
    with ThreadPoolExecutor(1) as thread:
        for call in (env.reset, env.close, lambda: env.step(still)):
            with pytest.raises(SimulatorError, match="renders in the thread that built it"):
                thread.submit(call).result()
        assert np.array_equal(env.unwrapped.get_state(), state)
        blind = thread.submit(lambda: env.unwrapped.execute([still], cameras=())).result()
    assert blind.steps == 1
    assert env.step(still)[-1]["steps"] == 3


@pytest.mark.sim
def test_goals_are_approached_from_where_the_hand_is(env) -> None:
    actions = np.tile([0.4, -0.3, -0.5, 0.1, 0.05, -0.2, -1.0], (12, 1))
    actions[6:, :3] *= -1
    first, _ = env.reset(options={"init_state": 2})
    made = env.unwrapped.execute(actions, cameras=()).observations
    before = [first, *made[:-1]]
    hands = quat_to_matrix(np.stack([seen["ee_quat"] for seen in before]))
    goals = goals_of(actions, np.stack([seen["ee_pos"] for seen in before]), hands)
    env.reset(options={"init_state": 2})
    again = env.unwrapped.execute(goals, cameras=()).observations
    for one, other in zip(made, again, strict=True):
        np.testing.assert_allclose(other["joint_pos"], one["joint_pos"], atol=1e-7)
    # Off its path the hand still comes to where the goals lead.
    env.reset(options={"init_state": 2})
    env.unwrapped.execute(np.tile([1.0, 1.0, 0, 0, 0, 0, -1], (3, 1)), cameras=())
    still = np.repeat(goals[-1:], 40, axis=0)
    reached = env.unwrapped.execute(still, cameras=()).observations[-1]
    np.testing.assert_allclose(reached["ee_pos"], goals[-1, :3], atol=0.01)


def test_goals_must_be_numbers_and_rows_of_one_kind() -> None:
    goals = np.full((2, GOAL_DIM), 2.5)
    np.testing.assert_array_equal(check_actions(goals), goals)
    with pytest.raises(ConfigError, match="NaN"):
        check_actions(goals * np.nan)
    with pytest.raises(ConfigError, match=r"\(n, 7\), or goals of the hand, \(n, 10\)"):
        check_actions(np.zeros((2, 8)))
