import numpy as np

from policies.baselines import NoopPolicy, RandomPolicy
from policies.interface import PlanRequest


def request(seed: int) -> PlanRequest:
    return PlanRequest(window=(), instruction="do it", seed=seed)


def test_random_depends_on_the_request_alone() -> None:
    policy = RandomPolicy()
    alone = policy.plan([request(3)])[0]
    others = policy.plan([request(1), request(3), request(2)])
    np.testing.assert_array_equal(alone, others[1])
    assert not np.array_equal(others[0], others[1])
    assert alone.shape == (64, 7)
    assert np.abs(alone).max() <= 1.0


def test_noop_holds_still_with_an_open_gripper() -> None:
    plan = NoopPolicy().plan([request(0)])[0]
    assert (plan[:, :6] == 0).all()
    assert (plan[:, 6] == -1).all()
