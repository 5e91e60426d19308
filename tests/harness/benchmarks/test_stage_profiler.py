"""Stages are timed once, on a CPU and from a GPU's stream."""

import pytest
import torch

from harness.benchmarks import stage_profiler
from harness.benchmarks.stage_profiler import StageProfiler


def test_stages_inside_others_are_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(stage_profiler.time, "perf_counter", lambda: next(now))
    profiler = StageProfiler("cpu")
    with profiler.profile() as spent, profiler("outer"), profiler("inner"):
        pass
    assert spent == {"rest": 1.0 + 5.0, "outer": 2.0 + 4.0, "inner": 3.0}


def test_stages_on_a_gpu_are_read_from_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are recorded in order; nothing waits before the end."""
    waited: list[int] = []

    class Event:
        count = 0

        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing
            assert not waited

        def record(self) -> None:
            Event.count += 1
            self.at = float(Event.count**2)

        def elapsed_time(self, other: "Event") -> float:
            assert waited
            return other.at - self.at

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: waited.append(1))
    profiler = StageProfiler("cuda:0")
    with profiler.profile() as spent:
        with profiler("a"):
            pass
        with profiler("b"):
            pass
    assert spent == pytest.approx({"rest": (3 + 7 + 11) / 1e3, "a": 5 / 1e3, "b": 9 / 1e3})
