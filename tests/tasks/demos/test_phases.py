"""Phases are found where the data changes, wherever that is."""

import numpy as np
import pytest

from tasks.demos.motion import (
    Phase,
    contact_phases,
    goal_phases,
    gripper_phases,
    merged,
    motion_phases,
    phases_from,
    phases_to_json,
    speed_phases,
)


def test_the_gripper_is_told_to_close_and_to_open() -> None:
    commands = np.array([-1.0, -1, 1, 1, 0, 1, -1, -1, 0.5, 0.5])
    found = [(phase.step, phase.kind) for phase in gripper_phases(commands)]
    assert found == [(2, "close"), (6, "open"), (8, "close")]
    assert gripper_phases(np.ones(3))[0].step == 0
    assert gripper_phases(-np.ones(3)) == []


@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("pauses", [(30,), (17, 61)])
def test_speed_minima_are_found_at_any_pace_and_place(pace: float, pauses: tuple[int, ...]) -> None:
    """Movements with bell-shaped speeds, at rest in between, as reaching hands have them."""
    steps = 90
    clock = np.arange(steps)
    speed = np.ones(steps)
    for pause in pauses:
        speed *= 1 - np.exp(-(((clock - pause) / 4) ** 2))
    path = np.cumsum(pace * 0.01 * speed)
    ee_pos = np.stack([path, 0.5 * path, np.zeros(steps)], axis=1)
    found = [phase.step for phase in speed_phases(ee_pos)]
    assert len(found) == len(pauses)
    assert all(abs(step - pause) <= 1 for step, pause in zip(found, pauses, strict=True))


def test_steady_or_no_motion_has_no_minimum() -> None:
    line = np.linspace(0, 1, 50)[:, None] * np.ones(3)
    assert speed_phases(line) == []
    assert speed_phases(np.zeros((50, 3))) == []
    assert speed_phases(np.zeros((2, 3))) == []


def test_goals_and_contacts_change_for_good_or_not_at_all() -> None:
    holds = [False] * 5 + [True] + [False] * 4 + [True] * 6
    found = goal_phases([{"On(a, b)": value, "Close(c)": True} for value in holds])
    assert found == [Phase(step=10, kind="goal", what="On(a, b)")]
    pair, other = ("bowl", "gripper"), ("bowl", "scene")
    touching = [frozenset({other})] * 4 + [frozenset({pair, other})] * 5 + [frozenset({pair})] * 4
    assert contact_phases(touching) == [
        Phase(step=4, kind="touch", what="bowl + gripper"),
        Phase(step=9, kind="part", what="bowl + scene"),
    ]
    assert goal_phases([]) == []
    assert contact_phases([]) == []


def test_phases_survive_the_file_in_order() -> None:
    phases = merged(
        [Phase(step=9, kind="open")],
        [Phase(step=3, kind="touch", what="a + b"), Phase(step=9, kind="goal", what="On(a, b)")],
    )
    assert [phase.step for phase in phases] == [3, 9, 9]
    import json

    assert phases_from(json.loads(phases_to_json(phases)), 10) == phases


@pytest.mark.parametrize(
    "plain",
    [
        {"step": 1},
        ["close"],
        [{"step": 1}],
        [{"step": 1, "kind": "jump"}],
        [{"step": -1, "kind": "open"}],
        [{"step": 10, "kind": "open"}],
        [{"step": "soon", "kind": "open"}],
    ],
)
def test_other_things_are_no_phases(plain: object) -> None:
    with pytest.raises(ValueError, match=r"phase|list|step|kind|mapping"):
        phases_from(plain, 10)


def test_any_motion_has_its_gripper_and_speed_phases() -> None:
    actions = np.zeros((30, 7))
    actions[:, 6] = np.where(np.arange(30) < 12, -1, 1)
    kinds = {phase.kind for phase in motion_phases(actions, np.zeros((30, 3)))}
    assert kinds == {"close"}
