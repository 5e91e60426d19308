"""The order of samples."""

from collections import Counter
from itertools import chain

from training.data.sampling import EndlessBatches


def test_every_sample_comes_once_per_epoch() -> None:
    batches = list(EndlessBatches(10, 4, seed=1, start=0, stop=5))
    assert [len(batch) for batch in batches] == [4] * 5
    assert Counter(chain(*batches)) == Counter(dict.fromkeys(range(10), 2))
    assert set(list(chain(*batches))[:10]) == set(range(10))


def test_a_resumed_order_is_the_same_order() -> None:
    whole = list(EndlessBatches(10, 4, seed=1, start=0, stop=9))
    for start in range(9):
        assert list(EndlessBatches(10, 4, seed=1, start=start, stop=9)) == whole[start:]


def test_seeds_differ() -> None:
    first = list(EndlessBatches(100, 10, seed=1, start=0, stop=3))
    assert first != list(EndlessBatches(100, 10, seed=2, start=0, stop=3))


def test_processes_share_the_batches_of_one() -> None:
    whole = list(EndlessBatches(10, 4, seed=1, start=4, stop=16))
    shares = [
        list(EndlessBatches(10, 4, seed=1, start=4, stop=16, rank=rank, processes=3))
        for rank in range(3)
    ]
    assert [batch for turn in zip(*shares, strict=True) for batch in turn] == whole
