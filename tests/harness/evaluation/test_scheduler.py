"""Which worker runs which episode, which worker hangs, and how far a run has come."""

import heapq
import random

import pytest

from harness.evaluation.scheduler import EvaluationStatus, ProgressMeter, Schedule, Watchdog
from results.records import EpisodeKey, EpisodeRecord


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


def test_workers_stay_with_a_scene() -> None:
    """Tasks in other words take turns; a worker that went with them would build ten times."""
    schedule = Schedule(keys(*[1] * 10), scene_of=lambda task: task % 2)
    taken: dict[int, list[int]] = {0: [], 1: []}
    while not schedule.finished:
        for worker in (0, 1):
            if key := schedule.take(worker):
                taken[worker].append(key.task)
                schedule.done(worker)
    assert taken == {0: [0, 2, 4, 6, 8], 1: [1, 3, 5, 7, 9]}


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


def record(init_state: int, outcome: str = "success", steps: int = 100) -> EpisodeRecord:
    return EpisodeRecord(
        suite="s",
        task=0,
        task_name="zero",
        init_state=init_state,
        seed=7,
        outcome=outcome,
        steps=steps,
        first_success_step=steps if outcome == "success" else None,
        plans=1,
        wall_s=1.0,
        error="it broke" if outcome == "error" else None,
    )


def test_progress_counts_rates_and_foretells(clock: Clock) -> None:
    seen: list[EvaluationStatus] = []
    meter = ProgressMeter(seen.append, 10, [record(0), record(1, "failure")], clock)
    meter.show(force=True)
    assert (seen[-1].done, seen[-1].successes, seen[-1].left_s) == (2, 1, None)
    clock.now = 10.0
    meter.advanced(1, 50)
    meter.finished(0, record(2, steps=150))
    status = seen[-1]
    assert (status.done, status.total, status.successes, status.errors) == (3, 10, 2, 0)
    assert status.steps_per_s == 20.0
    # Seven episodes of 150 steps, of which 50 are done, at 20 steps a second.
    assert status.left_s == (7 * 150 - 50) / 20.0
    assert str(status) == "success 2/3 = 67% (21%–94%)"


def test_errors_are_counted_apart_and_foretell_nothing(clock: Clock) -> None:
    meter = ProgressMeter(None, 4, clock=clock)
    clock.now = 1.0
    meter.advanced(0, 30)
    meter.abandoned(0)
    meter.finished(0, record(0, "error", steps=0))
    status = meter.status()
    assert (status.done, status.errors, status.steps_per_s, status.left_s) == (1, 1, 0.0, None)
    assert str(status) == "success 0/0, 1 error"


def test_progress_is_not_reported_all_the_time(clock: Clock) -> None:
    seen: list[EvaluationStatus] = []
    meter = ProgressMeter(seen.append, 4, clock=clock)
    for _ in range(100):
        clock.now += 0.01
        meter.show()
    assert len(seen) <= 2
    meter.finished(0, record(0))
    assert seen[-1].done == 1
