from types import SimpleNamespace

import numpy as np
import pytest

from policies.expert import ExpertPolicy
from policies.expert.policy import order_goals, with_openings
from policies.interface import PlanRequest, UnsupportedGoalError
from tasks.errors import ConfigError, HarnessError

REQUEST = PlanRequest(window=[], instruction="", seed=0)


def make_env(suite, index, init_state):
    benchmark = pytest.importorskip("libero.libero.benchmark").get_benchmark(suite)()
    from libero.libero.envs.env_wrapper import ControlEnv

    env = ControlEnv(
        bddl_file_name=benchmark.get_task_bddl_file_path(index),
        has_offscreen_renderer=False,
        use_camera_obs=False,
        ignore_done=True,
    )
    state = benchmark.get_task_init_states(index)[init_state]
    start(env, state)
    return env, state


def start(env, state):
    env.seed(0)
    env.reset()
    env.set_init_state(state)
    for _ in range(10):
        env.step([0.0] * 6 + [-1.0])


def solve(env, policy, limit):
    """Run until success has held for ten steps; the number of steps and the actions."""
    policy.begin(SimpleNamespace(env=env.env), seed=3)
    held, actions = 0, []
    while held < 10 and len(actions) < limit:
        (plan,) = policy.plan([REQUEST])
        assert plan.shape == (1, 7)
        actions.append(plan[0])
        env.step(plan[0])
        held = held + 1 if env.check_success() else 0
    assert policy.failure is None
    return held >= 10, np.array(actions)


@pytest.mark.parametrize("wrong", [{"speed": 0.0}, {"speed": 1.5}, {"noise": -0.1}])
def test_settings_out_of_range_are_errors(wrong):
    with pytest.raises(ConfigError, match="must lie in"):
        ExpertPolicy(**wrong)


def test_planning_needs_an_episode():
    policy = ExpertPolicy()
    assert policy.spec.privileged and policy.spec.horizon == 1 and not policy.spec.cameras
    with pytest.raises(ConfigError, match="begin"):
        policy.plan([REQUEST])


@pytest.mark.sim
@pytest.mark.parametrize(
    ("suite", "index", "limit"),
    [
        ("libero_90", 1, 400),
        ("libero_object", 0, 280),
        pytest.param("libero_goal", 0, 300, id="opens a drawer by its handle"),
        pytest.param("libero_goal", 7, 300, id="turns a knob"),
        pytest.param("libero_goal", 5, 300, id="drags a plate"),
        pytest.param("libero_goal", 9, 300, id="lays a bottle down"),
        pytest.param("libero_90", 33, 400, id="shuts a door"),
        pytest.param("libero_10", 3, 520, id="shuts a drawer with a bowl in it"),
        pytest.param("libero_10", 5, 520, id="is_leaning a book in a compartment"),
        pytest.param("libero_10", 9, 520, id="slides a mug into a microwave"),
    ],
)
def test_the_expert_solves_a_task_and_success_lasts(suite, index, limit):
    env, _ = make_env(suite, index, init_state=0)
    policy = ExpertPolicy(speed=1.0, noise=0.15)
    solved, actions = solve(env, policy, limit)
    assert solved and not policy.failed_grasp
    assert np.abs(actions).max() <= 1.0
    for _ in range(40):
        env.step(policy.plan([REQUEST])[0][0])
    assert env.check_success() and policy.done
    assert np.array_equal(policy.plan([REQUEST])[0][0], [0, 0, 0, 0, 0, 0, -1])
    env.close()


@pytest.mark.sim
def test_the_same_state_and_seed_give_the_same_actions_and_leave_the_data_alone():
    env, state = make_env("libero_object", 0, init_state=1)
    sim = env.env.sim
    policy = ExpertPolicy(noise=0.15)
    runs = []
    for _ in range(2):
        start(env, state)
        sim = env.env.sim
        policy.begin(SimpleNamespace(env=env.env), seed=5)
        before = sim.data.qpos.copy(), sim.data.qvel.copy(), sim.data.site_xpos.copy()
        np.random.seed(7)
        expected = np.random.get_state()[1].copy()
        first = policy.plan([REQUEST])[0]
        assert np.array_equal(np.random.get_state()[1], expected)
        after = sim.data.qpos, sim.data.qvel, sim.data.site_xpos
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        env.step(first[0])
        runs.append(np.concatenate([first, policy.plan([REQUEST])[0]]))
    assert np.array_equal(runs[0], runs[1])
    env.close()


ALL = frozenset({"open", "close", "on", "in", "turnon"})


def order(*goals):
    return [" ".join(s.expression) for s in order_goals([g.split() for g in goals], ALL)]


def test_a_drawer_that_stays_empty_is_closed_first():
    assert order("on bowl cabinet_top_side", "close cabinet_top_region") == [
        "close cabinet_top_region",
        "on bowl cabinet_top_side",
    ]


def test_a_drawer_that_is_filled_is_closed_last():
    goals = ["close cabinet_bottom_region", "in bowl cabinet_bottom_region"]
    assert order(*goals) == goals[::-1]


def test_a_fixture_is_closed_after_its_region_is_filled():
    goals = ["close microwave_1", "in mug microwave_1_heating_region"]
    assert order(*goals) == goals[::-1]


def test_opening_and_turning_on_come_before_placements():
    assert order("on pot stove_cook_region", "turnon stove", "open drawer") == [
        "open drawer",
        "turnon stove",
        "on pot stove_cook_region",
    ]


def test_a_support_is_moved_before_what_stands_on_it():
    assert order("on cup plate", "on plate table_region") == [
        "on plate table_region",
        "on cup plate",
    ]


def test_an_unsupported_goal_names_what_is_supported():
    with pytest.raises(UnsupportedGoalError, match="close, in, on") as raised:
        order_goals([["turnon", "stove"]], frozenset({"close", "on", "in"}))
    assert "turnon stove" in str(raised.value)
    assert isinstance(raised.value, HarnessError)


def test_a_shut_container_is_opened_before_it_is_filled():
    goals = [["close", "drawer_region"], ["in", "bowl", "drawer_region"], ["on", "cup", "plate"]]
    opened = with_openings(goals, lambda name: name == "drawer_region")
    assert [" ".join(s.expression) for s in order_goals(opened, ALL)] == [
        "open drawer_region",
        "in bowl drawer_region",
        "on cup plate",
        "close drawer_region",
    ]


def test_what_is_open_or_opened_anyway_is_not_opened_again():
    goals = [["In", "bowl", "drawer_region"], ["Open", "drawer_region"]]
    assert with_openings(goals, lambda name: True) == goals
    assert with_openings(goals[:1], lambda name: False) == goals[:1]
