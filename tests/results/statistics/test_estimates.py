import pytest

from results.statistics import (
    PairCounts,
    difference_bootstrap,
    difference_interval,
    rate_bootstrap,
    rate_interval,
    tango_interval,
    wilson_interval,
)


def test_a_suite_gets_the_bootstrap() -> None:
    tasks = [(45, 50), (20, 50)]
    assert rate_interval(tasks) == (*rate_bootstrap(tasks), "bootstrap by task")


@pytest.mark.parametrize(
    "tasks",
    [
        [(45, 50)],
        [(50, 50), (50, 50)],
        [(0, 50), (0, 50)],
        [(50, 50), (46, 50)],
        [(9, 9), (25, 50)],
        [(5, 9), (25, 50)],
        [(0, 0), (25, 50)],
        [],
    ],
)
def test_wilson_where_the_bootstrap_would_be_too_narrow(tasks: list[tuple[int, int]]) -> None:
    pooled = wilson_interval(sum(k for k, _ in tasks), sum(n for _, n in tasks))
    assert rate_interval(tasks) == (*pooled, "Wilson")
    assert pooled.high > pooled.low


def test_a_difference_over_tasks_gets_the_bootstrap() -> None:
    tasks = [PairCounts(20, 5, 15, 10), PairCounts(30, 3, 2, 15)]
    assert difference_interval(tasks) == (*difference_bootstrap(tasks), "bootstrap by task")


@pytest.mark.parametrize(
    "tasks",
    [
        [PairCounts(20, 5, 15, 10)],
        [PairCounts(50, 0, 0, 0), PairCounts(50, 0, 0, 0)],
        [PairCounts(20, 0, 20, 10), PairCounts(20, 0, 20, 10)],
        [PairCounts(1, 4, 4, 0), PairCounts(20, 10, 10, 10)],
        [],
    ],
)
def test_tango_where_the_bootstrap_would_be_too_narrow(tasks: list[PairCounts]) -> None:
    total = PairCounts(*(sum(task[i] for task in tasks) for i in range(4)))
    assert difference_interval(tasks) == (*tango_interval(total), "Tango")
