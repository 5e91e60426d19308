"""Latencies: percentiles against numpy, sums, and what a run keeps of them."""

import dataclasses
import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from results.folder import load_run
from results.latency import LatencyHistogram, LatencyRecorder
from results.leaderboard.rendering import render
from results.leaderboard.rows import rows_by_task, rows_from_runs
from results.leaderboard.seed_rows import rows_over_seeds
from results.merging import merge_runs
from results.report.page import write_page
from results.store import RunStore
from tests.results.suite_runs import write_suite_run


def measured(seconds: list[float], failed: int = 0) -> LatencyHistogram:
    recorder = LatencyRecorder()
    for each in seconds:
        recorder.answered(each)
    recorder.failed(failed)
    return recorder.histogram(resent=failed)


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 5000])
def test_percentiles_are_those_of_the_requests_within_one_percent(count: int) -> None:
    seconds = np.random.default_rng(count).lognormal(-3, 1.5, count)
    histogram = measured(list(seconds))
    assert histogram.requests == count
    for share in (50, 95, 99, 100):
        exact = 1e3 * np.percentile(seconds, share, method="inverted_cdf")
        assert histogram.percentile(share) == pytest.approx(exact, rel=0.0105)
    assert histogram.mean_ms == pytest.approx(1e3 * seconds.mean(), rel=1e-3)


def test_nothing_and_extremes() -> None:
    empty = measured([])
    assert (empty.requests, empty.mean_ms, empty.percentiles_ms, bool(empty)) == (
        0,
        None,
        {},
        False,
    )
    with pytest.raises(ValueError, match="no requests"):
        empty.percentile(50)
    assert measured([0.0, 1e-9]).longest_ms == pytest.approx(0.0101)
    assert measured([7200.0]).longest_ms == pytest.approx(7.2e6, rel=0.0105)
    assert bool(measured([], failed=1))


def test_histograms_add_up_and_survive_their_file() -> None:
    one, other = measured([0.01, 0.02, 0.5], failed=1), measured([0.02, 0.03])
    both = one + other
    assert (both.requests, both.failed, both.resent) == (5, 1, 1)
    assert both - one == other and both - LatencyHistogram() == both
    assert both.percentile(100) == one.percentile(100)
    adapter = TypeAdapter(LatencyHistogram)
    written = json.loads(adapter.dump_json(both))
    assert set(written["percentiles_ms"]) == {"p50", "p95", "p99"}
    assert written["requests"] == 5 and written["longest_ms"] > 490
    assert adapter.validate_json(adapter.dump_json(both)) == both


def test_what_no_histogram_can_hold_is_refused() -> None:
    adapter = TypeAdapter(LatencyHistogram)
    for buckets in ({"-1": 1}, {"2001": 1}, {"5": 0}, {"5": -2}, {"x": 1}):
        with pytest.raises(ValidationError):
            adapter.validate_python({"buckets": buckets})


def test_threads_lose_no_request() -> None:
    recorder = LatencyRecorder()
    threads = [
        threading.Thread(target=lambda: [recorder.answered(0.01) for _ in range(2000)])
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert recorder.histogram().requests == 8000


def with_latency(run: Path, *seconds: float) -> Path:
    """Resume a run whose policy needs so long for each plan."""
    with RunStore.open(run, load_run(run)[0]) as store:
        for each in seconds:
            store.add_latency(measured([each]))
        store.finish()
    return run


def test_the_store_keeps_latencies_when_a_run_is_resumed_or_merged(tmp_path: Path) -> None:
    plain = write_suite_run(tmp_path / "plain", {0: "ss"})
    assert "latency" not in json.loads((plain / "run.json").read_text())
    shards = []
    for number in (1, 2):
        changes = {"config": {"shard": f"{number}/2"}, "episodes_per_task": 2}
        shard = write_suite_run(
            tmp_path / f"s{number}", {0: "s." if number == 1 else ".f"}, **changes
        )
        with_latency(shard, *[0.1] * number)
        shards.append(with_latency(shard, 0.2))
    counts = []
    for shard in shards:
        latency = load_run(shard)[0].latency
        assert latency is not None
        counts.append(latency.requests)
    assert counts == [2, 3]
    for _ in range(2):  # merging again counts nothing twice
        merge_runs(shards, tmp_path / "all", volatile=("config.shard", "config.out"))
        latency = load_run(tmp_path / "all")[0].latency
        assert latency is not None and latency.requests == 5


def test_tables_show_latencies_where_there_are_any(tmp_path: Path) -> None:
    run = with_latency(write_suite_run(tmp_path / "run", {0: "sf"}), *[0.03] * 98, 0.2, 1.5)
    plain = write_suite_run(tmp_path / "plain", {0: "sf"})
    runs = [load_run(run), load_run(plain)]
    rows = rows_from_runs(runs)
    table = render(rows, "markdown")
    assert "latency of plans, ms: p50, p95, p99" in table
    (cell,) = re.findall(r"\| ([\d.]+), ([\d.]+), ([\d.]+) \|", table)
    np.testing.assert_allclose(np.array(cell, float), [30, 30, 200], rtol=0.0105)
    assert "100 requests of plans, each from when it was made to when its plan was there" in table
    (first, second) = json.loads(render(rows, "json"))
    assert first["latency"]["percentiles_ms"]["p99"] == pytest.approx(200, rel=0.0105)
    assert "latency" not in second
    header, *lines = render(rows, "csv").splitlines()
    assert "latency_p95_ms" in header and len(lines) == 2
    page = write_page(tmp_path / "page", [run, plain], title="t").read_text()
    assert "latency of plans, ms: p50, p95, p99" in page and "100 requests of plans" in page
    quiet = rows_from_runs(runs[1:])
    assert "latency" not in render(quiet, "csv") + render(quiet, "markdown")
    assert all(row.latency is None for row in rows_by_task(runs))
    info, records = runs[0]
    other = dataclasses.replace(info, policy={**info.policy, "checkpoint": "of another seed"})
    (both,) = rows_over_seeds([(info, records), (other, records)])
    assert both.latency is not None and both.latency.requests == 200
    failed = measured([0.01], failed=3)
    table = render([dataclasses.replace(rows[0], latency=failed)], "markdown")
    assert "; 3 messages were sent again; 3 requests failed" in table
