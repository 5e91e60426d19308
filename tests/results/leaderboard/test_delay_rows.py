"""Success over delay, from runs that differ in it."""

import json
from typing import Any

from results.leaderboard.delay_rows import delay_curves, render_delays
from results.records import EpisodeRecord, RunInfo, RunRecords


def run(wins: int, *, horizon: int = 16, **policy: Any) -> RunRecords:
    described = {"name": "rdt", "exec_horizon": horizon, "fusion": "none", **policy}
    info = RunInfo(
        name="small",
        policy=described,
        protocol={"name": "openvla", "hash": "ab" * 32},
        tasks={"libero_90": (1,)},
        episodes_per_task=10,
        expected_episodes=10,
    )
    records = [
        EpisodeRecord(
            suite="libero_90",
            task=1,
            task_name="close the drawer",
            init_state=state,
            seed=7,
            outcome="success" if state < wins else "failure",
            steps=9,
            first_success_step=9 if state < wins else None,
            plans=1,
            wall_s=1.0,
        )
        for state in range(10)
    ]
    return info, records


RUNS = [
    run(9),
    run(4, delay=8),
    run(6, delay=2, delay_mode="pause"),
    run(8, options={"guidance": "rtc", "rtc_beta": 2.0}, delay=8),
    run(7, horizon=64, fusion="act:m=0.01"),
    (run(3, delay=20)[0], run(3, delay=20)[1][:5]),
]


def test_runs_that_differ_in_delay_alone_are_one_line() -> None:
    curves = {curve.head[2:]: curve.rows for curve in delay_curves(RUNS)}
    assert {head: list(rows) for head, rows in curves.items()} == {
        ("16", "none"): ["0", "8", "2, pause", "20"],
        ("16", "rtc:beta=2.0"): ["8"],
        ("64", "act:m=0.01"): ["0"],
    }
    assert curves["16", "none"]["8"].successes == 4


def test_tables_have_a_column_for_each_delay_in_order() -> None:
    lines = render_delays(delay_curves(RUNS), "markdown").splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        *("run", "tasks", "exec_horizon", "method"),
        *("d = 0", "d = 2, pause", "d = 8", "d = 20"),
    ]
    assert "| 64 | act:m=0.01 | 7/10 (40–89 %) |" in lines[2]
    assert "9/10 (60–98 %)" in lines[3]
    assert lines[3].rstrip(" |").endswith("3/5 (23–88 %), of 10")
    assert "3/5" in render_delays(delay_curves(RUNS))
    assert len(render_delays(delay_curves(RUNS), "csv").splitlines()) == 1 + len(RUNS)
    values = json.loads(render_delays(delay_curves(RUNS), "json"))
    assert {(v["exec_horizon"], v["method"], v["delay"]) for v in values} >= {
        ("16", "rtc:beta=2.0", "8")
    }
