from harness.schedule import Schedule
from results.records import EpisodeKey


def keys(*counts: int) -> list[EpisodeKey]:
    return [EpisodeKey("s", task, i, 7) for task, n in enumerate(counts) for i in range(n)]


def test_workers_stay_with_a_task_and_take_the_largest_first() -> None:
    schedule = Schedule(keys(2, 5, 3))
    taken: dict[int, list[int]] = {0: [], 1: []}
    while not schedule.finished:
        for worker in (0, 1):
            key = schedule.take(worker)
            if key:
                taken[worker].append(key.task)
        for worker in (0, 1):
            if schedule.running(worker):
                schedule.done(worker)
    assert taken == {0: [1, 1, 1, 1, 1], 1: [2, 2, 2, 0, 0]}


def test_a_broken_episode_goes_to_another_worker() -> None:
    schedule = Schedule(keys(1))
    key = schedule.take(0)
    assert key is not None
    assert schedule.failed(0)
    assert schedule.take(0) is None
    assert not schedule.finished
    assert schedule.take(1) == key
    assert schedule.tries(key) == 1
    assert not schedule.failed(1)
    assert schedule.finished


def test_a_worker_alone_tries_again_itself() -> None:
    schedule = Schedule(keys(2))
    first = schedule.take(0, alone=True)
    schedule.failed(0)
    assert schedule.take(0, alone=True) != first
    schedule.done(0)
    assert schedule.take(0, alone=True) == first


def test_a_hopeless_episode_is_not_tried_again() -> None:
    schedule = Schedule(keys(1))
    schedule.take(0)
    assert not schedule.failed(0, hopeless=True)
    assert schedule.finished


def test_every_episode_is_taken_once() -> None:
    given = keys(4, 1, 7)
    schedule = Schedule(given)
    taken = []
    for turn in range(len(given)):
        taken.append(schedule.take(turn % 3))
        schedule.done(turn % 3)
    assert sorted(filter(None, taken)) == given
    assert schedule.waiting == 0
