"""``libero-bench demos``: what demo files hold, whether they are sound, and what they look like."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from training.demos.statistics import DemoStatistics

UNSOUND = 1


def demos_info_command(*paths: Path, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Say what demo files hold: steps, actions, gripper, pauses, pictures, who made them.

    Parameters
    ----------
    paths
        HDF5 files, or folders of them.
    json
        Print the statistics as JSON.
    """
    from harness.commands.arguments import parse_demo_files
    from harness.display import results_console
    from training.demos.statistics import demo_statistics

    found = [demo_statistics(path) for path in parse_demo_files(paths)]
    if json:
        from json import dumps

        print(dumps([each.as_dict() for each in found], indent=2, ensure_ascii=False))
        return
    console = results_console()
    for number, each in enumerate(found):
        console.print(_statistics_table(each))
        if number + 1 < len(found):
            console.print()


def demos_check_command(
    *paths: Path,
    convention: Literal["before_action", "after_action"] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Check demo files: shapes, numbers, signs, flips, conventions; exit code 1 if one is broken.

    Parameters
    ----------
    paths
        HDF5 files, or folders of them.
    convention
        before_action or after_action: when rows were seen, where neither the files nor their
        numbers tell.
    json
        Print the lines as JSON.
    """
    from harness.commands.arguments import parse_demo_files
    from harness.display import findings_table, results_console
    from tasks.findings import none_failed
    from training.demos.check import check_demo_file

    found = {path: check_demo_file(path, convention=convention) for path in parse_demo_files(paths)}
    healthy = all(none_failed(lines) for lines in found.values())
    if json:
        from dataclasses import asdict
        from json import dumps

        plain = [
            {
                "path": str(path),
                "sound": none_failed(lines),
                "checks": [asdict(line) for line in lines],
            }
            for path, lines in found.items()
        ]
        print(dumps({"sound": healthy, "files": plain}, indent=2, ensure_ascii=False))
    else:
        console = results_console()
        for path, lines in found.items():
            console.print(str(path), style="bold", soft_wrap=True)
            console.print(findings_table(lines))
    return 0 if healthy else UNSOUND


def demos_preview_command(
    *paths: Path,
    demos: str = "0-2",
    overview: bool = True,
    out: Path = Path("previews"),
    convention: Literal["before_action", "after_action"] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Draw contact sheets: pictures at regular steps and at phases, action curves, the gripper.

    Parameters
    ----------
    paths
        HDF5 files, or folders of them.
    demos
        Demonstrations with a sheet of their own, such as 0,3 or 0-4.
    overview
        Draw a sheet of all demonstrations of a file, too.
    out
        Folder; a file's sheets go to OUT/TASK.png and OUT/TASK/demo_0.png.
    convention
        before_action or after_action: when rows were seen, where neither the files nor their
        numbers tell.
    json
        Print the paths of the sheets as JSON.
    """
    from harness.commands.arguments import parse_demo_files, parse_indices
    from harness.demonstrations.preview import OverviewRow, draw_demo, draw_overview, overview_row
    from harness.display import progress_bar
    from tasks.demos.reader import read_demos

    files = parse_demo_files(paths)
    wanted = {f"demo_{index}" for index in parse_indices(demos, "--demos")}
    drawn: list[Path] = []
    with progress_bar("Drawing", len(files), "file") as bar:
        for done, path in enumerate(files):
            bar.at(done, note=path.name)
            name = path.stem.removesuffix("_demo")
            every: list[OverviewRow] = []
            for demo in read_demos(path, convention=convention):
                if demo.name in wanted:
                    drawn.append(draw_demo(demo, out / name / f"{demo.name}.png"))
                if overview and len(every) < _ON_OVERVIEW:
                    every.append(overview_row(demo))
            if every:
                drawn.append(draw_overview(every, out / f"{name}.png"))
        bar.at(len(files))
    if json:
        from json import dumps

        print(dumps([str(path) for path in drawn], indent=2))
        return
    for path in drawn:
        print(path)


_ON_OVERVIEW = 50


def demos_download_command(
    *,
    suite: str,
    tasks: str | None = None,
    out: Path = Path("demos"),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Download LIBERO's own demonstrations, made by humans, from the Hugging Face hub.

    The same command goes on with an interrupted download. Files that are there are checked (size,
    opens, number of demonstrations) and fetched anew where they are not whole.

    Parameters
    ----------
    suite
        libero_spatial, libero_object, libero_goal, libero_10 or libero_90; several with commas.
    tasks
        Indices or names such as 0,3 or 0-4, in each suite; all by default.
    out
        Folder; a task goes to OUT/SUITE/TASK_demo.hdf5.
    json
        Print the paths as JSON.
    """
    from harness.commands.arguments import parse_tasks
    from harness.demonstrations.download import download_demos
    from tasks.suites import find_task

    names = dict.fromkeys(part.strip() for part in suite.split(","))
    chosen = [find_task(name, index) for name in names for index in parse_tasks(name, tasks)]
    found = download_demos(chosen, out)
    if json:
        from json import dumps

        plain = [{"path": str(d.path), "before": d.before, "fault": d.fault} for d in found]
        print(dumps(plain, indent=2, ensure_ascii=False))
        return
    for each in found:
        anew = f" (fetched anew: {each.fault}; the old one ends in .broken)" if each.fault else ""
        print(f"{each.path}{' (was there, whole)' if each.before else anew}")


def _statistics_table(found: "DemoStatistics") -> "Table":
    from json import dumps

    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    steps = sorted(found.steps)
    said = "stated; " if found.convention_stated else "not stated; "
    noted = f" (problem_info notes “{other}”)" if (other := found.instruction_noted) else ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.phases.items())
    for name, value in (
        ("File", f"{found.path}, {found.megabytes:,} MB"),
        ("Task", found.instruction + noted),
        (
            "Demos",
            f"{found.demos}; {sum(steps):,} steps, {steps[0]}–{steps[-1]}, "
            f"mean {sum(steps) / len(steps):.1f}",
        ),
        ("Actions, min", _numbers(found.action_min)),
        ("Actions, mean", _numbers(found.action_mean)),
        ("Actions, std", _numbers(found.action_std)),
        ("Actions, max", _numbers(found.action_max)),
        ("Intended actions", "there, beside the executed ones" if found.intended else "none"),
        ("Gripper", f"switches {found.gripper_switches:.1f} times a demo"),
        ("No-ops", f"{found.noops:.1%} of the steps"),
        ("Pictures", ", ".join(f"{c} {h}×{w}" for c, (h, w) in found.pictures.items())),
        ("Observations", f"{found.convention or 'unknown'} ({said}{found.convention_evidence})"),
        ("Phases", f"{kinds} ({'noted' if found.phases_noted else 'from the motion alone'})"),
        (
            "Made by",
            dumps(found.provenance) if found.provenance else "not noted, as in official files",
        ),
    ):
        table.add_row(name, value)
    return table


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:6.2f}" for value in values)
