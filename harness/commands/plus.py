"""``libero-bench plus``: what there is of LIBERO-Plus on this machine, and its pack of assets."""

from dataclasses import asdict
from json import dumps
from pathlib import Path

from rich.table import Table

from harness.commands import Switch
from harness.display import progress_bar, results_console
from harness.plus_assets import REPOSITORY, availability, fetch_assets
from tasks.perturbation import DIMENSIONS
from tasks.suites import use_plus_assets


def plus_list_command(*, plus_assets: Path | None = None, json: Switch = False) -> None:
    """Count LIBERO-Plus's tasks by suite and dimension, and those that can run on this machine.

    Parameters
    ----------
    plus_assets
        Folder with LIBERO-Plus's assets, or with its code.
    json
        Print the counts as JSON.
    """
    use_plus_assets(plus_assets)
    rows = availability()
    if json:
        print(dumps(list(map(asdict, rows)), indent=2))
        return
    counts = {(row.suite, row.dimension): row for row in rows}
    suites = list(dict.fromkeys(row.suite for row in rows))
    table = Table("suite", box=None, pad_edge=False, title="Tasks that can run here, of all")
    for name in (*DIMENSIONS, "all"):
        table.add_column(name, justify="right")
    for suite in (*suites, "all"):
        cells = []
        for dimension in (*DIMENSIONS, "all"):
            chosen = [
                row
                for (of, kind), row in counts.items()
                if suite in (of, "all") and dimension in (kind, "all")
            ]
            there, tasks = sum(r.available for r in chosen), sum(r.tasks for r in chosen)
            cells.append(f"{tasks:,}" if there == tasks else f"{there:,} of {tasks:,}")
        table.add_row(suite, *cells)
    results_console(140).print(table)


def plus_fetch_command(*, out: Path, repository: str = REPOSITORY) -> None:
    """Download LIBERO-Plus's pack of assets, 6.4 GB, and unpack it to OUT/assets.

    Light, most of background, and layouts with added objects need it. Its authors state no licence
    for it: it is for your own use, and this project hands on nothing of it. The same command goes
    on with what a killed one left; without network it unpacks OUT/assets.zip.

    Parameters
    ----------
    out
        Folder; give it as --plus-assets afterwards.
    repository
        The data set on the Hugging Face hub; RLinf/LIBERO-plus-assets is a mirror.
    """
    with progress_bar("Fetching LIBERO-Plus's assets", None, "file") as bar:
        folder = fetch_assets(out, repository, lambda done, total: bar.at(done, total=total))
    results_console().print(f"{folder}: --plus-assets {out}", soft_wrap=True)
