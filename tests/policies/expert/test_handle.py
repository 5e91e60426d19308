import numpy as np

from policies.expert.articulation import Articulation
from policies.expert.geometry import OrientedBoxes
from policies.expert.handle import handle_grasp_candidates
from tests.policies.expert.shapes import HOME


def test_holds_close_across_a_bar_and_never_push_from_behind():
    slide = Articulation(
        joint=0,
        bodies=np.array([1]),
        hinge=False,
        axis=np.array([0.0, 1, 0]),
        anchor=np.zeros(3),
        sign=1.0,
        target=0.2,
    )
    bar = OrientedBoxes(np.zeros((1, 3)), np.eye(3)[None], np.array([[0.05, 0.008, 0.008]]))
    holds = list(handle_grasp_candidates(bar, slide, HOME))
    assert holds
    for hold in holds:
        assert abs(hold.pose.rotation[0, 0]) < 0.6  # never along the bar
        assert hold.pose.rotation[1, 2] < 0.5 + 1e-9
    wide = OrientedBoxes(np.zeros((1, 3)), np.eye(3)[None], np.array([[0.05, 0.05, 0.05]]))
    assert not list(handle_grasp_candidates(wide, slide, HOME))
