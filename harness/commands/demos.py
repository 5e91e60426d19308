"""``libero-bench demos``: look at demo files, check, replay, regenerate, export, download them."""

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from harness.capacity import MOST_WORKERS
from harness.commands import Flat, Switch
from harness.demonstrations.config import RegenerationConfig
from harness.demonstrations.download import download_demos
from harness.demonstrations.export import ExportConfig, Format, export_hdf5, export_lerobot
from harness.demonstrations.preview import draw_sheets
from harness.demonstrations.regeneration import Remade, count_demos, regenerate
from harness.demonstrations.replay import Replay, choose_demos, replay_demos
from harness.demonstrations.tables import (
    export_table,
    print_replays,
    regenerated_lines,
    statistics_table,
)
from harness.display import findings_table, progress_bar, results_console
from harness.options import (
    Convention,
    all_tasks,
    demo_files,
    read_numbers,
    read_tasks,
    split_names,
)
from harness.warnings import warn_of_crowding, warn_of_versions
from tasks.errors import ConfigError, none_failed
from tasks.suites import find_task
from training.demos.check import check_demo_file
from training.demos.statistics import demo_statistics


def _check_workers(_kind: Any, workers: int) -> None:
    if not 1 <= workers <= MOST_WORKERS:
        raise ConfigError(f"--workers {workers} given. Allowed: 1 to {MOST_WORKERS}.")


Workers = Annotated[int, Parameter(validator=_check_workers)]

UNSOUND = 1
FAILED = 1


def demos_info_command(*paths: Path, json: Switch = False) -> None:
    """Say what demo files hold: steps, actions, gripper, pauses, images, who made them.

    Parameters
    ----------
    paths
        HDF5 files, LeRobot data sets or their tasks (FOLDER/task_0), or folders of any.
    json
        Print the statistics as JSON.
    """
    statistics = [demo_statistics(path) for path in demo_files(paths)]
    if json:
        print(dumps([file.as_dict() for file in statistics], indent=2, ensure_ascii=False))
        return
    console = results_console()
    for number, file in enumerate(statistics):
        if number:
            console.print()
        console.print(statistics_table(file))


def demos_check_command(
    *paths: Path, convention: Convention | None = None, json: Switch = False
) -> int:
    """Check demo files: shapes, numbers, signs, flips, conventions; exit code 1 if one is broken.

    Parameters
    ----------
    paths
        HDF5 files, LeRobot data sets or their tasks (FOLDER/task_0), or folders of any.
    convention
        before_action or after_action: when rows were seen, where neither the files nor their
        numbers tell.
    json
        Print the lines as JSON.
    """
    found = demo_files(paths)
    files = {}
    with progress_bar("Checking", len(found), "file") as bar:
        for done, path in enumerate(found):
            bar.at(done, note=path.name)
            files[path] = check_demo_file(path, convention=convention)
        bar.at(len(found))
    sound = all(none_failed(findings) for findings in files.values())
    if json:
        plain = [
            {
                "path": str(path),
                "sound": none_failed(findings),
                "checks": list(map(asdict, findings)),
            }
            for path, findings in files.items()
        ]
        print(dumps({"sound": sound, "files": plain}, indent=2, ensure_ascii=False))
    else:
        console = results_console()
        for path, findings in files.items():
            console.print(str(path), style="bold", soft_wrap=True)
            console.print(findings_table(findings))
    return 0 if sound else UNSOUND


def demos_preview_command(
    *paths: Path,
    demos: str = "0-2",
    overview: bool = True,
    out: Path = Path("previews"),
    convention: Convention | None = None,
    json: Switch = False,
) -> None:
    """Draw contact sheets: images at regular steps and at phases, action curves, the gripper.

    Parameters
    ----------
    paths
        HDF5 files, LeRobot data sets or their tasks (FOLDER/task_0), or folders of any.
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
    files = demo_files(paths)
    names = {f"demo_{index}" for index in read_numbers(demos, "--demos")}
    sheets: list[Path] = []
    with progress_bar("Drawing", len(files), "file") as bar:
        for done, path in enumerate(files):
            bar.at(done, note=path.name)
            sheets += draw_sheets(path, names, out, overview=overview, convention=convention)
        bar.at(len(files))
    if json:
        print(dumps([str(path) for path in sheets], indent=2))
        return
    for path in sheets:
        print(path)


def demos_download_command(
    *, suite: str, tasks: str | None = None, out: Path = Path("demos"), json: Switch = False
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
    suites = split_names(suite)
    indices = read_tasks(tasks, suites)
    chosen = [
        find_task(name, index)
        for name in suites
        for index in (all_tasks(name) if indices is None else indices)
    ]
    files = download_demos(chosen, out)
    if json:
        plain = [{"path": str(d.path), "before": d.before, "fault": d.fault} for d in files]
        print(dumps(plain, indent=2, ensure_ascii=False))
        return
    for file in files:
        anew = f" (fetched anew: {file.fault}; the old one ends in .broken)" if file.fault else ""
        print(f"{file.path}{' (was there, whole)' if file.before else anew}")


def demos_replay_command(
    *paths: Path, demos: str | None = None, workers: Workers = 2, json: Switch = False
) -> int:
    """Execute the actions again, open loop: how many succeed, how far states stray.

    Demos of this project repeat themselves bit for bit on the same versions; official ones, made
    with others, stray. The exit code is 1 if a demo could not be executed at all.

    Parameters
    ----------
    paths
        HDF5 files, LeRobot data sets or their tasks (FOLDER/task_0), or folders of any.
    demos
        Demonstrations of each file, such as 0,3 or 0-4; all by default.
    workers
        Processes.
    json
        Print what came of each as JSON.
    """
    indices = None if demos is None else read_numbers(demos, "--demos")
    chosen = choose_demos(demo_files(paths), indices)
    warn_of_versions()
    warn_of_crowding(workers)
    done: list[Replay] = []
    with progress_bar("Replaying", len(chosen), "demo") as bar:

        def show(replay: Replay) -> None:
            done.append(replay)
            bar.at(len(done), note=f"{sum(replay.success for replay in done)} succeeded")

        replays = replay_demos(chosen, workers=workers, progress=show)
    if json:
        print(dumps([replay.as_dict() for replay in replays], indent=2, ensure_ascii=False))
    else:
        print_replays(replays, results_console())
    return FAILED if any(replay.problem for replay in replays) else 0


def demos_regenerate_command(
    *paths: Path,
    out: Path,
    config: Annotated[RegenerationConfig, Flat] = RegenerationConfig(),
    json: Switch = False,
) -> int:
    """Execute the actions again and render: other resolution, no pauses, only what succeeds.

    Actions that do nothing are left out as OpenVLA does. Demos that wait for the fingers, as ours
    do, need --noops resting. A killed regeneration resumes. The exit code is 1 if no demonstration
    of a file succeeds any more.

    Parameters
    ----------
    paths
        HDF5 files, LeRobot data sets or their tasks (FOLDER/task_0), or folders of any.
    out
        Folder; a file goes to OUT/SUITE/TASK_demo.hdf5.
    json
        Print what became of each file as JSON.
    """
    files = demo_files(paths)
    warn_of_crowding(config.workers)
    total = count_demos(files)
    warn_of_versions()
    done: list[Remade] = []
    with progress_bar("Regenerating", total, "demo") as bar:

        def show(path: Path, remade: Remade) -> None:
            done.append(remade)
            kept = sum(remade.kept for remade in done)
            bar.at(len(done), note=f"kept {kept} of {len(done)}; {path.name}")

        regenerated = regenerate(files, out, config, show)
    if json:
        plain = [asdict(e) | {"source": str(e.source), "path": str(e.path)} for e in regenerated]
        print(dumps(plain, indent=2, ensure_ascii=False))
    else:
        for file in regenerated:
            print(regenerated_lines(file))
    return FAILED if any(file.problem for file in regenerated) else 0


def demos_export_command(
    *paths: Path,
    out: Path,
    format: Format,
    config: Annotated[ExportConfig, Flat] = ExportConfig(),
    json: Switch = False,
) -> None:
    """Write demos for others: a LeRobot data set, or HDF5 as OpenVLA's script leaves it.

    LeRobot sets have the schema of lerobot/libero at 20 fps, with joints and intended actions as
    further columns, statistics, a card, and notes from which training here sees the same numbers.
    Demos whose images cannot be read are left out and named. A killed export resumes.

    Parameters
    ----------
    paths
        HDF5 files, LeRobot data sets or their tasks (FOLDER/task_0), or folders of any.
    out
        Folder of the data set; of HDF5 a file goes to OUT/TASK_demo.hdf5.
    format
        lerobot; hdf5-openvla: arrays without attributes, as OpenVLA's regeneration writes them;
        hdf5-libero: as LIBERO's release, rows seen after their action, the first five steps cut.
    json
        Print what was written as JSON.
    """
    files = demo_files(paths)
    with progress_bar("Exporting", None, "demo") as bar:

        def show(done: int, total: int, what: str) -> None:
            bar.at(done, note=what, total=total)

        if format == "lerobot":
            exported = export_lerobot(files, out, config, show)
        else:
            written = export_hdf5(files, out, format, config, show)
    if format != "lerobot":
        print(dumps([str(path) for path in written]) if json else "\n".join(map(str, written)))
        return
    if json:
        print(dumps(exported.as_dict(), indent=2, ensure_ascii=False))
        return
    console = results_console()
    console.print(export_table(exported))
    console.print("Upload it, then set the tag that LeRobot asks for:")
    for command in exported.commands:
        print(f"  {command}")
