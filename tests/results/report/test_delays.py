"""Charts of success over delay."""

import re

from results.report.delays import delay_charts
from tests.results.leaderboard.test_delay_rows import RUNS, run


def test_runs_that_differ_in_delay_alone_are_joined_by_a_line() -> None:
    (chart,) = delay_charts(RUNS)  # at exec_horizon 64 there is a single delay
    assert chart.title == "small, libero_90 1, exec_horizon 16"
    assert [name for _, name in chart.legend] == ["none", "none, pause", "rtc:beta=2.0"]
    said = re.findall(r"<title>([^<]*?): [^<]*, (\d+/\d+)</title>", chart.picture)
    assert said == [
        *[("0 steps late", "9/10"), ("8 steps late", "4/10"), ("20 steps late", "3/5")],
        *[("0 steps late", "9/10"), ("2 steps late", "6/10")],
        ("8 steps late", "8/10"),
    ]
    assert chart.picture.count("mark hollow") == 1
    assert re.findall(r">(\d+)</text>", chart.picture)[-4:] == ["0", "2", "8", "20"]


def test_a_pause_alone_starts_at_the_run_on_time() -> None:
    paused = run(6, delay=2, delay_mode="pause"), run(5, delay=4, delay_mode="pause")
    (chart,) = delay_charts([run(9), *paused])
    assert [name for _, name in chart.legend] == ["none, pause"]
    assert re.findall(r"(\d+/10)</title>", chart.picture) == ["9/10", "6/10", "5/10"]


def test_without_several_delays_there_is_no_chart() -> None:
    assert delay_charts([run(9), run(3, horizon=8, delay=4)]) == []


def test_lines_of_several_trainings_are_told_apart() -> None:
    runs = [run(w, delay=d, checkpoint=c) for w, c in ((9, "a"), (2, "b")) for d in (1, 4)]
    (chart,) = delay_charts([*runs, run(5, delay=4, options={"guidance": "rtc"})])
    assert [name for _, name in chart.legend] == ["none, a", "none, b", "rtc"]
