"""How far failures got: which predicates of the goal were ever reached, and how many at most.

A predicate that was reached may have been lost again, so "all" means each at some time, never all
at once. What held from the start was not reached by the policy and counts as neither.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from results.records import EpisodeRecord
from results.report.drawing import Drawing
from results.report.runs import ReportRun, suites_of, task_names

_HEIGHT = 22.0


@dataclass(frozen=True, kw_only=True)
class PredicateCount:
    """One predicate in the failures of one run."""

    count: int
    """Failures in which it was reached."""

    failures: int
    """Failures of the run on the task that tell."""

    step: float | None
    """Mean control step at which it first held, over those; None if it never did."""

    from_start: int
    """Failures in which it held from the start."""


@dataclass(frozen=True, kw_only=True)
class PredicateLine:
    """One predicate of a task."""

    task: int
    """Index of the task."""

    task_name: str
    """Name of the task."""

    predicate: str
    """The predicate, such as ``On(bowl, plate)``."""

    runs: tuple[PredicateCount | None, ...]
    """Each run's failures; None where the run has none on the task."""


@dataclass(frozen=True, kw_only=True)
class GoalBar:
    """The failures of a run, by how many predicates were reached."""

    name: str
    """Name of the run."""

    failures: int
    """Failures on tasks with several predicates."""

    picture: Markup
    """A bar with a part for each number of predicates."""


@dataclass(frozen=True, kw_only=True)
class GoalProgressSection:
    """The failures of a suite."""

    suite: str
    """Name of the suite."""

    runs: tuple[str, ...]
    """Names of the runs in the table's columns."""

    bars: tuple[GoalBar, ...]
    """A bar for each run with failures on tasks with several predicates."""

    most: int
    """The most predicates that a failure reached in a bar."""

    lines: tuple[PredicateLine, ...]
    """Every predicate of tasks with several."""

    single: int
    """Failures on tasks with one predicate, which none can have reached."""

    unknown: int
    """Failures that do not tell."""


def goal_progress(runs: Sequence[ReportRun]) -> list[GoalProgressSection]:
    """Count what failures reached.

    Args:
        runs: The runs, those of most interest first.

    Returns:
        A section for each suite with a failure.
    """
    sections = [_suite(runs, suite) for suite in suites_of(runs)]
    return [section for section in sections if section is not None]


def reached(record: EpisodeRecord) -> int:
    """Return how many predicates of the goal came to hold after the start.

    Args:
        record: An episode whose ``goals_first_held`` is known.
    """
    return sum(bool(step) for step in (record.goals_first_held or {}).values())


def _suite(runs: Sequence[ReportRun], suite: str) -> GoalProgressSection | None:
    failures = {
        run.index: [r for r in run.of_suite(suite) if r.outcome == "failure"] for run in runs
    }
    all_failures = [record for group in failures.values() for record in group]
    if not all_failures:
        return None
    several = {
        index: [r for r in group if len(r.goals_first_held or {}) > 1]
        for index, group in failures.items()
    }
    with_several = [run for run in runs if several[run.index]]
    most = max((len(r.goals_first_held or {}) for g in several.values() for r in g), default=0)
    return GoalProgressSection(
        suite=suite,
        runs=tuple(run.name for run in with_several),
        bars=tuple(_bar(run.name, several[run.index], most) for run in with_several),
        most=most,
        lines=tuple(_lines(with_several, several, task_names(runs))),
        single=sum(len(r.goals_first_held or {}) == 1 for r in all_failures),
        unknown=sum(not r.goals_first_held for r in all_failures),
    )


def _bar(name: str, failures: Sequence[EpisodeRecord], most: int) -> GoalBar:
    counts = Counter(reached(record) for record in failures)
    counted = ", ".join(f"{counts[n]} × {n} reached" for n in range(most + 1) if counts[n])
    drawing = Drawing(_HEIGHT, f"{name}, {len(failures)} failures: {counted}")
    x = 0.0
    for number in range(most + 1):
        width = 100 * counts[number] / len(failures)
        if not width:
            continue
        about = f"{number} reached: {counts[number]} of {len(failures)}"
        drawing.bar(x, 0, width, _HEIGHT, f"part {level(number, most)}", about)
        if width > 8:
            words = f"{counts[number]}"
            drawing.text(x + width / 2, 15, words, f"in {level(number, most)}")
        x += width
    return GoalBar(name=name, failures=len(failures), picture=drawing.markup())


def level(number: int, most: int) -> str:
    """Return the shade of a number of predicates, ``l0`` for none and ``l4`` for the most."""
    return f"l{round(4 * number / most)}" if most else "l0"


def _lines(
    runs: Sequence[ReportRun],
    failures: dict[int, list[EpisodeRecord]],
    names: dict[tuple[str, int], str],
) -> list[PredicateLine]:
    all_failures = [record for run in runs for record in failures[run.index]]
    predicates: dict[tuple[int, str], None] = {}
    for record in sorted(all_failures, key=lambda record: record.task):
        predicates.update(dict.fromkeys((record.task, p) for p in record.goals_first_held or {}))
    return [
        PredicateLine(
            task=task,
            task_name=next(names[r.suite, task] for r in all_failures if r.task == task),
            predicate=predicate,
            runs=tuple(
                _reached([r for r in failures[run.index] if r.task == task], predicate)
                for run in runs
            ),
        )
        for task, predicate in predicates
    ]


def _reached(failures: Sequence[EpisodeRecord], predicate: str) -> PredicateCount | None:
    if not failures:
        return None
    steps = [(record.goals_first_held or {}).get(predicate) for record in failures]
    later = [step for step in steps if step]
    return PredicateCount(
        count=len(later),
        failures=len(failures),
        step=fmean(later) if later else None,
        from_start=sum(step == 0 for step in steps),
    )
