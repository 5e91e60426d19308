"""The command ``study``: arms and seeds trained and evaluated, and verdicts on claims."""

from pathlib import Path
from typing import Annotated

from harness.commands import Flat, Switch
from harness.studies.config import StudyOptions
from results.formatting import Format

CELLS_FAILED = 1


def study_command(
    study: Path,
    /,
    options: Annotated[StudyOptions, Flat] = StudyOptions(),
    *,
    plan: Switch = False,
    report: Switch = False,
    save_records: Path | None = None,
    cell: str | None = None,
    format: Format = "table",
    json: Switch = False,
) -> int:
    """Find out which settings matter: arms trained from several seeds, evaluated, compared.

    Each cell, an arm and a seed, is an ordinary training with ordinary runs in a folder of its own.
    A killed study resumes with the same command; finished cells stay. It ends with rates over
    seeds, effects, and a verdict on each claim; exit code 1 if a cell failed.

    Parameters
    ----------
    study
        A TOML file, or the name of a shipped study: eight-claims. With --report and --save-records
        also the folder of a study.
    plan
        Print arms, cells, hours and the detectable effect; run nothing.
    report
        Print the tables of what is finished and write the page; run nothing.
    save_records
        Copy the records of finished cells into this folder, without weights and videos; run
        nothing. Tables can be made from the copy, and a study that goes on there takes its cells
        for finished.
    cell
        Run this cell alone, such as base/0, as a job of a cluster would.
    format
        How to print the tables; CSV has the rates alone. Only with a table the page is written.
    json
        The same as --format json, also for the plan.
    """
    from harness.studies import stages

    folder = options.out or Path("runs") / study.stem
    chosen_format = "json" if json else format
    if report or save_records is not None:
        begun = stages.begun_folder(study, folder)
        if save_records is not None:
            stages.save_study(begun, save_records)
        if report:
            stages.report_study(begun, format=chosen_format)
        return 0
    chosen = stages.choose_cells(study, folder, arms=options.arms, seeds=options.seeds)
    if plan:
        stages.print_plan(chosen, options.jobs, json=chosen_format == "json")
        return 0
    if cell is not None:
        stages.run_single(chosen, cell, options)
        return 0
    failed = stages.run_study(chosen, jobs=options.jobs, engine=options)
    stages.report_study(folder, format=chosen_format)
    return CELLS_FAILED if failed else 0
