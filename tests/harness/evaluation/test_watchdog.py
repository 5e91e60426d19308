import pytest

from harness.evaluation.scheduler import Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def let_pass(watchdog: Watchdog, clock: Clock, turns: int, each: float) -> list[int]:
    hung: list[int] = []
    for _ in range(turns):
        clock.now += each
        hung += watchdog.turn()
    return hung


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_who_owes_a_word_for_longer_than_the_limit_hangs(clock: Clock) -> None:
    watchdog = Watchdog(100.0, clock)
    watchdog.expect(1)
    let_pass(watchdog, clock, 5, each=9.0)
    watchdog.expect(2)
    assert let_pass(watchdog, clock, 6, each=9.0) == []
    assert let_pass(watchdog, clock, 1, each=9.0) == [1]
    assert let_pass(watchdog, clock, 1, each=9.0) == [1]  # until somebody deals with it
    watchdog.settled(1)
    assert let_pass(watchdog, clock, 4, each=9.0) == [2]


def test_who_waits_for_the_parent_owes_nothing(clock: Clock) -> None:
    watchdog = Watchdog(10.0, clock)
    watchdog.expect(1)
    watchdog.settled(1)
    assert let_pass(watchdog, clock, 100, each=1.0) == []
    watchdog.expect(1)  # an answer starts the time anew
    assert let_pass(watchdog, clock, 10, each=1.0) == []


def test_a_sign_of_life_starts_the_time_anew(clock: Clock) -> None:
    watchdog = Watchdog(10.0, clock)
    for _ in range(5):
        watchdog.expect(1)
        assert let_pass(watchdog, clock, 10, each=1.0) == []


def test_who_starts_has_more_time(clock: Clock) -> None:
    watchdog = Watchdog(10.0, clock)
    watchdog.expect(1, grace_s=20.0)
    assert let_pass(watchdog, clock, 30, each=1.0) == []
    assert let_pass(watchdog, clock, 1, each=1.0) == [1]


def test_time_in_which_the_parent_did_not_look_hardly_counts(clock: Clock) -> None:
    watchdog = Watchdog(100.0, clock)
    watchdog.expect(1)
    assert let_pass(watchdog, clock, 1, each=86400.0) == []
    assert let_pass(watchdog, clock, 9, each=9.9) == []
    assert let_pass(watchdog, clock, 1, each=9.9) == [1]


@pytest.mark.parametrize(("limit", "patience"), [(300.0, 1.0), (2.0, 0.2)])
def test_the_parent_looks_often_enough(limit: float, patience: float) -> None:
    assert Watchdog(limit).patience_s == patience
