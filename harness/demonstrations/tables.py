"""Tables of what came of collecting, replaying and regenerating, and of what demo files hold."""

from collections.abc import Sequence
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from results.formatting import visible

if TYPE_CHECKING:
    from harness.demonstrations.collection import Collected
    from harness.demonstrations.export import Exported
    from harness.demonstrations.regeneration import Regenerated
    from harness.demonstrations.replay import Replay
    from training.demos.statistics import DemoStatistics


def collected_as_dict(item: "Collected") -> dict[str, object]:
    """Return what became of a task as ``--json`` has it."""
    return asdict(item) | {"path": str(item.path), "seconds": _seconds([item])}


def collected_table(collected: "Sequence[Collected]") -> Table:
    """Return a row for each task: how many attempts were kept, their lengths, why others not."""
    table = Table("suite", "task", "yield", "steps", box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for item in collected:
        steps = sorted(attempt.steps for attempt in item.attempts if attempt.kept)
        rate = f"{item.kept}/{item.tried}" if item.tried else "0"
        file = Text(visible(item.problem or str(item.path)), style="red" if item.problem else "")
        for reason, count in item.rejected.items():
            file.append(visible(f"\n{count} not kept: {reason}"), style="default")
        table.add_row(
            item.suite,
            str(item.task),
            f"{rate}, there before" if item.before else rate,
            f"{steps[0]}–{steps[-1]}" if steps else "",
            file,
        )
    return table


def collection_cost(collected: "Sequence[Collected]") -> str:
    """Say what a demonstration costs in the workers, so how many cores make it faster."""
    attempts = [attempt for item in collected for attempt in item.attempts]
    kept = sum(attempt.kept and attempt.plan[0] > 0 for attempt in attempts)  # not made before
    if not kept:
        return ""
    parts = [
        f"{kind} {spent['wall'] / kept:.1f} s ({spent['cpu'] / kept:.1f} s CPU)"
        for kind, spent in _seconds(collected).items()
    ]
    return f"A kept demo took a worker: {', '.join(parts)}"


def _seconds(collected: "Sequence[Collected]") -> dict[str, dict[str, float]]:
    """Return seconds spent, wall and CPU of the workers, by kind of work."""
    attempts = [attempt for item in collected for attempt in item.attempts]
    return {
        kind: {
            "wall": round(sum(getattr(attempt, kind)[0] for attempt in attempts), 2),
            "cpu": round(sum(getattr(attempt, kind)[1] for attempt in attempts), 2),
        }
        for kind in ("build", "plan", "render")
    }


def statistics_table(statistics: "DemoStatistics") -> Table:
    """Return what a demo file holds, a row for each property."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    steps = sorted(statistics.steps)
    stated = "stated; " if statistics.convention_stated else "not stated; "
    other = statistics.instruction_noted
    noted = f" (problem_info notes “{other}”)" if other else ""
    phases = ", ".join(f"{count} {kind}" for kind, count in statistics.phases.items())
    mean = sum(steps) / len(steps)
    made_by = "not noted, as in official files"
    for name, value in (
        ("File", f"{statistics.path}, {statistics.megabytes:,} MB"),
        ("Task", statistics.instruction + noted),
        (
            "Demos",
            f"{statistics.demos}; {sum(steps):,} steps, {steps[0]}–{steps[-1]}, mean {mean:.1f}",
        ),
        ("Actions, min", _numbers(statistics.action_min)),
        ("Actions, mean", _numbers(statistics.action_mean)),
        ("Actions, std", _numbers(statistics.action_std)),
        ("Actions, max", _numbers(statistics.action_max)),
        ("Intended actions", "there, beside the executed ones" if statistics.intended else "none"),
        ("Gripper", f"switches {statistics.gripper_switches:.1f} times a demo"),
        ("No-ops", f"{statistics.noops:.1%} of the steps"),
        ("Pictures", ", ".join(f"{c} {h}×{w}" for c, (h, w) in statistics.pictures.items())),
        (
            "Observations",
            f"{statistics.convention or 'unknown'} ({stated}{statistics.convention_evidence})",
        ),
        (
            "Phases",
            f"{phases} ({'noted' if statistics.phases_noted else 'from the motion alone'})",
        ),
        ("Made by", dumps(statistics.provenance) if statistics.provenance else made_by),
    ):
        table.add_row(name, value)
    return table


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:6.2f}" for value in values)


def print_replays(replays: "Sequence[Replay]", console: Console) -> None:
    """Print a table for each file, and what they come to together."""
    for path in dict.fromkeys(replay.path for replay in replays):
        console.print(path, style="bold", soft_wrap=True)
        console.print(_replay_table([replay for replay in replays if replay.path == path]))
    ran = [replay for replay in replays if not replay.problem]
    succeeded, exact = sum(r.success for r in ran), sum(r.exact for r in ran)
    rate = f" ({succeeded / len(ran):.0%})" if ran else ""
    worst = max((replay.deviation for replay in ran), default=0.0)
    console.print(
        f"{succeeded} of {len(ran)} succeed{rate}; {exact} repeat all states bit for bit; "
        f"largest deviation {worst:.2g}"
    )


def _replay_table(replays: "Sequence[Replay]") -> Table:
    table = Table("demo", "steps", "outcome", "states", box=None, pad_edge=False)
    for replay in replays:
        if replay.problem:
            failed = Text("not executed", style="red")
            table.add_row(replay.demo, "", failed, replay.problem)
            continue
        stray = f"stray by up to {replay.deviation:.2g} (m, rad), from step {replay.first}"
        outcome = f"success, first after step {replay.reached}" if replay.success else "failure"
        if not replay.success and replay.reached is not None:
            outcome = f"failure, though the goal held after step {replay.reached}"
        states = "equal bit for bit" if replay.exact else stray
        if replay.note:
            states = f"{replay.note}; up to {replay.deviation:.2g} rad apart"
        table.add_row(replay.demo, str(replay.steps), outcome, states)
    return table


def export_table(exported: "Exported") -> Table:
    """Return what an export wrote, a row for each property."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    error = ", ".join(f"{camera} {level:.2f}" for camera, level in exported.error.items())
    table.add_row("Data set", visible(str(exported.path)))
    table.add_row(
        "Demos", f"{exported.episodes} of {exported.tasks} tasks; {exported.frames:,} rows"
    )
    table.add_row("Bytes", f"{exported.bytes:,}")
    table.add_row("Image error", f"{error} of 255 grey levels on average")
    for each in exported.left_out:
        table.add_row("Left out", Text(visible(each), style="red"))
    return table


def regenerated_lines(file: "Regenerated") -> str:
    """Say what became of a file that was to be regenerated."""
    if file.problem:
        return f"{file.source}: {file.problem}"
    if not file.demos:
        return f"{file.path} (was there)"
    kept = [demo for demo in file.demos if demo.kept]
    lines = [
        f"{file.path}: {len(kept)} of {len(file.demos)} demos kept, "
        f"{sum(demo.dropped for demo in kept)} no-ops left out"
    ]
    lines += [f"  {demo.demo} not kept: {demo.reason}" for demo in file.demos if not demo.kept]
    return "\n".join(lines)
