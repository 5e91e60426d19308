"""What a study takes and what it can show, said before anything runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.evaluation.workload import resolve_workload
from harness.recipes.resolved import RecipeRun
from harness.studies.cells import Cell
from harness.studies.config import STAGES, Study, horizons_of
from results.statistics.claims import detectable_effect
from results.statistics.seeds import PooledSpread
from results.studies.records import plain_changes

_RATES = (0.1, 0.3, 0.5)
"""Rates of the base for which the detectable effect is said."""

_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The size of a study and its power.

    Attributes:
        cells: Trainings.
        updates: Updates of all trainings.
        runs: Evaluations.
        episodes: Episodes of all evaluations.
        finished: Cells that are finished, their evaluations as well.
        hours: Hours of the other cells one after another; None where the study says no times.
        detectable: For rates of the base, the smallest rise that is found in four of five studies
            after Holm's correction; None where no rise is.
    """

    cells: int
    updates: int
    runs: int
    episodes: int
    finished: int
    hours: float | None
    detectable: dict[float, float | None]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def plan_study(
    study: Study, cells: Sequence[Cell], out: Path, *, left: Sequence[Cell] | None = None
) -> StudyPlan:
    """Count what a study would do.

    Args:
        study: The study.
        cells: Its cells.
        out: Its folder; nothing is written.
        left: Those that are not finished; all by default.

    Raises:
        HarnessError: A cell's settings are not allowed.
    """
    updates = episodes = runs = 0
    hours = 0.0
    waiting = {cell.name for cell in (cells if left is None else left)}
    for cell in cells:
        run = RecipeRun(cell.foreseen, out / cell.folder)
        assert run.training is not None
        workload = resolve_workload(run.evaluations[0])[1]
        played = len(workload.episodes) * len(run.evaluations)
        updates += run.training.updates
        episodes += played
        runs += len(run.evaluations)
        if cell.name in waiting and study.update_s and study.episode_s:
            update_s = study.update_s + study.window_s * run.training.batch_size
            seconds = run.training.updates * update_s + played * study.episode_s
            hours += seconds / _SECONDS_PER_HOUR
    return StudyPlan(
        cells=len(cells),
        updates=updates,
        runs=runs,
        episodes=episodes,
        finished=len(cells) - len(waiting),
        hours=hours if study.update_s and study.episode_s else None,
        detectable=_detectable(study, episodes // max(1, runs)),
    )


def _detectable(study: Study, episodes: int) -> dict[float, float | None]:
    """Return the detectable rises, with the spread between seeds that the study assumes."""
    seeds = [arm.seeds or study.seeds for arm in study.arms]
    freedom = sum(k - 1 for k in seeds)
    named = {side.arm for claim in study.claims for side in (claim.a, claim.b)}
    least = min([k for k, arm in zip(seeds, study.arms, strict=True) if arm.name in named] or seeds)
    if not freedom or not study.claims:
        return {}
    return {
        rate: detectable_effect(
            rate,
            seeds=least,
            episodes=episodes,
            spread=PooledSpread(
                factor=1.0 + study.assumed_spread**2 * episodes / (rate * (1 - rate)),
                freedom=freedom,
            ),
            claims=len(study.claims),
        )
        for rate in _RATES
    }


def print_plan_tables(study: Study, plan: StudyPlan, jobs: int, console: Console) -> None:
    """Print the arms, the size and the power of a study."""
    table = Table("Arm", "Seeds", "Horizons", "Changes", box=None, pad_edge=False)
    for arm in study.arms:
        horizons = ", ".join(map(str, horizons_of(study, arm)))
        changes = plain_changes({stage: getattr(arm, stage) for stage in STAGES})
        drops = f"without {', '.join(arm.drops)}" if arm.drops else ""
        of = f"{arm.changes}: " if arm.changes else ""
        said = of + ", ".join(filter(None, (changes, drops)))
        table.add_row(arm.name, str(arm.seeds or study.seeds), horizons, said or "–")
    console.print(table)
    console.print(
        f"{plan.cells} trainings ({plan.updates:,} updates), {plan.runs} evaluations "
        f"({plan.episodes:,} episodes)."
    )
    if plan.finished:
        console.print(
            f"Finished: {plan.finished} of {plan.cells} trainings with their evaluations."
        )
    if plan.hours is not None:
        console.print(f"About {plan.hours / jobs:.1f} hours with --jobs {jobs}.")
    for rate, effect in plan.detectable.items():
        found = "no rise" if effect is None else f"a rise of {100 * effect:.0f} points"
        console.print(
            f"From {100 * rate:.0f} %, {found} is found in 4 of 5 studies ({len(study.claims)} "
            f"claims; seeds differ by {100 * study.assumed_spread:.0f} points)."
        )
