import heapq
import random

import pytest

from harness.evaluation.scheduler import Schedule
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
    assert not schedule.failed(0, permanent=True)
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


def test_helpers_spread_over_the_tasks_of_others() -> None:
    schedule = Schedule(keys(8, 8))
    assert [getattr(schedule.take(worker), "task", None) for worker in range(6)] == [
        0, 1, 0, 1, 0, 1,
    ]  # fmt: skip


@pytest.mark.parametrize(("tasks", "workers"), [(10, 2), (10, 8), (10, 16), (1, 4), (3, 2)])
def test_no_long_one_is_left_and_no_simulation_built_twice(tasks: int, workers: int) -> None:
    """A simulated evaluation whose tasks and episodes last very differently."""
    draw = random.Random(tasks + workers)
    mean = [draw.uniform(2.0, 20.0) for _ in range(tasks)]
    lasts = {key: mean[key.task] * draw.uniform(0.3, 1.7) for key in keys(*[20] * tasks)}
    schedule = Schedule(lasts)
    built: list[tuple[int, int]] = []
    ended: list[float] = []
    free = [(0.0, worker) for worker in range(workers)]
    while free:
        now, worker = heapq.heappop(free)
        if schedule.running(worker):
            schedule.done(worker)
        key = schedule.take(worker)
        if key is None:
            assert schedule.waiting == 0
            ended.append(now)
            continue
        if [task for one, task in built if one == worker][-1:] != [key.task]:
            built.append((worker, key.task))
        heapq.heappush(free, (now + lasts[key], worker))
    assert schedule.finished
    assert max(ended) - min(ended) <= max(lasts.values())
    assert len(set(built)) == len(built)  # nobody comes back to a task: keeping one is enough
