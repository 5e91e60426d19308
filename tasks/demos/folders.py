"""Finding demo files and their tasks, and recognising other formats."""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePath

from tasks.demos.lerobot.hub import fetch_dataset, hub_name
from tasks.demos.lerobot.task import is_lerobot_task, task_paths
from tasks.demos.source import RLDS, DemoSource
from tasks.errors import ConfigError
from tasks.suites import (
    EVERY_SUITE,
    ORIGINAL_SUITES,
    Instructions,
    Task,
    perturbed,
    same_words,
    suite_tasks,
)

_MOST_SCANNED = 2_000
"""Files that are scanned at most to recognise another format."""
_COLLECT = (
    "make demos with 'libero-bench collect', or give LIBERO's HDF5 files or a LeRobot data set"
)
_HDF5 = (
    "not read here. Fix: LIBERO's demonstrations are there as HDF5: 'libero-bench demos download' "
    "fetches them, 'libero-bench demos regenerate' makes of them what OpenVLA's script makes"
)
_FORMS = {
    r"\.tfrecord\b|/(dataset_info|features)\.json$": RLDS,
    r"\.parquet$": "Parquet data without the meta/info.json of a LeRobot data set. Fix: give the "
    "folder that has meta, data and videos",
    r"/\.zarray$|/\.zgroup$|/zarr\.json$": f"a Zarr store, {_HDF5}",
    r"\.(zip|tar|tgz|tar\.\w+)$": "an archive. Fix: unpack it, and give the folder",
}
"""Formats by the names of their files and folders, with what can be done about each."""
_ADDRESS = re.compile(r"(https?|hf):/")


def find_demo_files(path: Path | str) -> list[Path]:
    """Return the demo files that a path stands for.

    Args:
        path: An HDF5 file; a LeRobot data set, or one of its tasks as ``FOLDER/task_0``; a folder
            with any of these below it, or the name of a LeRobot data set on the hub. Symbolic links
            are followed, each folder once.

    Returns:
        HDF5 files, and paths of LeRobot tasks, which ``tasks.demos.file.open_demos`` opens alike.

    Raises:
        ConfigError: Nothing is there, or something in another format.
        PrerequisiteError: It is on the hub, which cannot be reached; or PyArrow is missing.
    """
    path = Path(path)
    if is_lerobot_task(path):
        return [path]
    if path.parts[-2:] == ("meta", "info.json"):
        path = path.parent.parent
    if path.is_file():
        if form := _form_of(path):
            raise ConfigError(f"The demos '{path}' cannot be read: it is {form}.")
        return [path]
    if not path.exists() and (name := hub_name(path)) is not None:
        path = fetch_dataset(name)
    files = []
    for found in sorted(_walk(path)):
        if found.parent.name == "meta" and found.name == "info.json":
            files += task_paths(found.parent.parent)
        elif (
            found.suffix == ".hdf5"
            and not found.name.startswith(".")
            and ".parts" not in found.parts
            and found.is_file()
        ):
            files.append(found)
    if not files:
        raise ConfigError(f"The demos '{path}' cannot be read: {_nothing(path)}.")
    return files


def find_all_demo_files(paths: Iterable[Path | str]) -> list[Path]:
    """Return the demo files that several paths stand for, each once, in the order of the paths.

    Raises:
        ConfigError: Nothing is at one of them.
    """
    return list(dict.fromkeys(file for path in paths for file in find_demo_files(path)))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; what several links lead to is entered by one of them."""
    entered = {folder.resolve()}
    for here, folders, files in os.walk(folder, followlinks=True):
        place = Path(here)
        # Real folders first, so that a link to a neighbour does not take its name.
        inside = sorted(folders, key=lambda name: ((place / name).is_symlink(), name))
        folders.clear()
        for name in inside:
            target = (place / name).resolve()
            if target not in entered:
                entered.add(target)
                folders.append(name)
        yield from (place / name for name in files)


def _nothing(path: Path) -> str:
    """Say what lies at a path that has no demo files, and what to do."""
    if path.is_dir():
        for file in islice(_walk(path), _MOST_SCANNED):
            if form := _form_of(file):
                return f"it has no *.hdf5 file below it, but {form}"
        return f"it has no *.hdf5 file below it. Fix: {_COLLECT}"
    name = str(path)
    if _ADDRESS.match(name):
        return (
            "it is nothing on this machine. Fix: give a LeRobot data set by its name, owner/name; "
            "fetch anything else with 'hf download NAME --repo-type dataset --local-dir FOLDER', "
            "then give that folder"
        )
    return f"it does not exist. Fix: {_COLLECT}"


def _form_of(file: Path) -> str | None:
    """Name the format that a file of this name belongs to, if it is a known one."""
    for pattern, form in _FORMS.items():
        if re.search(pattern, f"{file.parent.name}/{file.name}"):
            return form
    return None


_ENDING = "_demo"


def demo_task(file: DemoSource) -> Task:
    """Return the task of a demo file, found by the names that the file and its contents bear.

    If the file says that it was made under a perturbation, the task has that.

    The file's own name comes before that of the BDDL file it notes: official files note names that
    were changed since. The suite is the one that the noted BDDL file lies in, or the nearest folder
    of the demo file that is called like one.

    Raises:
        ConfigError: There is no such task.
        PrerequisiteError: LIBERO is not installed.
    """
    bddl = file.attribute("data", "bddl_file_name")
    task = named_task(file.path, PurePath(bddl if isinstance(bddl, str) else ""))
    if task is not None:
        return perturbed(task, str(file.provenance().get("perturb") or ""))
    raise file.refuse(
        f"it belongs to no task that is installed (its BDDL file is {bddl!r}). A demo file is "
        "called SUITE/TASK_demo.hdf5"
    )


def named_task(path: Path, bddl: PurePath, suite: str | None = None) -> Task | None:
    """Return the task whose name a demo file or its BDDL file has; None if there is none.

    Args:
        path: The demo file; not resolved, as files have no names where a cache links to.
        bddl: The BDDL file that it notes, with its folders; empty if it notes none.
        suite: The task's suite, where it is known.

    Raises:
        ConfigError: There is no such suite.
        PrerequisiteError: LIBERO is not installed.
    """
    suites = [suite] if suite else [*named_suites(path, bddl), *ORIGINAL_SUITES]
    for name in (path.stem.removesuffix(_ENDING), bddl.name.removesuffix(".bddl")):
        for each in dict.fromkeys(suites):
            for task in suite_tasks(each):
                if task.name == name:
                    return task
    return None


def named_suites(path: Path, bddl: PurePath) -> list[str]:
    """Return the suites that folders of a BDDL file and of a demo file are called like."""
    folders = (*bddl.parts, *reversed(path.absolute().parts))
    return [folder for folder in folders if folder in EVERY_SUITE]


def demo_instruction(file: DemoSource, instructions: Instructions = "name") -> str:
    """Return the task of a demo file in words, as an evaluation says it.

    What the file notes itself counts only where it is of no known task: the scripts that write
    official files note the BDDL file's sentence, and OpenVLA's notes none.

    Args:
        file: The file.
        instructions: See ``tasks.suites.Task.instruction_by``.

    Raises:
        ConfigError: The file names neither a task nor an instruction, or is damaged.
        PrerequisiteError: LIBERO is not installed.
    """
    noted = file.noted_instruction()
    try:
        return demo_task(file).instruction_by(instructions)
    except ConfigError as error:
        if noted is None:
            raise file.refuse(
                "it has no attribute problem_info with a language_instruction, and its name is "
                "no task's"
            ) from error
        return noted


def noted_otherwise(file: DemoSource, instruction: str) -> str | None:
    """Return the sentence that a demo file notes, where it is another than its task's.

    Args:
        file: The file.
        instruction: Its task in words.

    Raises:
        ConfigError: What it notes is damaged.
    """
    noted = file.noted_instruction()
    return None if noted is None or same_words(noted, instruction) else noted
