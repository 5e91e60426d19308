"""Gymnasium's vector environments on the real simulator."""

import gymnasium
import numpy as np
import pytest

from tests.tasks.test_environment import SIZE, soup_in_basket


@pytest.mark.sim
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments(mode: str) -> None:
    # A process that has rendered must not be forked; other tests in this one have.
    spawned = {"context": "spawn"} if mode == "async" else {}
    vector = gymnasium.make_vec(
        "tasks:libero/libero_object-v0",
        num_envs=2,
        vectorization_mode=mode,
        vector_kwargs=spawned,
        resolution=SIZE,
    )
    try:
        observation, info = vector.reset(seed=[1, 2], options={"init_state": 3})
        assert observation["agentview"].shape == (2, SIZE, SIZE, 3)
        assert list(observation["instruction"]) == [vector_instruction()] * 2
        assert list(info["init_state"]) == [3, 3]
        observation, rewards, terminated, truncated, _ = vector.step(np.zeros((2, 7)))
        assert list(observation["instruction"]) == [vector_instruction()] * 2
        assert not (rewards.any() or terminated.any() or truncated.any())
        if mode == "sync":
            name = "In(alphabet_soup_1, basket_1_contain_region)"
            first = vector.envs[0].unwrapped
            first.set_state(soup_in_basket(first))
            *_, infos = vector.step(np.zeros((2, 7)))
            assert list(infos["goals"][name]) == [True, False]
            assert infos["first_held"][name][0] == 1
            assert list(infos["first_held"][f"_{name}"]) == [True, False]
    finally:
        vector.close()


def vector_instruction() -> str:
    return "pick up the alphabet soup and place it in the basket"
