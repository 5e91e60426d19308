import torch

from policies.rdt.encoders.base import LRUCache


def test_the_latest_call_is_kept_whole() -> None:
    made: list[int] = []

    def look_up(*keys: int) -> list[int]:
        before = len(made)

        def make(new: list[int]) -> list[torch.Tensor]:
            made.extend(keys[index] for index in new)
            return [torch.tensor(keys[index]) for index in new]

        assert [int(value) for value in cache.look_up(keys, make)] == list(keys)
        return made[before:]

    cache = LRUCache(2)
    assert look_up(1, 1) == [1]
    assert (look_up(2), look_up(1), look_up(3)) == ([2], [], [3])
    assert (look_up(1), look_up(2)) == ([], [2])
    assert look_up(1, 2, 3, 4, 5) == [3, 4, 5]
    assert len(cache) == 5
    assert look_up(5, 4, 3, 2, 1) == []
    look_up(6)
    assert len(cache) == 2
