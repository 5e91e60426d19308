"""Goal predicates, against LIBERO's own evaluation on states of the real simulator."""

from collections.abc import Iterator

import numpy as np
import pytest

from policies.expert import ExpertPolicy
from policies.interface import PlanRequest
from tasks.protocols import get_protocol
from tasks.simulation.goals import ContactReader, GoalMonitor, GoalProgress
from tasks.simulation.simulator import Simulator
from tasks.suites import find_task

pytestmark = pytest.mark.sim

DRAWER = "KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet_and_put_the_black_bowl_on_top_of_it"
CLOSED = "Close(wooden_cabinet_1_top_region)"
ON_TOP = "On(akita_black_bowl_1, wooden_cabinet_1_top_side)"
KNOB = "flat_stove_1_button"


def built(suite: str, task: str | int) -> Simulator:
    return Simulator(find_task(suite, task), get_protocol(), images=False)


@pytest.fixture(scope="module")
def stove() -> Iterator[Simulator]:
    simulator = built("libero_90", "KITCHEN_SCENE8_turn_off_the_stove")
    yield simulator
    simulator.close()


def agrees(simulator: Simulator, progress: GoalProgress) -> bool:
    """Whether LIBERO's own evaluation of each predicate and of success says the same."""
    env = simulator.env
    own = [bool(env._eval_predicate(goal)) for goal in env.parsed_problem["goal_state"]]
    same = list(progress.holding.values()) == own and progress.count == sum(own)
    return same and progress.success == bool(env._check_success())


def test_an_episode_is_judged_as_libero_judges_it() -> None:
    """The expert closes a drawer and puts a bowl on the cabinet."""
    simulator = built("libero_90", DRAWER)
    simulator.reset(0)
    monitor, reader = GoalMonitor(simulator.env), ContactReader(simulator.env)
    assert monitor.names == (CLOSED, ON_TOP)
    expert = ExpertPolicy()
    expert.begin(simulator, 0)
    request = PlanRequest(window=[], instruction=simulator.task.instruction, seed=0)
    progress = monitor.update(0)
    firsts: dict[str, int | None] = dict.fromkeys(monitor.names)
    touching = 0
    while not progress.success and progress.step < 400:
        simulator.step(expert.plan([request])[0][0])
        progress = monitor.update(progress.step + 1)
        assert agrees(simulator, progress), progress
        for name, holds in progress.holding.items():
            if holds and firsts[name] is None:
                firsts[name] = progress.step
        assert progress.first_held == firsts
        if progress.step % 20 == 0:
            touching += contacts_agree(simulator, reader)
    simulator.close()
    assert progress.success, expert.failure
    assert firsts[CLOSED] < firsts[ON_TOP] == progress.step
    assert touching > 0


def contacts_agree(simulator: Simulator, reader: ContactReader) -> int:
    """Compare all pairs of gripper, objects and fixtures; return how many touch."""
    env = simulator.env
    bodies = [env.robots[0].gripper, *env.objects_dict.values(), *env.fixtures_dict.values()]
    pairs = [(first, second) for first in bodies for second in bodies]
    own = [env.check_contact(first, second) for first, second in pairs]
    assert [reader.check_contact(first, second) for first, second in pairs] == own
    return sum(
        first is not second and touch for (first, second), touch in zip(pairs, own, strict=True)
    )


@pytest.mark.parametrize("knob", [-0.01, 0.2, 0.7])
def test_a_stove_is_read_without_switching_its_burner(stove: Simulator, knob: float) -> None:
    """Between off and on, TurnOff shows the burner and the control step hides it."""
    stove.reset(0)
    env = stove.env
    env.sim.data.set_joint_qpos(KNOB, knob)
    shown = env.get_object("flat_stove_1").object_properties["vis_site_names"]
    before, rgba = dict(shown), env.sim.model.site_rgba.copy()
    state = stove.get_state()
    progress = GoalMonitor(env).update(0)
    assert progress.success == (knob < 0)
    assert shown == before
    np.testing.assert_array_equal(env.sim.model.site_rgba, rgba)
    np.testing.assert_array_equal(stove.get_state(), state)
    assert agrees(stove, progress)


def test_what_held_first_is_forgotten_at_a_reset(stove: Simulator) -> None:
    stove.reset(0)
    monitor = GoalMonitor(stove.env)
    (name,) = monitor.names
    assert name == "TurnOff(flat_stove_1)"
    for step, knob in enumerate((0.7, -0.01, 0.7, -0.01)):
        stove.env.sim.data.set_joint_qpos(KNOB, knob)
        progress = monitor.update(step)
        assert progress.holding == {name: knob < 0}
        assert progress.first_held == {name: None if step == 0 else 1}
    monitor.reset()
    stove.env.sim.data.set_joint_qpos(KNOB, 0.7)
    assert monitor.update(5).first_held == {name: None}
