"""LIBERO-PRO's suites: their tasks, what they derive from, and what they change."""

from pathlib import Path

import numpy as np
import pytest

from tasks.environment import LiberoEnv
from tasks.errors import ConfigError
from tasks.pro_suites import (
    ADDED_OBJECTS,
    INCOMPLETE_SUITES,
    PRO_SUITES,
    SHIFTED_SUITES,
    pro_perturbation,
)
from tasks.suites import base_suite, check_states, find_task, suite_tasks

ADDED = [suite for suite in PRO_SUITES if suite.endswith(tuple(ADDED_OBJECTS))]


def test_there_are_36() -> None:
    assert (len(PRO_SUITES), len(ADDED), len(SHIFTED_SUITES)) == (36, 10, 10)


@pytest.mark.parametrize("suite", PRO_SUITES)
def test_each_task_derives_from_one_of_its_base(suite: str) -> None:
    tasks, base = suite_tasks(suite), suite_tasks(base_suite(suite))
    assert sorted(task.base_task for task in tasks) == sorted(task.name for task in base)
    assert [task.index for task in tasks] == list(range(10))
    for task in tasks:
        assert task.bddl_file.parent.name == suite
        if suite not in INCOMPLETE_SUITES:
            assert len(task.init_states()) == (10 if suite.endswith("_milk") else 50)


def test_tasks_are_found_by_words_where_their_order_is_another() -> None:
    others = {
        ("libero_object_with_mug", 1): "pick_up_the_bbq_sauce_and_place_it_in_the_basket",
        ("libero_goal_with_milk", 0): "open_the_middle_drawer_of_the_cabinet",
        ("libero_goal_with_milk", 6): "put_the_cream_cheese_in_the_bowl",
        ("libero_spatial_with_milk", 5): (
            "pick_up_the_black_bowl_next_to_the_ramekin_and_place_it_on_the_plate"
        ),
        ("libero_10_with_milk", 9): "KITCHEN_SCENE3_turn_on_the_stove_and_put_the_moka_pot_on_it",
    }
    assert {key: find_task(*key).base_task for key in others} == others


@pytest.mark.parametrize("suite", SHIFTED_SUITES)
def test_a_shifted_target_is_that_far_from_where_it_was(suite: str) -> None:
    """The first free body is the target; one file of upstream's has it 13 cm farther."""
    axis, metres = SHIFTED_SUITES[suite]
    for task, original in zip(suite_tasks(suite), suite_tasks("libero_object"), strict=True):
        assert task.name == original.name
        states = task.init_states()
        if not len(states):
            continue
        moved = states[:, 10:13].mean(0) - original.init_states()[:, 10:13].mean(0)
        along = abs(moved["xy".index(axis)])
        off = suite.endswith("x0.5") and "butter" in task.name
        assert along == pytest.approx(0.48 if off else metres, abs=0.006)
        assert abs(moved["yx".index(axis)]) < 0.005


def test_added_objects_make_the_states_longer() -> None:
    for suite in ADDED:
        base = {task.name: task for task in suite_tasks(base_suite(suite))}
        for task in suite_tasks(suite):
            states = task.init_states()
            if len(states):
                assert states.shape[1] == base[task.base_task].init_states().shape[1] + 13
                assert np.isfinite(states).all()


def test_perturbations_have_names() -> None:
    assert pro_perturbation("libero_object_temp_y0.3") == "target:y=0.21"
    assert pro_perturbation("libero_10_with_mug") == "added:mug"
    assert pro_perturbation("libero_spatial_with_yellow_book") == "added:yellow_book"
    assert pro_perturbation("libero_goal_swap") is pro_perturbation("libero_goal") is None


def test_tasks_without_states_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"3 'FLOOR_SCENE1_put_both_the.*4 'FLOOR.*0,1,2,5,6,7"):
        check_states(suite_tasks("libero_10_with_milk"))
    check_states(suite_tasks("libero_10_with_milk")[5:])
    env = LiberoEnv("libero_object_temp_y0.5", 1, images=False)
    with pytest.raises(ConfigError, match=r"task 1 'pick_up_the_cream_cheese.*--tasks 0,2,3"):
        env.reset()


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("suite", ["libero_object_temp_x0.2", "libero_goal_with_mug"])
def test_they_run(suite: str, tmp_path: Path) -> None:
    env = LiberoEnv(suite, 2, images=False)
    observation, info = env.reset(options={"init_state": 3})
    assert observation["instruction"] == find_task(suite, 2).name_instruction
    assert not info["success"]
    _, _, terminated, _, info = env.step(np.zeros(7))
    assert not terminated and info["steps"] == 1
    env.close()
