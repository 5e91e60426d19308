"""``libero-bench collect``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def collect_command(
    *,
    suite: str = "libero_90",
    tasks: str | None = None,
    demos: int = 12,
    noise: float = 0.15,
    speed: float = 1.0,
    resolution: int = 128,
    seed: int = 0,
    workers: int = 2,
    out: Path = Path("demos"),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Let the scripted expert demonstrate tasks; write LIBERO's HDF5 format.

    Only demonstrations whose success lasts are kept. A killed collection resumes.

    Parameters
    ----------
    suite
        libero_spatial, libero_object, libero_goal, libero_10, libero_90, or one of LIBERO-PRO:
        the first four with _lan, _object, _swap or _task, such as libero_goal_task.
    tasks
        Indices or names such as 0,3 or 0-4; the whole suite by default.
    demos
        Demonstrations per task.
    noise
        Standard deviation of the action noise, 0 to 1; about 0.15 teaches recovery.
    speed
        The expert's largest action, up to 1; 0.7 is near a human's pace.
    resolution
        Height and width of the pictures, pixels.
    seed
        Of start states and noise.
    workers
        Processes.
    out
        Folder; a task goes to OUT/SUITE/TASK_demo.hdf5.
    json
        Print what was collected as JSON.
    """
    from harness.collection_config import CollectionConfig
    from harness.commands.arguments import parse_tasks
    from harness.display import console
    from harness.stages import collect_with_bar

    config = CollectionConfig(
        suite=suite,
        tasks=parse_tasks(suite, tasks),
        out=out,
        demos=demos,
        noise=noise,
        speed=speed,
        resolution=resolution,
        seed=seed,
        workers=workers,
    )
    collected = collect_with_bar(config)
    if json:
        from json import dumps

        print(dumps([{"task": c.task, "path": str(c.path)} for c in collected], indent=2))
        return
    for item in collected:
        kept = sum(attempt.kept for attempt in item.attempts)
        note = f"{kept} of {len(item.attempts)} attempts kept" if item.attempts else "was there"
        console.print(f"Task {item.task}: {note}: {item.path}")
