import pytest

from policies.expert.policy import order_goals, with_openings
from policies.interface import UnsupportedGoalError
from tasks.errors import HarnessError

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
