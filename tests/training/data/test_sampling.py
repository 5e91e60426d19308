"""How likely windows are, against formulas."""

from collections import Counter
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest

from tasks.errors import ConfigError
from training.data.sampling import DrawnBatches, EndlessBatches, WindowWeights
from training.data.windows import IndexedDemo
from training.data_settings import DataSettings


def data(*demos: dict[str, object]) -> SimpleNamespace:
    entries = [
        IndexedDemo(rank=rank, of=len(demos), **({"transitions": (), "first_motion": 0} | each))
        for rank, each in enumerate(demos)
    ]
    index = [(d, t) for d, entry in enumerate(entries) for t in range(entry.steps)]
    return SimpleNamespace(entries=entries, index=np.array(index))


def weights(given: SimpleNamespace, **settings: object) -> WindowWeights:
    return WindowWeights(given, DataSettings(**settings))


def test_the_official_way_skips_the_still_start_and_short_demonstrations() -> None:
    given = data({"steps": 130, "first_motion": 5}, {"steps": 127}, {"steps": 200})
    found = weights(given, sampling="official").at(0.0)
    usable = np.array([(d == 0 and t >= 4) or d == 2 for d, t in given.index])
    np.testing.assert_allclose(found, usable / (126 + 200))
    with pytest.raises(ConfigError, match="longest has 127"):
        weights(data({"steps": 127}), sampling="official")


def test_key_moments_have_their_share() -> None:
    given = data({"steps": 100, "transitions": (30, 60)}, {"steps": 50, "transitions": (10,)})
    found = weights(given, sampling="key-moments", key_share=0.4, key_radius=3).at(0.0)
    near = np.array([min(abs(t - k) for k in ((30, 60), (10,))[d]) <= 3 for d, t in given.index])
    assert near.sum() == 21
    np.testing.assert_allclose(found[near], 0.6 / 150 + 0.4 / 21)
    np.testing.assert_allclose(found[~near], 0.6 / 150)
    late = weights(given, sampling="key-moments", key_share=0.4, key_radius=3, late_weight=2.0)
    after = np.array([t >= (60, 10)[d] for d, t in given.index])
    np.testing.assert_allclose(late.at(0.0), found * (1 + after) / (found * (1 + after)).sum())
    with pytest.raises(ConfigError, match="no demonstration has a transition"):
        weights(data({"steps": 9}), sampling="key-moments")


def test_a_curriculum_grows_from_the_end_or_from_one_demonstration() -> None:
    given = data({"steps": 40}, {"steps": 80}, {"steps": 40}, {"steps": 40})
    late = weights(given, curriculum="late-first", curriculum_share=0.5)
    left = np.array([given.entries[d].steps - t for d, t in given.index])
    steps = np.array([given.entries[d].steps for d, _ in given.index])
    for progress, share in ((0.0, 0.25), (0.25, 0.625), (0.5, 1.0), (0.9, 1.0)):
        allowed = left <= np.ceil(share * steps)
        np.testing.assert_allclose(late.at(progress), allowed / allowed.sum())
    few = weights(given, curriculum="few-first", curriculum_share=0.5)
    for progress, count in ((0.0, 1), (0.2, 2), (0.3, 3), (0.5, 4), (1.0, 4)):
        allowed = given.index[:, 0] < count
        np.testing.assert_allclose(few.at(progress), allowed / allowed.sum())


def drawn(given: SimpleNamespace, **place: int) -> list[list[int]]:
    made = weights(given, sampling="key-moments", key_share=0.5, key_radius=0)
    return list(DrawnBatches(made, 8, seed=3, per_update=2, **place))


def test_draws_follow_the_weights_and_do_not_depend_on_where_they_start() -> None:
    given = data({"steps": 10, "transitions": (4,)})
    whole = drawn(given, start=0, stop=1000)
    for start in (1, 500, 999):
        assert drawn(given, start=start, stop=1000) == whole[start:]
    shares = [drawn(given, start=0, stop=1000, rank=rank, processes=2) for rank in (0, 1)]
    assert [batch for turn in zip(*shares, strict=True) for batch in turn] == whole
    counts = Counter(chain(*whole))
    assert counts[4] / 8000 == pytest.approx(0.55, abs=0.02)
    assert counts[0] / 8000 == pytest.approx(0.05, abs=0.01)


def test_settings_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(ConfigError, match="--key-radius with --sampling uniform"):
        DataSettings(key_radius=3)
    with pytest.raises(ConfigError, match="without a curriculum"):
        DataSettings(curriculum_share=0.2)


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
