"""``libero-bench collect``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from harness.demonstrations.collection import Collected

INCOMPLETE = 1


def collect_command(
    *,
    suite: str = "libero_90",
    tasks: str | None = None,
    demos: int = 12,
    noise: float = 0.15,
    speed: float = 1.0,
    resolution: int = 128,
    instructions: Literal["name", "bddl"] = "name",
    start_states: Literal["sampled", "evaluation"] = "sampled",
    seed: int = 0,
    workers: int = 2,
    out: Path = Path("demos"),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Let the scripted expert demonstrate tasks; write LIBERO's HDF5 format.

    Only demonstrations whose success lasts are kept. A killed collection resumes; where fewer
    demonstrations are there than asked for, the others are added. The exit code is 1 if a task
    could not be collected; the others are.

    Parameters
    ----------
    suite
        libero_spatial, libero_object, libero_goal, libero_10, libero_90, or one of LIBERO-PRO:
        the first four with _lan, _object, _swap or _task, such as libero_goal_task. Several with
        commas between them.
    tasks
        Indices or names such as 0,3 or 0-4, in each suite; all by default.
    demos
        Demonstrations per task.
    noise
        Standard deviation of the action noise, 0 to 1; about 0.15 teaches recovery.
    speed
        The expert's largest action, up to 1; 0.7 is near a human's pace.
    resolution
        Height and width of the pictures, pixels.
    instructions
        Which sentence the files note: name, the one in the task's file name, or bddl, the BDDL
        file's; see eval.
    start_states
        sampled: at none of the initial states of evaluations; evaluation: at those.
    seed
        Of start states and noise.
    workers
        Processes.
    out
        Folder; a task goes to OUT/SUITE/TASK_demo.hdf5.
    json
        Print what was collected as JSON.
    """
    from harness.commands.arguments import parse_tasks
    from harness.demonstrations.config import CollectionConfig
    from harness.stages import collect_with_bar

    configs = [
        CollectionConfig(
            suite=name,
            tasks=parse_tasks(name, tasks),
            out=out,
            demos=demos,
            noise=noise,
            speed=speed,
            resolution=resolution,
            instructions=instructions,
            start_states=start_states,
            seed=seed,
            workers=workers,
        )
        for name in dict.fromkeys(part.strip() for part in suite.split(","))
    ]
    collected = collect_with_bar(configs)
    if json:
        from json import dumps

        print(dumps([_plain(item) for item in collected], indent=2, ensure_ascii=False))
    else:
        from harness.display import results_console

        console = results_console()
        console.print(_table(collected))
        console.print(_speed(collected))
    return INCOMPLETE if any(item.problem for item in collected) else 0


def _plain(item: "Collected") -> dict[str, object]:
    from dataclasses import asdict

    plain = asdict(item) | {"path": str(item.path)}
    return plain | {"seconds": _seconds([item])}


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


def _table(collected: "Sequence[Collected]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from results.formatting import visible

    table = Table("suite", "task", "yield", "steps", box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for item in collected:
        steps = sorted(attempt.steps for attempt in item.attempts if attempt.kept)
        rate = f"{item.kept}/{item.tried}" if item.tried else "0"
        words = Text(visible(item.problem or str(item.path)), style="red" if item.problem else "")
        for reason, count in item.rejected.items():
            words.append(visible(f"\n{count} not kept: {reason}"), style="default")
        table.add_row(
            item.suite,
            str(item.task),
            f"{rate}, there before" if item.before else rate,
            f"{steps[0]}–{steps[-1]}" if steps else "",
            words,
        )
    return table


def _speed(collected: "Sequence[Collected]") -> str:
    """Say what a demonstration costs in the workers, so what cores it takes to be faster."""
    attempts = [attempt for item in collected for attempt in item.attempts]
    kept = sum(attempt.kept and attempt.plan[0] > 0 for attempt in attempts)  # not made before
    if not kept:
        return ""
    spent = _seconds(collected)
    each = {kind: (each["wall"] / kept, each["cpu"] / kept) for kind, each in spent.items()}
    parts = [f"{kind} {wall:.1f} s ({cpu:.1f} s CPU)" for kind, (wall, cpu) in each.items()]
    return f"A kept demo took a worker: {', '.join(parts)}"
