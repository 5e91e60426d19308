from harness.evaluation.scheduler import EvaluationStatus, ProgressMeter
from results.records import EpisodeRecord


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


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_counts_rates_and_foretells() -> None:
    clock = Clock()
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


def test_errors_are_counted_apart_and_foretell_nothing() -> None:
    clock = Clock()
    meter = ProgressMeter(None, 4, clock=clock)
    clock.now = 1.0
    meter.advanced(0, 30)
    meter.abandoned(0)
    meter.finished(0, record(0, "error", steps=0))
    status = meter.status()
    assert (status.done, status.errors, status.steps_per_s, status.left_s) == (1, 1, 0.0, None)
    assert str(status) == "success 0/0, 1 error"


def test_it_does_not_report_all_the_time() -> None:
    clock = Clock()
    seen: list[EvaluationStatus] = []
    meter = ProgressMeter(seen.append, 4, clock=clock)
    for _ in range(100):
        clock.now += 0.01
        meter.show()
    assert len(seen) <= 2
    meter.finished(0, record(0))
    assert seen[-1].done == 1
