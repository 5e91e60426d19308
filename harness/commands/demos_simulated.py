"""``libero-bench demos replay`` and ``regenerate``: what demo files do on this simulator."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from harness.demonstrations.regeneration import Regenerated
    from harness.demonstrations.replay import Replay

FAILED = 1


def demos_replay_command(
    *paths: Path,
    demos: str | None = None,
    workers: int = 2,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Execute the actions again, open loop: how many succeed, how far states stray.

    Demos of this project repeat themselves bit for bit on the same versions; official ones, made
    with others, stray. The exit code is 1 if a demo could not be executed at all.

    Parameters
    ----------
    paths
        HDF5 files, or folders of them.
    demos
        Demonstrations of each file, such as 0,3 or 0-4; all by default.
    workers
        Processes.
    json
        Print what came of each as JSON.
    """
    from harness.commands.arguments import parse_demo_files, parse_indices
    from harness.demonstrations.replay import choose_demos, replay_demos
    from harness.display import progress_bar
    from harness.stages import warn_of_crowding, warn_of_versions

    wanted = None if demos is None else parse_indices(demos, "--demos")
    chosen = choose_demos(parse_demo_files(paths), wanted)
    _check_workers(workers)
    warn_of_versions()
    warn_of_crowding(workers)
    done: list[Replay] = []
    with progress_bar("Replaying", len(chosen), "demo") as bar:

        def show(replay: "Replay") -> None:
            done.append(replay)
            bar.at(len(done), note=f"{sum(each.success for each in done)} succeeded")

        replays = replay_demos(chosen, workers=workers, progress=show)
    if json:
        from json import dumps

        print(dumps([each.as_dict() for each in replays], indent=2, ensure_ascii=False))
    else:
        _print_replays(replays)
    return FAILED if any(each.problem for each in replays) else 0


def demos_regenerate_command(
    *paths: Path,
    out: Path,
    resolution: int = 256,
    noops: Literal["openvla", "resting", "keep"] = "openvla",
    settle_steps: int = 10,
    workers: int = 2,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Execute the actions again and render: other resolution, no pauses, only what succeeds.

    Actions that do nothing are left out as OpenVLA does. Demos that wait for the fingers, as ours
    do, need --noops resting. A killed regeneration resumes. The exit
    code is 1 if no demonstration of a file succeeds any more.

    Parameters
    ----------
    paths
        HDF5 files, or folders of them.
    out
        Folder; a file goes to OUT/SUITE/TASK_demo.hdf5.
    resolution
        Height and width of the pictures, pixels.
    noops
        openvla: leave out actions that do nothing; resting: only those at which the fingers rest,
        too, so not the waiting for a grip; keep: leave out none.
    settle_steps
        Steps of waiting before official demonstrations, as evaluations wait; ours have their own.
    workers
        Processes.
    json
        Print what became of each file as JSON.
    """
    from harness.commands.arguments import parse_demo_files
    from harness.demonstrations.regeneration import RegenerationConfig, Remade, regenerate
    from harness.display import progress_bar
    from harness.stages import warn_of_crowding, warn_of_versions
    from tasks.demos.file import open_demo_file

    config = RegenerationConfig(
        resolution=resolution, noops=noops, settle_steps=settle_steps, workers=workers
    )
    files = parse_demo_files(paths)
    warn_of_crowding(workers)
    total = 0
    for path in files:
        with open_demo_file(path) as file:
            total += len(file.demos())
    warn_of_versions()
    done: list[Remade] = []
    with progress_bar("Regenerating", total, "demo") as bar:

        def show(path: Path, remade: Remade) -> None:
            done.append(remade)
            kept = sum(each.kept for each in done)
            bar.at(len(done), note=f"kept {kept} of {len(done)}; {path.name}")

        found = regenerate(files, out, config, show)
    if json:
        from dataclasses import asdict
        from json import dumps

        plain = [asdict(e) | {"source": str(e.source), "path": str(e.path)} for e in found]
        print(dumps(plain, indent=2, ensure_ascii=False))
    else:
        for each in found:
            print(_told(each))
    return FAILED if any(each.problem for each in found) else 0


def _check_workers(workers: int) -> None:
    from harness.capacity import MOST_WORKERS
    from tasks.errors import ConfigError

    if not 1 <= workers <= MOST_WORKERS:
        raise ConfigError(f"--workers {workers} given. Allowed: 1 to {MOST_WORKERS}.")


def _print_replays(replays: "list[Replay]") -> None:
    from rich.table import Table
    from rich.text import Text

    from harness.display import results_console

    console = results_console()
    for path in dict.fromkeys(each.path for each in replays):
        mine = [each for each in replays if each.path == path]
        table = Table("demo", "steps", "outcome", "states", box=None, pad_edge=False)
        for each in mine:
            if each.problem:
                table.add_row(each.demo, "", Text("not executed", style="red"), each.problem)
                continue
            same = f"stray by up to {each.deviation:.2g} (m, rad), from step {each.first}"
            outcome = f"success, first after step {each.reached}" if each.success else "failure"
            if not each.success and each.reached is not None:
                outcome = f"failure, though the goal held after step {each.reached}"
            table.add_row(
                each.demo, str(each.steps), outcome, "equal bit for bit" if each.exact else same
            )
        console.print(path, style="bold", soft_wrap=True)
        console.print(table)
    ran = [each for each in replays if not each.problem]
    succeeded, exact = sum(each.success for each in ran), sum(each.exact for each in ran)
    rate = f" ({succeeded / len(ran):.0%})" if ran else ""
    worst = max((each.deviation for each in ran), default=0.0)
    console.print(
        f"{succeeded} of {len(ran)} succeed{rate}; {exact} repeat all states bit for bit; "
        f"largest deviation {worst:.2g}"
    )


def _told(each: "Regenerated") -> str:
    if each.problem:
        return f"{each.source}: {each.problem}"
    if not each.demos:
        return f"{each.path} (was there)"
    kept = [demo for demo in each.demos if demo.kept]
    lines = [
        f"{each.path}: {len(kept)} of {len(each.demos)} demos kept, "
        f"{sum(demo.dropped for demo in kept)} no-ops left out"
    ]
    lines += [f"  {demo.demo} not kept: {demo.reason}" for demo in each.demos if not demo.kept]
    return "\n".join(lines)
