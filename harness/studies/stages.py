"""What the command ``study`` does: plan, run, report."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path

from harness.display import console, results_console
from harness.engines import EngineOptions
from harness.processes import require_rendering
from harness.studies.cells import Cell, cells_of, record_of
from harness.studies.config import Study, load_study, study_file
from harness.studies.finished import unfinished
from harness.studies.planning import plan_study, print_plan_tables
from harness.studies.run import check_study, collect_demos, run_cell, run_cells
from harness.studies.saving import check_folder, save_records
from results.formatting import Format
from results.locking import sole_writer
from results.studies.page import write_study_page
from results.studies.records import write_study
from results.studies.rendering import StudyTables
from tasks.errors import unknown_name
from tasks.files import write_text


@dataclass(frozen=True, kw_only=True)
class ChosenCells:
    """A study, its folder, and the cells to work on.

    Attributes:
        file: The study's TOML file.
        study: What it says.
        out: Its folder.
        every: All cells.
        cells: Those that were chosen.
    """

    file: Path
    study: Study
    out: Path
    every: tuple[Cell, ...]
    cells: tuple[Cell, ...]


def choose_cells(
    file: Path, out: Path, *, arms: Sequence[str] = (), seeds: int | None = None
) -> ChosenCells:
    """Read a study and choose cells.

    Args:
        file: A TOML file, or the name of a shipped study.
        out: The study's folder.
        arms: Names of arms; all by default.
        seeds: How many seeds of each arm; all by default.

    Raises:
        ConfigError: The study says something that is not allowed, or has no such arm.
    """
    file = study_file(file)
    study = load_study(file)
    names = [arm.name for arm in study.arms]
    for name in arms:
        if name not in names:
            raise unknown_name("arm", name, names)
    every = cells_of(study, out)
    chosen = [
        cell
        for cell in every
        if (not arms or cell.arm in arms) and (seeds is None or cell.seed < seeds)
    ]
    return ChosenCells(file=file, study=study, out=out, every=tuple(every), cells=tuple(chosen))


def print_plan(chosen: ChosenCells, jobs: int, *, json: bool = False) -> None:
    """Print the cells, their hours and the detectable effect."""
    check_study(chosen.cells, chosen.out)
    left = unfinished(chosen.cells, chosen.out)
    plan = plan_study(chosen.study, chosen.cells, chosen.out, left=left)
    if json:
        print(dumps(plan.as_dict(), indent=2))
    else:
        print_plan_tables(chosen.study, plan, jobs, results_console())


def run_single(chosen: ChosenCells, name: str, engine: EngineOptions) -> None:
    """Run one cell in this process, unless it is finished.

    Raises:
        HarnessError: There is no such cell, or it cannot be done.
    """
    run_cell(chosen.every, chosen.out, name, engine)


def run_study(chosen: ChosenCells, *, jobs: int, engine: EngineOptions) -> dict[str, int]:
    """Run the chosen cells that are not finished.

    Args:
        chosen: The cells.
        jobs: Processes side by side.
        engine: What collects and evaluates.

    Returns:
        The exit code of each cell that failed, by its name.

    Raises:
        HarnessError: A cell cannot be done as asked; nothing was begun.
        ResultsError: Another process runs the study in that folder.
    """
    left = unfinished(chosen.cells, chosen.out)
    check_study(left, chosen.out)
    record = record_of(chosen.study, chosen.every)
    with sole_writer(chosen.out):
        check_folder(chosen.out, option="--out", study="the study to resume")
        chosen.out.mkdir(parents=True, exist_ok=True)
        write_study(chosen.out, record)
        if len(left) < len(chosen.cells):
            finished = len(chosen.cells) - len(left)
            console.print(f"{finished} of {len(chosen.cells)} cells are finished.")
        if not left:
            return {}
        require_rendering()
        collect_demos(left, chosen.out, engine)
        return run_cells(
            left,
            chosen.out,
            jobs=jobs,
            command=lambda cell: [
                *(sys.executable, "-m", "harness.cli", "study", str(chosen.file)),
                *("--out", str(chosen.out), "--cell", cell.name, *engine.flags()),
            ],
        )


def begun_folder(study: Path, out: Path) -> Path:
    """Return the folder of a study that was begun.

    Args:
        study: The folder, or the study as ``choose_cells`` takes it.
        out: Where such a study runs.

    Raises:
        ConfigError: There is neither such a study nor a folder.
    """
    if study.is_dir():
        return study
    if not out.is_dir():
        study_file(study)
    return out


def save_study(folder: Path, to: Path) -> None:
    """Copy the records of a study's finished cells; see ``save_records``.

    Raises:
        HarnessError: The folder is no study, or ``to`` holds something else.
    """
    copied, there = save_records(folder, to)
    console.print(f"Records: {to} ({there} cells, {copied} of them new)", soft_wrap=True)


def report_study(folder: Path, *, format: Format = "table") -> None:
    """Print a study's tables; as a table, also write its page and the tables' files.

    Raises:
        ResultsError: The folder is no study, or a run in it is damaged.
    """
    tables = StudyTables(folder)
    if format != "table":
        print(tables.render(format), end="")
        return
    results_console().print(*tables.rich_tables(), sep="\n")
    write_text(folder / "study.md", tables.render("markdown"))
    write_text(folder / "study.csv", tables.render("csv"))
    write_text(folder / "tables.json", tables.render("json"))
    console.print(f"Page: {write_study_page(folder, tables)}", soft_wrap=True)
