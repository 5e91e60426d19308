import numpy as np
import pytest

from policies.expert.placing import Place, apart


def test_two_things_on_one_region_go_to_the_sides_they_come_from():
    place = Place(np.array([0.0, 1.0, 0.9]), np.array([0.06, 0.06]), 0.9, 1.0, "on", "cook_region")
    size = np.array([0.07, 0.13, 0.1])
    left, right = np.array([-0.3, 0.2, 0.9]), np.array([0.1, -0.2, 0.9])
    first, second = apart(left, right, size, place), apart(right, left, size, place)
    assert first.target[0] == pytest.approx(-0.045) and second.target[0] == pytest.approx(0.045)
    assert first.target[1] == second.target[1] == 1.0
    assert (first.spread == 0).all() and first.region == "cook_region"


def test_the_narrower_side_decides_where_they_part():
    place = Place(np.zeros(3), np.array([0.06, 0.04]))
    moved = apart(np.array([1.0, 1, 0]), np.zeros(3), np.array([0.2, 0.1, 0.1]), place)
    assert np.allclose(moved.target, [0, 0.03, 0])
